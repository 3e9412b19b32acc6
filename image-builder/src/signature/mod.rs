//! Whether bytes from outside are what their publisher signed. Pure: bytes in,
//! no file, no network, no clock. What comes out of here only a good signature
//! can make, so nobody downstream checks again.

pub mod openpgp;
pub mod sums;
