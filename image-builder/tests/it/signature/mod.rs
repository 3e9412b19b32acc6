//! Signatures that GnuPG made, good and bad, and the real ones of Debian.

mod archive;
mod cleartext;
mod detached;
mod gpg;
mod keyring;
mod sums;
mod version6;
