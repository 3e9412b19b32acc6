//! `[base]`: what the image starts from.

use crate::config::check::Checker;
use crate::config::download::{digest, url};
use crate::config::field::Field;
use crate::config::files::{Files, resolve};
use crate::config::problem::{Wrong, quoted};
use crate::config::written;
use crate::plan::{BaseLocation, BaseRef, Signer};

pub(crate) fn check(
    base: &Field<written::Base>,
    check: &mut Checker,
    files: &dyn Files,
) -> Option<BaseRef> {
    let written::Base {
        url: address,
        file,
        sha256,
        signer,
        signer_key,
    } = base.get()?;
    let digest = check.optional(sha256, |text| digest(text));
    let signer = self::signer(signer, signer_key, check, files);
    if signer.as_ref().is_some_and(Option::is_some) && address.is_absent() {
        let message = "only a download is signed";
        let hint = "leave `signer` out for a base that is a `file`";
        check.misplaced(&base.span(), Wrong::new(message, hint));
    }
    let location = match (address.is_absent(), file.is_absent()) {
        (false, true) => {
            if sha256.is_absent() {
                let hint = "add the sha256 that the publisher names beside the download";
                check.misplaced(
                    &address.span(),
                    Wrong::new("a download without `sha256` cannot be trusted", hint),
                );
            }
            check
                .value(address, |text| url(text))
                .map(BaseLocation::Url)
        }
        (true, false) => {
            let path = check.value(file, |file| self::file(file));
            path.map(|path| BaseLocation::File(resolve(files, check.path(), &path)))
        }
        (both_absent, _) => {
            let message = if both_absent {
                "[base] says neither `url` nor `file`"
            } else {
                "[base] says both `url` and `file`"
            };
            check.misplaced(&base.span(), Wrong::new(message, "write one of the two"));
            None
        }
    };
    Some(BaseRef {
        location: location?,
        sha256: digest?,
        signer: signer?,
    })
}

/// Who must have signed the download, if anybody.
fn signer(
    signer: &Field<String>,
    key: &Field<String>,
    check: &mut Checker,
    files: &dyn Files,
) -> Option<Option<Signer>> {
    let fingerprint = check.optional(signer, |text| fingerprint(text))?;
    let key_file = check.optional(key, |file| self::file(file))?;
    match (fingerprint, key_file) {
        (Some(fingerprint), key_file) => Some(Some(Signer {
            fingerprint,
            key: key_file.map(|file| resolve(files, check.path(), &file)),
        })),
        (None, None) => Some(None),
        (None, Some(_)) => {
            let message = "a key without `signer` says nothing";
            let hint = "add its fingerprint as `signer`; `gpg --show-keys FILE` prints it";
            check.misplaced(&key.span(), Wrong::new(message, hint));
            None
        }
    }
}

/// As RFC 9580, section 5.5.4, has them: 20 bytes for keys of version 4, 32 for
/// those of version 6. `gpg` prints them with spaces.
fn fingerprint(text: &str) -> Result<String, Wrong> {
    let digits: String = text.split_whitespace().collect();
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex && matches!(digits.len(), 40 | 64) {
        return Ok(digits.to_ascii_uppercase());
    }
    let message = format!("{} is not the fingerprint of a key", quoted(text));
    let hint = "write all 40 or 64 hex digits; a short key id can be forged";
    Err(Wrong::new(message, hint))
}

fn file(text: &str) -> Result<String, Wrong> {
    if text.is_empty() || text.contains('\0') {
        return Err(Wrong::new(
            format!("{} is not a file", quoted(text)),
            "write the image's path",
        ));
    }
    if text.contains("://") {
        let message = format!("{} is a web address, not a file", quoted(text));
        return Err(Wrong::new(message, "write url = instead of file ="));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints() {
        let printed = "F4AA DD86 C468 7D69 AE04  543E 796C 114A D12B 2292";
        let plain = "F4AADD86C4687D69AE04543E796C114AD12B2292";
        assert_eq!(fingerprint(printed).as_deref(), Ok(plain));
        assert_eq!(fingerprint(&plain.to_lowercase()).as_deref(), Ok(plain));
        for bad in ["", "796C114AD12B2292", "0xD12B2292", &"G".repeat(40)] {
            assert!(fingerprint(bad).is_err(), "{bad}");
        }
    }
}
