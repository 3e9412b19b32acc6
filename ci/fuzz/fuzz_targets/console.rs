//! What a node says on its console, in pieces as they arrive: the first byte
//! of the input is their size.

#![no_main]

use imgbuild::qemu::console::{Event, Rows};
use libfuzzer_sys::fuzz_target;
use node_config::ConsoleLine;

fuzz_target!(|data: &[u8]| {
    let Some((size, bytes)) = data.split_first() else {
        return;
    };
    let mut rows = Rows::default();
    for event in bytes
        .chunks(usize::from(*size).max(1))
        .flat_map(|piece| rows.push(piece))
    {
        if let Event::Agent(line) = event {
            // What a terminal would take for a new row is gone after one turn.
            let row = line.to_string();
            let again: ConsoleLine = row.parse().expect("its own row");
            assert_eq!(again.to_string(), row);
        }
    }
});
