//! Rooms on small images made here, judged by the tools everybody uses:
//! e2fsck, debugfs, fsck.vfat, mtools, sgdisk, gpg.

mod boot;
mod cache;
mod compose;
mod diff;
mod fixture;
mod flash;
mod gitops;
mod init;
mod inspect;
mod nodes;
mod root;
mod secrets;
mod signature;
mod source;
mod terminal;
mod unpack;
mod used;
mod watch;
mod workflows;
