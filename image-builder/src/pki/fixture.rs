//! The same authorities in every test: an RSA key costs a second.

use std::sync::OnceLock;

use time::OffsetDateTime;

use super::Authorities;
use crate::secret::fixture::Sequence;

/// When they were made: 2026-11-27.
pub(crate) fn made() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_795_776_000).expect("a time")
}

/// Made from a known sequence: worthless outside tests.
pub(crate) fn authorities() -> &'static Authorities {
    static MINTED: OnceLock<Authorities> = OnceLock::new();
    MINTED.get_or_init(|| Authorities::mint(&mut Sequence(1 << 32), made()).expect("minted"))
}
