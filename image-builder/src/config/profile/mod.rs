//! `profiles/*.toml` as it may be.

mod artifacts;
mod base;
mod boot;
mod disk;
mod files;
mod firmware;
mod packages;
mod path;
mod units;

use super::check::Checker;
use super::files::Files;
use super::problem::{Wrong, quoted};
use super::size::size;
use super::written;
use crate::plan;

/// Checks every part; `None` if a problem was reported. The profile's name is
/// its file's stem.
pub(crate) fn check(
    file: &written::ProfileFile,
    check: &mut Checker,
    files: &dyn Files,
) -> Option<plan::Profile> {
    let base = base::check(&file.base, check, files);
    let disk = file.disk.get().and_then(|disk| disk::check(disk, check));
    let firmware = file
        .firmware
        .get()
        .and_then(|firmware| firmware::check(firmware, check));
    let wifi_country = file
        .wifi
        .get()
        .and_then(|wifi| check.optional(&wifi.country, |code| country(code)));
    let journal_max = file
        .journal
        .get()
        .and_then(|journal| check.value(&journal.max, |max| size(max)));
    let mut taken = files::Taken::default();
    let artifacts = artifacts::check(&file.artifacts, &mut taken, check);
    let extra = files::check(&file.files, &mut taken, check, files);
    let packages = packages::check(&file.packages, check);
    let units = file
        .units
        .get()
        .and_then(|units| units::check(units, check));
    let machine_id = match file.machine_id.get()? {
        written::MachineId::Derived => plan::MachineId::Derived,
        written::MachineId::FirstBoot => plan::MachineId::FirstBoot,
    };
    let (enable_units, mask_units) = units?;
    Some(plan::Profile {
        name: check.path().file_stem()?.to_string_lossy().into_owned(),
        base: base?,
        disk: disk?,
        firmware: firmware?,
        wifi_country: wifi_country?,
        machine_id,
        journal_max: journal_max?,
        packages: packages?,
        artifacts: artifacts?,
        files: extra?,
        enable_units,
        mask_units,
    })
}

/// ISO 3166-1 alpha-2, by its form: which codes have rules is the kernel's to
/// know.
fn country(text: &str) -> Result<String, Wrong> {
    let hint = match text {
        "UK" | "uk" => "write \"GB\"".to_owned(),
        _ if text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase()) => {
            return Ok(text.to_owned());
        }
        _ if text.len() == 2 && text.bytes().all(|b| b.is_ascii_alphabetic()) => {
            format!("write \"{}\"", text.to_uppercase())
        }
        _ => "write the country's two letters, such as \"DE\"".to_owned(),
    };
    Err(Wrong::new(
        format!("{} is not a country code", quoted(text)),
        hint,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries() {
        assert_eq!(country("DE").as_deref(), Ok("DE"));
        for (bad, hint) in [
            ("UK", "write \"GB\""),
            ("de", "write \"DE\""),
            ("00", "write the country's two letters, such as \"DE\""),
            ("DEU", "write the country's two letters, such as \"DE\""),
        ] {
            assert_eq!(
                country(bad).map_err(|wrong| wrong.hint),
                Err(hint.to_owned())
            );
        }
    }
}
