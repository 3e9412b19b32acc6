//! What dpkg has on record as installed.

use std::cmp::Ordering;

use node_config::Package;

use crate::system::{Command, System, SystemError};

/// `dpkg-query --show` in this form. All packages: asked for one it does not
/// know, dpkg-query fails.
const FORM: &str =
    "${Package}\t${Architecture}\t${Version}\t${db:Status-Eflag} ${db:Status-Status}\n";

/// Nothing is wrong with the package, and all of it is set up. Whether it is
/// wanted, held or to be removed some day is not asked.
const WELL: &str = "ok installed";

/// The packages that are whole and set up.
#[derive(Debug)]
pub(super) struct Installed(Vec<Row>);

#[derive(Debug)]
struct Row {
    name: String,
    architecture: String,
    version: String,
}

impl Installed {
    /// Asks dpkg.
    ///
    /// # Errors
    /// When there is no dpkg, or its record cannot be read.
    pub(super) fn ask(sys: &dyn System) -> Result<Self, SystemError> {
        let form = format!("--showformat={FORM}");
        let query = Command::new("dpkg-query", &["--show", &form]);
        Ok(Self(sys.run(&query)?.lines().filter_map(row).collect()))
    }

    /// Whether this package is there, in this version or a newer one.
    pub(super) fn has(&self, package: &Package) -> bool {
        self.0.iter().any(|row| {
            row.name == package.name
                && row.architecture == package.architecture
                && is_as_new(&row.version, &package.version)
        })
    }

    /// Name and version of each.
    pub(super) fn each(&self) -> impl Iterator<Item = (&str, &str)> {
        let rows = self.0.iter();
        rows.map(|row| (row.name.as_str(), row.version.as_str()))
    }
}

fn row(line: &str) -> Option<Row> {
    let mut fields = line.split('\t').map(String::from);
    let row = Row {
        name: fields.next()?,
        architecture: fields.next()?,
        version: fields.next()?,
    };
    (fields.next()? == WELL).then_some(row)
}

/// By Debian's order of versions. A damaged record is not ASCII, and as old as
/// can be.
fn is_as_new(found: &str, wanted: &str) -> bool {
    found.is_ascii() && deb_version::compare_versions(found, wanted) != Ordering::Less
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn only_what_is_well_counts() {
        let package = Package {
            name: "a".into(),
            version: "1.10-1".into(),
            architecture: "arm64".into(),
            file: "a.deb".into(),
            sha256: String::new(),
        };
        for (line, expected) in [
            ("a\tarm64\t1.10-1\tok installed", true),
            ("a\tarm64\t1.11-1\tok installed", true),
            ("a\tarm64\t1.9-1\tok installed", false),
            ("a\tarmhf\t1.10-1\tok installed", false),
            ("aa\tarm64\t1.10-1\tok installed", false),
            ("a\tarm64\t1.10-1\tok half-configured", false),
            ("a\tarm64\t1.10-1\tok triggers-pending", false),
            ("a\tarm64\t1.10-1\treinstreq half-installed", false),
            ("a\tarm64\t1.10-1\treinstreq installed", false),
            ("a\tarm64\t\tok not-installed", false),
            ("a\tarm64\t\u{fffd}\tok installed", false),
            ("a\tarm64", false),
            ("", false),
        ] {
            let installed = Installed(row(line).into_iter().collect());
            assert_eq!(installed.has(&package), expected, "{line:?}");
        }
    }

    /// A second opinion: dpkg's own.
    #[test]
    fn versions_are_ordered_as_dpkg_orders_them() {
        let versions = [
            "0",
            "1",
            "1.0",
            "1.0-0",
            "1.0-1",
            "1.0-1+b1",
            "1.0-1+deb13u2",
            "1.0-1~bpo12+1",
            "1.0~rc1-1",
            "1.00",
            "1.10",
            "1.9",
            "1.9a",
            "1.9+dfsg",
            "1.9.1",
            "0:1",
            "1:0.1",
            "2:1.02.205-2",
            "10:0",
            "a",
            "2.1.11-2.1.12-1",
        ];
        for found in versions {
            for wanted in versions {
                let mut dpkg = Command::new("dpkg");
                dpkg.args(["--compare-versions", found, "ge", wanted]);
                let status = dpkg.stderr(std::process::Stdio::null()).status();
                let status = status.expect("dpkg, as on every Debian");
                assert_eq!(
                    is_as_new(found, wanted),
                    status.success(),
                    "{found} ge {wanted}"
                );
            }
        }
    }
}
