//! What the agent reads of a node's disk: whatever the table, reading it ends, and
//! a table that is read can be written and is read again as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../../firstboot-agent/src/stages/disk/superblock.rs"]
#[allow(dead_code)]
mod superblock;
#[path = "../../../firstboot-agent/src/stages/disk/table.rs"]
#[allow(dead_code)]
mod table;

use table::{END, ENTRIES, ENTRY_SECTORS, Ends, SECTOR, Table};

fuzz_target!(|data: &[u8]| {
    superblock::Superblock::read(data);
    // Its own checksums are found by nobody: the first byte asks for right ones.
    let Some((settings, bytes)) = data.split_first() else {
        return;
    };
    let mut head = bytes.to_vec();
    head.resize(END, 0);
    if settings & 1 != 0 {
        repair(&mut head);
    }
    let ends = Ends {
        size: (1 << 20) << (settings >> 3),
        head,
        tail: vec![settings & 2; END],
    };
    let Ok(table) = Table::read(&ends) else {
        return;
    };
    let Ok(written) = Table::encode(&ends, &table.partitions) else {
        return;
    };
    let again = Table::read(&written).expect("its own table");
    assert_eq!(again.partitions, table.partitions);
    assert_eq!(again.disk, table.disk);
    let settled = Table::encode(&written, &again.partitions).expect("again");
    assert!(settled == written, "a table that fits is left alone");
});

/// The sums of entries and header (UEFI 5.3.2).
fn repair(head: &mut [u8]) {
    let sector = SECTOR as usize;
    let entries = ENTRIES as usize * sector;
    let sum = crc32fast::hash(&head[entries..entries + ENTRY_SECTORS as usize * sector]);
    head[sector + 88..sector + 92].copy_from_slice(&sum.to_le_bytes());
    head[sector + 16..sector + 20].fill(0);
    let sum = crc32fast::hash(&head[sector..sector + 92]);
    head[sector + 16..sector + 20].copy_from_slice(&sum.to_le_bytes());
}
