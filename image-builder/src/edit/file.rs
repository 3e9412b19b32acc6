//! The changed text becomes the file.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use crate::io::Scratch;

/// Replaces a file's content as a whole, or not at all. Its mode stays; of a
/// symbolic link, what it leads to is replaced.
///
/// # Errors
/// When the file is gone, or the new one cannot be written beside it.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let scratch = Scratch::new(path.parent().unwrap_or(Path::new("/")))?;
    scratch.file().write_all(text.as_bytes())?;
    scratch
        .file()
        .set_permissions(fs::metadata(&path)?.permissions())?;
    scratch.keep(&path, true)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn mode_and_link_stay() {
        let dir = tempfile::tempdir().expect("directory");
        let (file, link) = (dir.path().join("real.toml"), dir.path().join("link.toml"));
        fs::write(&file, "old").expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("mode");
        symlink("real.toml", &link).expect("link");
        replace(&link, "new").expect("replaced");
        assert_eq!(fs::read_to_string(&file).expect("text"), "new");
        assert!(link.is_symlink());
        let mode = fs::metadata(&file).expect("file").permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        fs::remove_file(&file).expect("removed");
        assert!(replace(&link, "new").is_err());
    }
}
