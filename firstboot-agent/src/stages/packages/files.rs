//! The package files: whole before they are used, gone when all is well.

use std::time::Duration;

use node_config::{Package, paths};

use super::StageError;
use crate::system::{Command, System, SystemError};

/// Some hundred MiB from a slow card.
const LIMIT: Duration = Duration::from_secs(5 * 60);

/// Where the file of a package lies.
pub(super) fn path(package: &Package) -> String {
    format!("{}/{}", paths::PACKAGES_DIR, package.file)
}

/// Whether a file is still there.
pub(super) fn any_left(packages: &[Package], sys: &dyn System) -> Result<bool, SystemError> {
    for package in packages {
        if sys.mode(&path(package))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Checks that the files are those of the image.
///
/// # Errors
/// Fatal for a file that is missing or another one: only a new image helps.
pub(super) fn verify(packages: &[&Package], sys: &dyn System) -> Result<(), StageError> {
    if packages.is_empty() {
        return Ok(());
    }
    for package in packages {
        if sys.mode(&path(package))?.is_none() {
            return Err(lost(package, "is missing"));
        }
    }
    // coreutils is on every Debian, and reads no whole file into memory.
    let paths: Vec<String> = packages.iter().map(|package| path(package)).collect();
    let args: Vec<&str> = paths.iter().map(String::as_str).collect();
    let mut sha256sum = Command::new("sha256sum", &args);
    sha256sum.limit = LIMIT;
    let sums = sys.run(&sha256sum)?;
    for package in packages {
        let line = format!("{}  {}", package.sha256, path(package));
        if !sums.lines().any(|sum| sum == line) {
            return Err(lost(package, "is not the file that was baked in"));
        }
    }
    Ok(())
}

/// Removes the files.
pub(super) fn remove(packages: &[Package], sys: &dyn System) -> Result<(), StageError> {
    for package in packages {
        sys.remove(&path(package))?;
    }
    Ok(())
}

fn lost(package: &Package, what: &str) -> StageError {
    StageError::Fatal(format!(
        "{} cannot be installed, {} {what}: write the image again, and if it comes back, replace \
         the disk",
        package.name,
        path(package),
    ))
}
