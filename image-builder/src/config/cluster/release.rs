//! `[release]`: whose release images are used.

use crate::config::check::Checker;
use crate::config::download::prefix;
use crate::config::problem::Wrong;
use crate::config::written;
use crate::plan::Release;

pub(crate) fn check(release: &written::Release, check: &mut Checker) -> Option<Release> {
    let written::Release { keys, address } = release;
    let keys = check.list(keys, |text| {
        text.parse().map_err(|error| {
            let hint = "write the line that begins with RW, as `imgbuild keygen` prints it";
            Wrong::new(format!("{error}"), hint)
        })
    });
    let address = check.optional(address, |text| prefix(text));
    Some(Release {
        keys: keys?,
        address: address?,
    })
}
