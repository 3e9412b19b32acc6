//! What the signature targets check against: a text and the keys that signed it.

use std::fs;
use std::sync::LazyLock;

use imgbuild::signature::openpgp::Keyring;
use time::OffsetDateTime;

/// The text that `ci/fuzz/seeds` has signed.
pub const TEXT: &[u8] = b"Origin: imgbuild\n- a dash\n\nfrom here\n";

/// When it is looked at: the day after it was signed.
pub static AT: LazyLock<OffsetDateTime> =
    LazyLock::new(|| OffsetDateTime::from_unix_timestamp(1_760_100_000).expect("a time"));

/// Every key that signed it.
pub static RING: LazyLock<Keyring> = LazyLock::new(|| {
    let path = crate::seed("keyring/ring.gpg");
    let bytes = fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run ci/fuzz/seeds", path.display()));
    Keyring::parse(&bytes).expect("the seed")
});
