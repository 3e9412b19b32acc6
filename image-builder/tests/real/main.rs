//! The program on a real Debian arm64 system: builds it, boots it, cuts it.
//!
//! Needs the base image of `make base` and the agent of `ci/build`, and the one
//! of packages the files of `cargo xtask repo`; without them each test says so and is skipped, or fails where `IMGBUILD_NO_SKIP` is
//! set, as it is in CI.

mod boot;
mod build;
mod lab;
mod packages;
