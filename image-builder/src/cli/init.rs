//! `imgbuild init`.

use std::fmt::Display;
use std::io::{self, BufRead as _, IsTerminal as _};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use ipnet::Ipv4Net;
use ssh_key::rand_core::RngCore as _;
use time::OffsetDateTime;
use uuid::Uuid;

use super::unlock::{Sealing, new_seal};
use crate::config::{self, Disk, Draft, Files as _, is_private, why};
use crate::init::{Answers, CLUSTER, Folder, REPOSITORY, TREE, files, names};
use crate::secret;
use crate::secrets::{self, Seal, Secrets, Vault};

/// More than any file of public keys needs.
const KEYS: u64 = 64 << 10;

/// Nodes that fit any home network, and a slip of the finger does not reach.
const NODES: usize = 100;

/// Arguments of `imgbuild init`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder to make the cluster in.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// The cluster's name.
    #[arg(long)]
    name: Option<String>,
    /// The nodes' subnet.
    #[arg(long, value_name = "ADDRESS/PREFIX")]
    subnet: Option<Ipv4Net>,
    /// The router's address.
    #[arg(long, value_name = "ADDRESS")]
    gateway: Option<Ipv4Addr>,
    /// The first node's address; the others follow it.
    #[arg(long, value_name = "ADDRESS")]
    first_address: Option<Ipv4Addr>,
    /// How many servers: 1, 3 or 5.
    #[arg(long, value_name = "N")]
    servers: Option<usize>,
    /// How many agents.
    #[arg(long, value_name = "N")]
    agents: Option<usize>,
    /// The account on every node.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The Git repository that this folder will be in, as the cluster reaches it: for Argo
    /// CD.
    #[arg(long, value_name = "URL")]
    repository: Option<String>,
    /// The file with the public keys that may log in; it is copied.
    #[arg(long, value_name = "FILE")]
    ssh_key: Option<PathBuf>,
    #[command(flatten)]
    sealing: Sealing,
    /// Make no secrets file: builds keep SSH host keys in plain files.
    #[arg(long, conflicts_with = "recipients")]
    no_secrets: bool,
    /// Ask nothing: what no flag says is as it would be proposed.
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let root = root(args);
    let cluster = root.join(CLUSTER);
    let secrets = secrets::path(cluster.parent().unwrap_or(Path::new("")));
    // Before anybody is asked for anything.
    let mut wanted = [CLUSTER, ".gitignore"].map(|name| root.join(name)).to_vec();
    wanted.push(secrets.clone());
    Folder::check(wanted.iter().map(PathBuf::as_path))?;
    let answers = answers(args)?;
    let files: Vec<_> = files(&answers)
        .into_iter()
        .map(|(path, text)| (root.join(path), text))
        .collect();
    Folder::check(files.iter().map(|(path, _)| path.as_path()))?;
    check(&cluster, &files)?;
    let seal = match args.no_secrets {
        true => None,
        false => Some(args.sealing.for_keys()?.map_or_else(new_seal, Ok)?),
    };

    let mut folder = Folder::default();
    for (path, text) in &files {
        // The last: a folder without it is none of a cluster.
        if path == &cluster
            && let Some(seal) = seal.clone()
        {
            make_secrets(&secrets, &answers, seal)?;
            folder.take(&secrets);
        }
        folder.write(path, text)?;
    }
    folder.keep();
    tell(args, &files, seal.is_some().then_some(secrets.as_path()));
    Ok(())
}

/// The folder to make it in. Joined to `.`, a path begins with it; messages are read
/// without.
fn root(args: &Args) -> PathBuf {
    match args.dir == Path::new(".") {
        true => PathBuf::new(),
        false => args.dir.clone(),
    }
}

fn answers(args: &Args) -> anyhow::Result<Answers> {
    let asker = Asker { yes: args.yes };
    let Args {
        name,
        subnet,
        gateway,
        first_address,
        servers,
        agents,
        user,
        ssh_key,
        repository,
        ..
    } = args;
    let name = asker.answer(name, "--name", "Name of the cluster", "home".to_owned())?;
    let home = Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 4, 0), 24);
    let subnet = asker.answer(subnet, "--subnet", "Subnet of the nodes", home)?;
    let host = |number: u32| Ipv4Addr::from(u32::from(subnet.network()).saturating_add(number));
    let gateway = asker.answer(gateway, "--gateway", "Address of the router", host(1))?;
    let first = if subnet.prefix_len() <= 27 {
        host(11)
    } else {
        host(2)
    };
    let first = asker.answer(
        first_address,
        "--first-address",
        "Address of the first node",
        first,
    )?;
    let servers = asker.answer(servers, "--servers", "Servers: 1, 3 or 5", 1)?;
    let agents = asker.answer(agents, "--agents", "Agents", 2)?;
    if servers.saturating_add(agents) > NODES {
        bail!("{NODES} nodes are the most to begin with; `imgbuild node add` adds more");
    }
    let user = asker.answer(user, "--user", "Login name", "admin".to_owned())?;
    let repository = asker.answer(
        repository,
        "--repository",
        "Git repository this folder will be in",
        REPOSITORY.to_owned(),
    )?;
    let key = match (ssh_key, own_key()) {
        (Some(path), _) => path.clone(),
        (None, Some(own)) => {
            let shown = Shown(own);
            asker
                .answer(&None, "--ssh-key", "File with your public SSH key", shown)?
                .0
        }
        (None, None) => bail!(
            "there is no public SSH key in ~/.ssh; make one with `ssh-keygen -t ed25519`, or name \
             another file with --ssh-key"
        ),
    };
    Ok(Answers {
        name,
        id: new_id(),
        subnet,
        gateway,
        first,
        servers,
        agents,
        user,
        keys: public_keys(&key)?,
        repository,
    })
}

