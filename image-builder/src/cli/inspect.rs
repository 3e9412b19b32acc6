//! `imgbuild inspect`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Subcommand;

use super::terminal::{print_json, print_text};
use crate::inspect::diff::diff;
use crate::inspect::{self, Image};
use crate::io::Region;
use crate::source::BaseError;

/// Arguments of `imgbuild inspect`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The image: one of ours, or any base.
    image: PathBuf,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List a directory, or show one file's entry.
    Ls {
        /// An absolute path; below /boot/firmware it is the boot partition's.
        #[arg(default_value = "/")]
        path: String,
    },
    /// Print a file.
    Cat {
        /// As for `ls`.
        path: String,
    },
    /// Show what another image has that this one has not, and the other way round:
    /// partitions, kernel words, packages, units, files.
    Diff {
        /// The other image.
        other: PathBuf,
    },
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let name = args.image.display();
    let looking = || format!("looking into {name}");
    let image = open(&args.image).with_context(looking)?;
    match &args.action {
        None if args.json => print_json(&image.summary()),
        None => print_text(inspect::text::summary(
            &args.image.display().to_string(),
            &image.summary(),
        )),
        Some(Action::Ls { path }) => {
            let Some(rows) = image.ls(path).with_context(looking)? else {
                bail!("{name} has no {path}")
            };
            if args.json {
                print_json(&rows)
            } else {
                print_text(inspect::text::listing(&rows))
            }
        }
        Some(Action::Cat { path }) => match image.cat(path).with_context(looking)? {
            Some(content) => print_text(content),
            None => bail!("{name} has no {path}"),
        },
        Some(Action::Diff { other }) => {
            let what = || format!("looking into {}", other.display());
            let other = open(other).with_context(what)?;
            let differences = diff(&image, &other).context("comparing the two images")?;
            if args.json {
                return print_json(&differences);
            }
            let lines = differences.iter().map(|line| format!("{line}\n"));
            print_text(lines.collect::<String>())?;
            eprintln!("{} differences", differences.len());
            Ok(())
        }
    }
}

fn open(path: &Path) -> anyhow::Result<Image> {
    let file = File::open(path).map_err(BaseError::Open)?;
    let whole = Region::whole(Arc::new(file)).map_err(BaseError::Open)?;
    Ok(Image::open(whole)?)
}
