//! The same host keys in every test run, so that texts made from them can be
//! compared. Made from a known sequence: worthless outside tests.

use std::sync::OnceLock;

use super::HostKeys;
use crate::secret::fixture::Sequence;

/// Keys of the node `pi-1`; made once, an RSA key costs a second.
pub(crate) fn host_keys() -> &'static HostKeys {
    static KEYS: OnceLock<HostKeys> = OnceLock::new();
    KEYS.get_or_init(|| HostKeys::generate(&mut Sequence(0), "pi-1").expect("fixture keys"))
}
