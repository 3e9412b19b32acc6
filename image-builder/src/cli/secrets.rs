//! `imgbuild secrets`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use node_config::Role;
use time::OffsetDateTime;

use super::Global;
use super::hand_out::hand_out;
use super::terminal::{print_json, print_text};
use super::unlock::{Sealing, Unlocking, new_seal};
use crate::config::Workspace;
use crate::identity::HostKeys;
use crate::secret::{self, Secret};
use crate::secrets::{self, Entry, Repository, Seal, Secrets, SecretsError, Vault, What};

/// Larger than any key or list of host keys.
const LIMIT: u64 = 1 << 20;

/// Arguments of `imgbuild secrets`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    unlocking: Unlocking,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make the cluster's tokens, its CAs and every node's secrets.
    Init {
        #[command(flatten)]
        sealing: Sealing,
        /// Take the SSH host keys of a folder of plain files, as builds made them
        /// before: the nodes stay the same to everyone who knows them.
        #[arg(long, value_name = "DIR")]
        import: Option<PathBuf>,
    },
    /// Make the secrets of nodes that came to the cluster since.
    Add,
    /// List what is kept; no secret is shown, fingerprints only.
    Show {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a secret anew, and say what must follow.
    Rotate {
        #[command(subcommand)]
        what: Rotate,
    },
    /// Keep a secret that somebody else made.
    Set {
        #[command(subcommand)]
        what: Set,
    },
    /// Write one secret to a file (mode 0600), or to stdout where that is no
    /// terminal.
    Export {
        /// Its name, as `show` lists it.
        name: String,
        /// Where it goes.
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Replace a file that is there.
        #[arg(long, requires = "output")]
        force: bool,
    },
    /// Encrypt the file for somebody else.
    Rekey {
        #[command(flatten)]
        sealing: Sealing,
    },
}

#[derive(Debug, Subcommand)]
enum Set {
    /// What lets the cluster read its repository (`[gitops]`), if that is not open to
    /// all: a password or token over https, a private key over ssh.
    Repository {
        /// The file that holds it, `-` for stdin.
        #[arg(long, value_name = "FILE", required_unless_present = "none")]
        from: Option<PathBuf>,
        /// Over https, whose password it is; with a token, for many servers anything.
        #[arg(long, default_value = "git")]
        user: String,
        /// Over ssh, a file with the server's host keys, as `ssh-keyscan` prints them.
        #[arg(long, value_name = "FILE")]
        known_hosts: Option<PathBuf>,
        /// Keep none any more: the repository is open to all.
        #[arg(long, conflicts_with_all = ["from", "known_hosts"])]
        none: bool,
    },
}

#[derive(Debug, Subcommand)]
enum Rotate {
    /// The token with which servers join.
    ServerToken,
    /// The token with which agents join.
    AgentToken,
    /// A node's password for K3s.
    Node {
        /// The node.
        node: String,
    },
    /// A node's SSH host keys.
    Ssh {
        /// The node.
        node: String,
    },
}

pub(super) fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let workspace = global.workspace()?;
    let path = secrets::path(workspace.cluster_dir());
    let open = || -> anyhow::Result<Vault> {
        let unlock = args.unlocking.unlock()?;
        Ok(Vault::open(&path, workspace.cluster().id, &unlock)?)
    };
    match &args.action {
        Action::Init { sealing, import } => init(&workspace, &path, sealing, import.as_deref()),
        Action::Add => add(&workspace, &mut open()?),
        Action::Show { json } => show(open()?.secrets(), *json),
        Action::Rotate { what } => {
            let what = named(&workspace, what)?;
            rotate(&workspace, &mut open()?, &[what])
        }
        Action::Set {
            what:
                Set::Repository {
                    from,
                    user,
                    known_hosts,
                    none: _,
                },
        } => {
            let new = match from {
                Some(from) => Some(credential(&workspace, from, user, known_hosts.as_deref())?),
                None => None,
            };
            set_repository(&workspace, &mut open()?, new)
        }
        Action::Export {
            name,
            output,
            force,
        } => {
            let entry = open()?.secrets().entry(name)?;
            export(&entry, output.as_deref(), *force)
        }
        Action::Rekey { sealing } => {
            // A key that cannot be used is said before anybody is asked.
            let seal = sealing.for_keys()?;
            let mut vault = open()?;
            rekey(&mut vault, seal.map_or_else(new_seal, Ok)?)
        }
    }
}

