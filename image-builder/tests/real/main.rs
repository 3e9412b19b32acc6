//! The program on a real Debian arm64 system: builds it, boots it, cuts it.
//!
//! Needs the base image of `make base`, the agent of `ci/build`, and for packages
//! the files of `cargo xtask repo`; without them a test says so and is skipped,
//! or fails where `IMGBUILD_NO_SKIP` is set, as it is in CI.

mod boot;
mod borrow;
mod build;
mod canary;
mod cluster;
mod cuts;
mod devices;
mod disk;
mod figures;
mod k3s;
mod lab;
mod lock;
mod loops;
mod nodes;
mod packages;
mod release;
mod resolve;
mod secrets;
mod seed;
mod switch;
mod write;
