//! What this boot has waited for in vain and goes on without. The note lies in
//! memory: the next boot waits again.

use crate::system::{System, SystemError, read_text};

const DIR: &str = "/run/imgbuild";

/// Whether this boot has given it up.
pub(super) fn in_vain(sys: &dyn System, what: &str) -> Result<bool, SystemError> {
    Ok(sys.mode(&format!("{DIR}/no-{what}"))?.is_some())
}

/// Gives it up for this boot.
pub(super) fn give_up(sys: &dyn System, what: &str) -> Result<(), SystemError> {
    settle_for(sys, what, "")
}

/// The same, for something that does nearly as well.
pub(super) fn settle_for(sys: &dyn System, what: &str, instead: &str) -> Result<(), SystemError> {
    sys.make_dir(DIR, 0o755)?;
    sys.write(&format!("{DIR}/no-{what}"), 0o644, instead.as_bytes())
}

/// What this boot has settled for; empty if nothing.
pub(super) fn instead(sys: &dyn System, what: &str) -> Result<String, SystemError> {
    read_text(sys, &format!("{DIR}/no-{what}"))
}
