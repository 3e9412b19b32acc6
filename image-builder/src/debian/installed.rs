//! What the image has: dpkg's status (dpkg(1), deb-control(5)).

use anyhow::{Context as _, bail};

use super::package::Package;
use super::stanza::stanzas;
use crate::overlay::{BaseView, Part};

/// dpkg's list of packages.
pub const STATUS: &str = "/var/lib/dpkg/status";

/// The packages of the image and its architecture.
#[derive(Debug)]
pub(super) struct Installed<'a> {
    /// That of its dpkg.
    pub(super) architecture: &'a str,
    /// Also those of other architectures.
    pub(super) packages: Vec<Package<'a>>,
}

/// The text of dpkg's status.
pub(super) fn read_status(base: &dyn BaseView) -> anyhow::Result<String> {
    let context = || format!("reading {STATUS} of the image");
    let bytes = base.read(Part::Root, STATUS).with_context(context)?;
    let bytes = bytes.context("there is none: the image is not Debian's kind");
    String::from_utf8(bytes.with_context(context)?).with_context(context)
}

impl<'a> Installed<'a> {
    /// Reads a status.
    ///
    /// # Errors
    /// With the line that cannot be read, or the package in whose midst dpkg
    /// stopped.
    pub(super) fn parse(status: &'a str) -> anyhow::Result<Self> {
        let mut packages = Vec::new();
        for stanza in stanzas(status) {
            let stanza = stanza.with_context(|| format!("reading {STATUS} of the image"))?;
            let line = stanza.line;
            let state = stanza.value("Status").unwrap_or_default();
            match state.split_whitespace().next_back() {
                Some("not-installed" | "config-files") => continue,
                Some("installed" | "triggers-pending" | "triggers-awaited") => {}
                _ => bail!(
                    "{STATUS}:{line}: the image's `{}` is in the state `{state}`; take an image \
                     in which all packages are installed",
                    stanza.value("Package").unwrap_or("?")
                ),
            }
            let package = Package::read(&stanza);
            let mut package = package.map_err(|what| anyhow::anyhow!("{STATUS}:{line}: {what}"))?;
            package.installed = true;
            packages.push(package);
        }
        // dpkg's own list of architectures is there only where there are
        // several; dpkg itself is everywhere.
        let dpkg = packages.iter().find(|package| package.name == "dpkg");
        let dpkg = dpkg.with_context(|| format!("{STATUS} of the image lists no dpkg"))?;
        Ok(Self {
            architecture: dpkg.architecture,
            packages,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stanza(name: &str, state: &str) -> String {
        format!("Package: {name}\nStatus: {state}\nVersion: 1\nArchitecture: arm64\n\n")
    }

    #[test]
    fn what_is_installed_is_read_and_what_was_is_not() {
        let status = stanza("dpkg", "install ok installed")
            + &stanza("a", "deinstall ok config-files")
            + &stanza("b", "install ok triggers-pending")
            + &stanza("c", "hold ok installed");
        let installed = Installed::parse(&status).expect("status");
        let names: Vec<&str> = installed
            .packages
            .iter()
            .map(|package| package.name)
            .collect();
        assert_eq!(names, ["dpkg", "b", "c"]);
        assert_eq!(installed.architecture, "arm64");
    }

    #[test]
    fn what_cannot_be_built_on_is_refused() {
        for (status, expected) in [
            (
                stanza("a", "install ok installed"),
                "/var/lib/dpkg/status of the image lists no",
            ),
            (
                stanza("dpkg", "install ok installed") + &stanza("a", "install ok half-installed"),
                "/var/lib/dpkg/status:6: the image's `a` is in the state `install ok half-",
            ),
            (
                "Package: a\nStatus: install ok installed\nVersion: a b\n".to_owned(),
                "/var/lib/dpkg/status:1: `a b` is no version",
            ),
        ] {
            let error = Installed::parse(&status).expect_err(expected).to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
