//! Signatures and checksums that foreign tools made.

mod sums;
