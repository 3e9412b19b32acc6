//! `imgbuild keygen`.

use std::fs;
use std::path::PathBuf;

use super::hand_out::hand_out;
use super::signing::new_password;
use super::terminal::print_text;
use crate::release::sign::generate;
use crate::sink::SinkError;

/// Arguments of `imgbuild keygen`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the secret key goes; the public one is beside it, with `.pub`.
    file: PathBuf,
    /// Protect it by nothing but the mode of its file.
    #[arg(long)]
    no_password: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut public_file = args.file.clone().into_os_string();
    public_file.push(".pub");
    let public_file = PathBuf::from(public_file);
    // Before anybody is asked for anything: a key that is lost signs nothing.
    for path in [&args.file, &public_file] {
        if path.symlink_metadata().is_ok() {
            return Err(SinkError::Exists(path.clone()).into());
        }
    }
    let password = match args.no_password {
        true => None,
        false => Some(new_password()?),
    };
    let (secret, public) = generate(password.as_ref())?;
    hand_out("the signing key", &secret, Some(&args.file), false)?;
    fs::write(&public_file, &public)
        .map_err(|error| SinkError::Write(public_file.clone(), error))?;
    let line = public.lines().last().unwrap_or_default();
    eprintln!(
        "{} is its public half; whoever uses your releases puts it into the cluster file:\n  \
         [release]\n  keys = [\"{line}\"]",
        public_file.display()
    );
    print_text(format!("{line}\n"))
}
