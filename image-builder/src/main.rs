//! `imgbuild`: composes Raspberry Pi 5 node images that boot from an SSD.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = imgbuild::cli::Cli::parse();
    imgbuild::cli::run(cli)
}
