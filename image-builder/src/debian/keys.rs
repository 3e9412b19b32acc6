//! The keys a source may be signed with, out of the image.

use anyhow::{Context as _, bail};

use super::sources::{SignedBy, Source};
use crate::overlay::{BaseView, Part};

const TRUSTED: &str = "/etc/apt/trusted.gpg";
const TRUSTED_PARTS: &str = "/etc/apt/trusted.gpg.d";

/// The keyrings for one source, binary or armored as they lie there.
pub(super) fn of(source: &Source, base: &dyn BaseView) -> anyhow::Result<Vec<Vec<u8>>> {
    let place = &source.place;
    let read = |file: &str| {
        base.read(Part::Root, file)
            .with_context(|| format!("{place}: reading the keys in {file} of the image"))
    };
    let files = match &source.signed_by {
        SignedBy::Block(block) => return Ok(vec![block.clone().into_bytes()]),
        SignedBy::Files(files) => files.clone(),
        SignedBy::Trusted => {
            let parts = base.list(Part::Root, TRUSTED_PARTS);
            let parts = parts.with_context(|| format!("listing {TRUSTED_PARTS} of the image"))?;
            let keys = parts
                .iter()
                .filter(|name| name.ends_with(".gpg") || name.ends_with(".asc"));
            let parts = keys.map(|name| format!("{TRUSTED_PARTS}/{name}"));
            let mut keyrings = Vec::new();
            for file in std::iter::once(TRUSTED.to_owned()).chain(parts) {
                // apt leaves an empty trusted.gpg behind.
                keyrings.extend(read(&file)?.filter(|bytes| !bytes.is_empty()));
            }
            if keyrings.is_empty() {
                bail!(
                    "{place}: the source names no key, and the image trusts none: {TRUSTED} and \
                     {TRUSTED_PARTS} are empty; name the key with Signed-By"
                );
            }
            return Ok(keyrings);
        }
    };
    files
        .iter()
        .map(|file| {
            read(file)?
                .with_context(|| format!("{place}: the image has no {file}, the source's key"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::debian::sources::parse;
    use crate::overlay::memory::MemoryBase;

    #[test]
    fn keys_are_those_the_source_names_or_the_trusted_ones() {
        let base = MemoryBase::default().files(
            Part::Root,
            &[
                ("/k/a.gpg", "a"),
                (TRUSTED, ""),
                ("/etc/apt/trusted.gpg.d/b.asc", "b"),
                ("/etc/apt/trusted.gpg.d/README", "c"),
            ],
        );
        for (option, expected) in [("[signed-by=/k/a.gpg]", "a"), ("", "b")] {
            let text = format!("deb {option} http://x.test s main");
            let source = &parse("a.list", &text).expect("source")[0];
            assert_eq!(of(source, &base).expect("keys"), [expected.as_bytes()]);
        }
        for (option, bare, expected) in [
            (
                "[signed-by=/k/b.gpg]",
                base,
                "a.list:1: the image has no /k/b.gpg",
            ),
            (
                "",
                MemoryBase::default(),
                "a.list:1: the source names no key",
            ),
        ] {
            let text = format!("deb {option} http://x.test s main");
            let source = &parse("a.list", &text).expect("source")[0];
            let error = of(source, &bare).expect_err(option).to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
