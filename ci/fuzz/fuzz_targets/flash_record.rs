//! The record of what was written, as a disk may have it: what is read has
//! ranges in order, inside of the disk.

#![no_main]

use imgbuild::flash::Record;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(record) = Record::parse(data) else {
        return;
    };
    let mut end = 0;
    for range in &record.ranges {
        assert!(range.at >= end && range.at + range.len <= record.disk_len);
        end = range.at + range.len;
    }
    assert_eq!(record.digest().len(), 64);
});
