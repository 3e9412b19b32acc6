//! The command line: one file per subcommand, which turns arguments into a
//! request and its result into words. Data goes to stdout, talk to stderr.

mod attest;
mod build;
mod cache;
mod charts;
mod check;
mod devices;
mod exit;
mod explain;
mod export;
mod fetch;
mod gitops;
mod hand_out;
mod init;
mod inspect;
mod keygen;
mod kubeconfig;
mod lock;
mod making;
mod network;
mod node;
mod published;
mod rebuild;
mod release;
mod schema;
mod secrets;
mod seed;
mod shell;
mod sign;
mod signing;
mod terminal;
mod r#try;
mod unlock;
mod verify;
mod watch;
mod write;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use tempfile::TempDir;

use crate::config::{self, Workspace};
use crate::io;
use crate::source::Cache;

/// Composes Raspberry Pi 5 node images that boot from an SSD.
#[derive(Debug, Parser)]
#[command(name = "imgbuild", version, after_help = exit::HELP)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Where things are.
#[derive(Debug, clap::Args)]
struct Global {
    /// The cluster file.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "cluster/cluster.toml"
    )]
    cluster: PathBuf,
    /// Where profiles are [default: `profiles` beside the cluster file's folder].
    #[arg(long, global = true, value_name = "DIR")]
    profiles: Option<PathBuf>,
    /// Where unpacked bases are kept [default: $IMGBUILD_CACHE or ~/.cache/imgbuild].
    #[arg(long, global = true, value_name = "DIR")]
    cache: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a new cluster's folder: cluster file, profiles, secrets.
    Init(init::Args),
    /// Read the cluster file and its profiles, and report every problem.
    Check(check::Args),
    /// Add, list, show, replace and retire nodes.
    Node(node::Args),
    /// Tell in plain words what a node's image holds and what it does at its first
    /// boot.
    Explain(explain::Args),
    /// Print the nodes for other programs: name servers, Ansible, ssh.
    Export(export::Args),
    /// Check and list what Argo CD makes of the tree beside the cluster file.
    Gitops(gitops::Args),
    /// Print the JSON schema of a configuration file, for editors.
    Schema(schema::Args),
    /// Resolve what the cluster and its profiles ask for, and write the lock.
    Lock(lock::Args),
    /// Bring everything that is locked into the cache.
    Fetch(fetch::Args),
    /// Compose a node's image.
    Build(build::Args),
    /// Write a node or an image to a disk, read back.
    Write(write::Args),
    /// Give a disk that has a release already a node, by its boot partition.
    Seed(seed::Args),
    /// Make and sign a release: an image without a node, and what lets others check
    /// it.
    Release(release::Args),
    /// Sign a release that was made without the key.
    Sign(sign::Args),
    /// Sign that a release's very image was booted, and how that went.
    Attest(attest::Args),
    /// Make a release again and compare, byte for byte.
    Rebuild(rebuild::Args),
    /// Make a key that signs releases.
    Keygen(keygen::Args),
    /// Tell whether a release is signed, whole and unchanged, or whether a disk still
    /// holds what was written to it.
    Verify(verify::Args),
    /// Make, show and change the cluster's secrets: one encrypted file.
    Secrets(secrets::Args),
    /// Write an administrator's kubeconfig, with a client certificate for a year.
    Kubeconfig(kubeconfig::Args),
    /// Boot a scratch copy of an image in QEMU and follow its first boot.
    Try(r#try::Args),
    /// Follow the first boot of nodes on the network, until all are done.
    Watch(watch::Args),
    /// Show, verify and prune what is kept of bases.
    Cache(cache::Args),
    /// Keep Helm charts of others in the repository: vendor, check, update.
    Charts(charts::Args),
    /// Look into an image; nothing is mounted or written.
    Inspect(inspect::Args),
    /// Print a shell's completions.
    Completions(shell::Completions),
    /// Write manual pages.
    Man(shell::Man),
    /// Show the disks that can be written to, and why others are refused.
    Devices(devices::Args),
}

/// Runs the command, prints the error if it fails, and says how it ended.
pub fn run(cli: Cli) -> ExitCode {
    let global = &cli.global;
    let result = match &cli.command {
        Command::Init(args) => init::run(args),
        Command::Check(args) => check::run(global, args),
        Command::Node(args) => node::run(global, args),
        Command::Explain(args) => explain::run(global, args),
        Command::Export(args) => export::run(global, args),
        Command::Gitops(args) => gitops::run(global, args),
        Command::Schema(args) => schema::run(args),
        Command::Lock(args) => lock::run(global, args),
        Command::Fetch(args) => fetch::run(global, args),
        Command::Build(args) => build::run(global, args),
        Command::Write(args) => write::run(global, args),
        Command::Seed(args) => seed::run(global, args),
        Command::Release(args) => release::run(global, args),
        Command::Sign(args) => sign::run(args),
        Command::Attest(args) => attest::run(args),
        Command::Rebuild(args) => rebuild::run(global, args),
        Command::Keygen(args) => keygen::run(args),
        Command::Verify(args) => verify::run(global, args),
        Command::Secrets(args) => secrets::run(global, args),
        Command::Kubeconfig(args) => kubeconfig::run(global, args),
        Command::Try(args) => r#try::run(global, args),
        Command::Watch(args) => watch::run(global, args),
        Command::Cache(args) => cache::run(global, args),
        Command::Charts(args) => charts::run(global, args),
        Command::Inspect(args) => inspect::run(args),
        Command::Completions(args) => shell::completions(args),
        Command::Man(args) => shell::man(args),
        Command::Devices(args) => devices::run(global, args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error),
    }
}

impl Global {
    fn workspace(&self) -> Result<Workspace, config::Problems> {
        config::load(&self.cluster, &self.profiles())
    }

    fn profiles(&self) -> PathBuf {
        let given = self.profiles.clone();
        given.unwrap_or_else(|| config::default_profiles_dir(&self.cluster))
    }

    fn cache(&self) -> anyhow::Result<Cache> {
        match &self.cache {
            Some(dir) => Ok(Cache::new(dir)),
            None => Cache::of_user(),
        }
    }

    /// A folder in the cache that is gone with the value: there is room for images.
    fn scratch(&self) -> anyhow::Result<TempDir> {
        let cache = self.cache()?;
        let dir = cache.dir();
        fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
        io::scratch::folder(dir).context("making a scratch folder")
    }
}