fn init(
    workspace: &Workspace,
    path: &Path,
    sealing: &Sealing,
    import: Option<&Path>,
) -> anyhow::Result<()> {
    // Before anybody is asked for anything.
    if path.exists() {
        return Err(SecretsError::Exists(path.into()).into());
    }
    let plain = workspace.cluster_dir().join("secrets");
    if import.is_none() && plain.exists() {
        bail!(
            "{plain} holds SSH host keys of nodes; keep them with `--import {plain}`, or move the \
             folder away to give the nodes new ones",
            plain = plain.display()
        );
    }
    if import.is_some_and(|dir| !dir.is_dir()) {
        bail!("{} is not a folder", import.unwrap_or(path).display());
    }
    let seal = sealing.for_keys()?.map_or_else(new_seal, Ok)?;
    let mut rng = secret::source();
    let cluster = workspace.cluster().id;
    let at = OffsetDateTime::from(SystemTime::now());
    let mut secrets = Secrets::new(&mut rng, cluster, at)?;
    for node in workspace.node_names() {
        let keys = match import {
            Some(dir) => HostKeys::load(dir, node)?,
            None => None,
        };
        if import.is_some() && keys.is_none() {
            eprintln!("{node}: no host keys to import, new ones are made");
        }
        secrets.add_node(&mut rng, node, keys)?;
    }
    let vault = Vault::create(path, secrets, seal)?;
    let secrets = vault.secrets();
    eprintln!(
        "{} is written: the secrets of {} nodes, CA {}; commit it. It cannot be made again: \
         whoever loses it or what opens it has to make the cluster anew",
        path.display(),
        secrets.nodes.len(),
        secrets.ca_hash()?
    );
    if let Some(dir) = import {
        eprintln!(
            "the host keys of {} are in it now; remove the folder when `imgbuild secrets show` \
             works for you",
            dir.display()
        );
    }
    Ok(())
}

fn add(workspace: &Workspace, vault: &mut Vault) -> anyhow::Result<()> {
    let names: Vec<&str> = workspace.node_names().collect();
    let new = add_nodes(vault, &names)?;
    if new.is_empty() {
        eprintln!("every node of the cluster has its secrets");
    }
    Ok(())
}

/// Gives nodes without secrets theirs, and says so; their names.
pub(super) fn add_nodes(vault: &mut Vault, names: &[&str]) -> Result<Vec<String>, SecretsError> {
    let known = &vault.secrets().nodes;
    if names.iter().all(|name| known.contains_key(*name)) {
        return Ok(Vec::new());
    }
    let new = vault.change(|secrets| {
        let mut new = Vec::new();
        for name in names {
            if secrets.add_node(&mut secret::source(), name, None)? {
                new.push((*name).to_owned());
            }
        }
        Ok(new)
    })?;
    eprintln!(
        "{} has the secrets of {} now; commit it",
        vault.path().display(),
        new.join(", ")
    );
    Ok(new)
}

fn show(secrets: &Secrets, json: bool) -> anyhow::Result<()> {
    let entries = secrets.entries()?;
    let hash = secrets.ca_hash()?.to_string();
    let recipients: Vec<_> = secrets.recipients.iter().map(ToString::to_string).collect();
    if json {
        return print_json(&serde_json::json!({
            "cluster": secrets.cluster,
            "ca_hash": hash,
            "recipients": recipients,
            "entries": entries,
        }));
    }
    let mut text = format!("cluster    {}\nCA hash    {hash}\n", secrets.cluster);
    match recipients.is_empty() {
        true => text += "opens with a passphrase\n",
        false => {
            for recipient in &recipients {
                text += &format!("opens for  {recipient}\n");
            }
        }
    }
    let width = entries
        .iter()
        .map(|entry| entry.name.len())
        .max()
        .unwrap_or(0);
    for entry in &entries {
        let until = entry
            .not_after
            .and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
        let until = until.map_or(String::new(), |at| format!("  until {}", at.date()));
        text += &format!("{:width$}  {}{until}\n", entry.name, entry.fingerprint);
    }
    print_text(text)
}

