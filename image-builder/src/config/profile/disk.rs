//! `[disk]`.

use crate::config::check::Checker;
use crate::config::problem::Wrong;
use crate::config::size::size;
use crate::config::written;
use crate::plan::{Disk, Extent, Size};

/// No base fits into less.
const SMALLEST_ROOT: Size = Size::mib(1024);
/// ext4 with a journal, and some room in it.
const SMALLEST_DATA: Size = Size::mib(64);

pub(crate) fn check(disk: &written::Disk, check: &mut Checker) -> Option<Disk> {
    let root = check.value(&disk.root, |text| extent(text, SMALLEST_ROOT));
    let data = check.optional(&disk.data, |text| extent(text, SMALLEST_DATA));
    let (root, data) = (root?, data?);
    if root == Extent::Rest && data == Some(Extent::Rest) {
        let message = "`root` and `data` cannot both be the rest of the disk";
        check.wrong(
            &disk.data.span(),
            Wrong::new(message, "give `root` a size, such as \"32GiB\""),
        );
        return None;
    }
    Some(Disk { root, data })
}

fn extent(text: &str, smallest: Size) -> Result<Extent, Wrong> {
    if text == "rest" {
        return Ok(Extent::Rest);
    }
    let size = size(text)
        .map_err(|Wrong { message, hint }| Wrong::new(message, format!("{hint}, or \"rest\"")))?;
    if size < smallest {
        let message = format!("{size} is too small for this partition");
        return Err(Wrong::new(
            message,
            format!("write at least \"{smallest}\""),
        ));
    }
    Ok(Extent::Fixed(size))
}
