//! Tables written and read back, with `sgdisk` as the judge.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use uuid::Uuid;

use super::*;
use crate::cmd::Cmd;
use crate::ids::NodeIds;
use crate::plan::Size;

fn plan(data: Option<Size>) -> DiskPlan {
    let ids = NodeIds::derive(Uuid::from_u128(7), "pi-1");
    DiskPlan::new(ids, Size::mib(512), Size::mib(2400), data)
}

fn write(plan: &DiskPlan, file: &File) {
    file.set_len(plan.size).expect("size");
    for (offset, bytes) in plan.encode().expect("encode") {
        file.write_all_at(&bytes, offset).expect("write");
    }
}

#[test]
fn a_written_table_reads_back_and_sgdisk_agrees() {
    for data in [None, Some(Size::mib(100))] {
        let plan = plan(data);
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        write(&plan, file.as_file());
        let image = Region::whole(Arc::new(file.reopen().expect("open"))).expect("region");
        let table = Table::read(&image).expect("read");
        assert_eq!(table.scheme, Scheme::Gpt(plan.ids.disk));
        let found: Vec<_> = table
            .partitions
            .iter()
            .map(|p| (p.name.as_str(), p.offset, p.len))
            .collect();
        let mut expected = vec![
            ("bootfs", 8 << 20, 512 << 20),
            ("rootfs", 520 << 20, 2400 << 20),
        ];
        expected.extend(data.map(|size| ("data", 2920 << 20, size.bytes())));
        assert_eq!(found, expected);
        assert_eq!(table.partitions[1].partuuid, plan.ids.root.to_string());

        let output = Cmd::new("sgdisk", "apt install gdisk")
            .arg("-v")
            .arg(file.path())
            .run(&[0])
            .expect("sgdisk");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("No problems found"), "{text}");
    }
}

#[test]
fn the_same_plan_gives_the_same_bytes() {
    assert_eq!(
        plan(None).encode().expect("encode"),
        plan(None).encode().expect("encode")
    );
}

#[test]
fn damage_is_named() {
    let plan = plan(None);
    let file = tempfile::tempfile().expect("temporary file");
    write(&plan, &file);
    let file = Arc::new(file);
    let read = || Table::read(&Region::whole(Arc::clone(&file)).expect("region"));

    file.set_len(1000 << 20).expect("cut");
    assert!(matches!(
        read(),
        Err(LayoutError::Truncated { number: 2, .. })
    ));
    file.write_all_at(&[0xff; 8], SECTOR + 16)
        .expect("spoil the header's checksum");
    assert!(matches!(read(), Err(LayoutError::Damaged(_))));
    file.write_all_at(&[0; 2], 510)
        .expect("spoil the signature");
    assert!(matches!(read(), Err(LayoutError::NoTable(_))));
    file.set_len(100).expect("cut");
    assert!(matches!(read(), Err(LayoutError::NoTable(_))));
}