/// What is to be made anew; a node must be one of the cluster's.
fn named(workspace: &Workspace, what: &Rotate) -> anyhow::Result<What> {
    let known = |node: &str| workspace.plan(node).map(|_| node.to_owned());
    Ok(match what {
        Rotate::ServerToken => What::ServerToken,
        Rotate::AgentToken => What::AgentToken,
        Rotate::Node { node } => What::Node(known(node)?),
        Rotate::Ssh { node } => What::Ssh(known(node)?),
    })
}

/// Makes these anew, all or none, and says what must follow.
pub(super) fn rotate(
    workspace: &Workspace,
    vault: &mut Vault,
    what: &[What],
) -> anyhow::Result<()> {
    vault.change(|secrets| {
        let mut each = what.iter();
        each.try_for_each(|what| secrets.rotate(&mut secret::source(), what))
    })?;
    let nodes = workspace.file().nodes.iter();
    let roles: BTreeMap<String, Role> = nodes
        .map(|entry| (entry.node.name.clone(), entry.node.role))
        .collect();
    eprintln!(
        "{} is changed; commit it. What must follow:",
        vault.path().display()
    );
    let (mut steps, mut images) = (Vec::new(), Vec::new());
    for follow_up in what.iter().map(|what| what.follow_up(&roles)) {
        steps.extend(follow_up.steps);
        images.extend(follow_up.images);
    }
    images.dedup();
    for (index, step) in steps.iter().enumerate() {
        eprintln!("  {}. {step}", index + 1);
    }
    eprintln!(
        "images to write again, in this order: {}",
        images.join(", ")
    );
    Ok(())
}

/// What a file holds, as what the repository of the cluster file takes.
fn credential(
    workspace: &Workspace,
    from: &Path,
    user: &str,
    known_hosts: Option<&Path>,
) -> anyhow::Result<Repository> {
    let Some(gitops) = &workspace.file().gitops else {
        bail!("the cluster file names no repository: add [gitops] first");
    };
    let content = Secret::new(read_text(from)?);
    let is_for = || format!("for {}, from {}", gitops.repository, from.display());
    if !gitops.is_ssh() {
        return Repository::login(user, &content).with_context(is_for);
    }
    let Some(hosts) = known_hosts else {
        bail!(
            "{} is reached over ssh: name a file with its server's host keys with --known-hosts",
            gitops.repository
        );
    };
    Repository::key(&content, &read_text(hosts)?).with_context(is_for)
}

fn read_text(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = match path.as_os_str() == "-" {
        true => io::stdin().take(LIMIT).read_to_string(&mut text),
        false => File::open(path).and_then(|file| file.take(LIMIT).read_to_string(&mut text)),
    };
    // The kernel's words, which quote nothing.
    read.with_context(|| format!("reading {}", path.display()))?;
    Ok(text)
}

fn set_repository(
    workspace: &Workspace,
    vault: &mut Vault,
    new: Option<Repository>,
) -> anyhow::Result<()> {
    let is_gone = new.is_none();
    vault.change(|secrets| {
        secrets.repository = new;
        Ok(())
    })?;
    let path = vault.path().display();
    if is_gone {
        eprintln!("{path} keeps nothing to read the repository with; commit it");
        return Ok(());
    }
    let k3s = workspace.file().k3s.as_ref();
    let founder = k3s.and_then(|k3s| k3s.founder().cloned());
    eprintln!(
        "{path} has it now; commit it. It is in the next image of {}, the server that founds the \
         cluster. A cluster that runs has a copy of its own: the Secret imgbuild-repository in the \
         namespace argocd",
        founder.as_deref().unwrap_or("the first server")
    );
    Ok(())
}

fn export(entry: &Entry, output: Option<&Path>, force: bool) -> anyhow::Result<()> {
    match output {
        None if !entry.secret => print_text(entry.content().expose()),
        output => hand_out(&entry.name, entry.content(), output, force),
    }
}

fn rekey(vault: &mut Vault, seal: Seal) -> anyhow::Result<()> {
    vault.rekey(seal)?;
    eprintln!(
        "{} is encrypted anew; commit it. Older copies, in Git too, still open as before: rotate \
         what somebody must not know any more",
        vault.path().display()
    );
    Ok(())
}
