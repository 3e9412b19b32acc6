//! Chores of this repository, run as `cargo xtask <chore>`.
//! Nothing here is part of the product: the product builds images without root and without an emulator, these fixtures do not.

mod base;
mod bench;
mod cache;
mod cmd;
mod repo;
mod steps;

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Chores of this repository")]
enum Chore {
    /// Makes the Debian arm64 image, shaped like Raspberry Pi OS Lite, that tests compose nodes from.
    Base(base::Request),
    /// The part of `base` that needs root, in namespaces of its own; `base` calls it.
    #[command(hide = true)]
    BaseTree(base::tree::Request),
    /// Makes a small signed repository of real Debian arm64 packages, and the full index beside it.
    Repo(repo::Request),
    /// Holds `imgbuild build` against standard tools on the same disk, and writes out/bench.tsv.
    Bench(bench::Request),
}

fn main() -> ExitCode {
    let done = match Chore::parse() {
        Chore::Base(request) => base::make(&request),
        Chore::BaseTree(request) => base::tree::build(&request),
        Chore::Repo(request) => repo::make(&request),
        Chore::Bench(request) => bench::run(&request),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