/// A random UUID (version 4).
fn new_id() -> Uuid {
    let mut bytes = [0; 16];
    secret::source().fill_bytes(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// The public key that ssh would offer first.
fn own_key() -> Option<PathBuf> {
    let ssh = Disk.home()?.join(".ssh");
    let names = ["id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub"];
    names
        .iter()
        .map(|name| ssh.join(name))
        .find(|path| path.is_file())
}

fn public_keys(path: &Path) -> anyhow::Result<String> {
    let shown = path.display();
    let bytes = Disk.read(path, KEYS).map_err(|error| why(&error));
    let bytes = bytes.map_err(|why| anyhow::anyhow!("{shown} cannot be read: {why}"))?;
    let text = String::from_utf8(bytes).ok();
    let text = text.with_context(|| format!("{shown} is no file of public SSH keys"))?;
    if is_private(&text) {
        bail!("{shown} is a private key; name its public half, which ends in .pub");
    }
    Ok(text)
}

/// The new files as `config` sees them; nothing is written yet.
fn check(cluster: &Path, files: &[(PathBuf, String)]) -> anyhow::Result<()> {
    let mut draft = Draft::default();
    for (path, text) in files {
        draft.0.insert(path.clone(), text.clone().into_bytes());
    }
    let profiles = config::default_profiles_dir(cluster);
    let workspace = config::load_from(cluster, &profiles, &draft).inspect_err(|_| {
        eprintln!("nothing is written: the new files would have problems");
    })?;
    for warning in workspace.warnings() {
        eprintln!("warning: {warning}");
    }
    Ok(())
}

fn make_secrets(path: &Path, answers: &Answers, seal: Seal) -> anyhow::Result<()> {
    let mut rng = secret::source();
    let at = OffsetDateTime::from(SystemTime::now());
    let mut secrets = Secrets::new(&mut rng, answers.id, at)?;
    for name in names(answers) {
        secrets.add_node(&mut rng, &name, None)?;
    }
    Vault::create(path, secrets, seal)?;
    Ok(())
}

fn tell(args: &Args, files: &[(PathBuf, String)], secrets: Option<&Path>) {
    let tree = root(args).join(TREE);
    let is_of_tree = |path: &Path| {
        let inside = path.strip_prefix(&tree).unwrap_or(path);
        inside.starts_with("bootstrap") || inside.starts_with("kube-apps")
    };
    let (of_tree, others): (Vec<_>, Vec<_>) = files.iter().partition(|(path, _)| is_of_tree(path));
    for (path, _) in others {
        eprintln!("{}", path.display());
    }
    match of_tree.len() {
        0 => eprintln!("the subnet has no room for services: there is no tree for Argo CD"),
        count => eprintln!(
            "{}/bootstrap and kube-apps    {count} files: what Argo CD makes the cluster be",
            tree.display()
        ),
    }
    if let Some(secrets) = secrets {
        let secrets = secrets.display();
        eprintln!(
            "{secrets}    encrypted; commit it. Whoever loses it, or what opens it, has to make \
             the cluster anew"
        );
    } else {
        eprintln!(
            "K3s lets no node in without the cluster's secrets; `imgbuild secrets init` makes them"
        );
    }
    eprintln!("next:");
    if args.dir != Path::new(".") {
        eprintln!("  cd {}", args.dir.display());
    }
    for (command, what) in [
        ("imgbuild explain pi-1", "what the first node will be"),
        (
            "imgbuild lock",
            "which files from outside are used; commit it",
        ),
        ("imgbuild fetch", "brings them here"),
        ("imgbuild gitops list", "what Argo CD will run"),
        ("imgbuild devices", "which disks there are"),
        ("imgbuild write pi-1 /dev/DISK", "asks before it overwrites"),
    ] {
        eprintln!("  {command:32}{what}");
    }
}

/// Asks at the terminal, unless nothing is to be asked.
struct Asker {
    yes: bool,
}

impl Asker {
    fn answer<T: Clone + Display + FromStr>(
        &self,
        given: &Option<T>,
        flag: &str,
        question: &str,
        proposed: T,
    ) -> anyhow::Result<T> {
        if let Some(given) = given {
            return Ok(given.clone());
        }
        if self.yes {
            return Ok(proposed);
        }
        if !io::stdin().is_terminal() {
            bail!(
                "there is no terminal to ask at; write {flag}, or --yes to take what is proposed \
                 ({question}: {proposed})"
            );
        }
        loop {
            eprint!("{question} [{proposed}]: ");
            let mut line = String::new();
            if io::stdin()
                .lock()
                .read_line(&mut line)
                .context("reading an answer")?
                == 0
            {
                bail!("no answer; nothing is written");
            }
            match line.trim() {
                "" => return Ok(proposed),
                text => match text.parse() {
                    Ok(answer) => return Ok(answer),
                    Err(_) => eprintln!("write it like this: {proposed}"),
                },
            }
        }
    }
}

/// A path in a question and in its answer.
#[derive(Debug, Clone)]
struct Shown(PathBuf);

impl Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.display().fmt(f)
    }
}

impl FromStr for Shown {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let home = text.strip_prefix("~/").zip(Disk.home());
        Ok(Self(home.map_or_else(
            || text.into(),
            |(rest, home)| home.join(rest),
        )))
    }
}
