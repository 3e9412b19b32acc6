//! `[[artifacts]]`: downloads a profile adds.

use super::files::{Taken, clash, mode};
use super::path::{is_on_fat, path};
use crate::config::check::{Checker, all};
use crate::config::download::{digest, url};
use crate::config::field::Field;
use crate::config::problem::Wrong;
use crate::config::written;
use crate::plan::Artifact;

pub(crate) fn check(
    artifacts: &Field<Vec<Field<written::Artifact>>>,
    taken: &mut Taken,
    check: &mut Checker,
) -> Option<Vec<Artifact>> {
    artifacts.get()?;
    all(artifacts.items().iter().map(|item| {
        let written::Artifact {
            url: address,
            sha256,
            path: place,
            mode: bits,
        } = item.get()?;
        let address = check.value(address, |text| url(text));
        let digest = check.value(sha256, |text| digest(text));
        let path = check.value(place, |text| off_the_boot_partition(path(text)?));
        if let Some(path) = &path {
            clash(path, &place.span(), taken, check);
        }
        let mode = check.optional(bits, |text| mode(text));
        Some(Artifact {
            url: address?,
            sha256: digest?,
            path: path?,
            mode: mode?.unwrap_or(0o755),
        })
    }))
}

fn off_the_boot_partition(path: String) -> Result<String, Wrong> {
    if !is_on_fat(&path) {
        return Ok(path);
    }
    let message = "the boot partition is small and keeps no modes: it takes no downloads";
    Err(Wrong::new(
        message,
        "choose another place, such as /usr/local/bin",
    ))
}
