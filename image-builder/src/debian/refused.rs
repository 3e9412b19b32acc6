//! Versions that are known to be broken for what these nodes do.

use anyhow::bail;

use super::package::Package;

/// A package, an upstream version of it, and why nobody wants it.
const REFUSED: &[(&str, &str, &str)] = &[(
    // longhorn/longhorn issue 13733.
    "open-iscsi",
    "2.1.12",
    "with it Longhorn cannot attach volumes; use 2.1.11 or earlier, or 2.1.13 or later, from \
     another suite or snapshot",
)];

/// # Errors
/// When the version is a broken one.
pub(super) fn check(package: &Package<'_>) -> anyhow::Result<()> {
    for (name, upstream, why) in REFUSED {
        if package.name == *name && upstream_of(package) == *upstream {
            bail!("{package} is refused: {why}");
        }
    }
    Ok(())
}

/// The upstream version without what a repackaging puts behind it (`+ds`).
fn upstream_of<'a>(package: &'a Package<'_>) -> &'a str {
    let version = &package.version.upstream_version;
    version.split('+').next().unwrap_or(version)
}
