//! `[source]`: how downloads reach this machine.

use crate::config::check::{Checker, all};
use crate::config::download::{prefix, url};
use crate::config::files::{Files, resolve};
use crate::config::problem::Wrong;
use crate::config::written;
use crate::plan::Source;

pub(crate) fn check(
    source: &written::Source,
    check: &mut Checker,
    files: &dyn Files,
) -> Option<Source> {
    let written::Source {
        ca_file,
        mirror,
        keyservers,
    } = source;
    let from = check.path();
    let ca_file = check.optional(ca_file, |text| match text.as_str() {
        "" => Err(Wrong::new("this names no file", "write the file's path")),
        path => Ok(resolve(files, from, path)),
    });
    let mirrors = all(mirror.get()?.iter().map(|(original, instead)| {
        let original = prefix(original.get_ref())
            .map_err(|wrong| check.wrong(&original.span(), wrong))
            .ok();
        original.zip(check.value(instead, |text| prefix(text)))
    }));
    let keyservers = check.list(keyservers, |text| url(text));
    Some(Source {
        ca_file: ca_file?,
        mirrors: mirrors?,
        keyservers: keyservers?,
    })
}
