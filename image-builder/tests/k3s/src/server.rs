//! `k3s server`.

mod serve;

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, sleep};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::agent::PORT;
use crate::client::Client;
use crate::config::Config;
use crate::nodes::{Newcomer, Nodes, Refused, Role};
use crate::tls;

/// The administrator's.
pub(crate) const KUBECONFIG: &str = "/etc/rancher/k3s/k3s.yaml";

/// Once it is there, a server neither founds nor joins.
const DATASTORE: &str = "/var/lib/rancher/k3s/server/db/etcd/nodes.json";

/// What takes the real one a minute.
const START: Duration = Duration::from_secs(4);

const PAUSE: Duration = Duration::from_secs(2);

/// What a server that joins gets: the CAs, by their path below [`tls::DIR`], and who is
/// there.
#[derive(Serialize, Deserialize)]
struct Bootstrap {
    files: BTreeMap<String, (u32, String)>,
    nodes: Nodes,
}

/// A server at work.
struct Server {
    config: Config,
    bundle: String,
    nodes: Mutex<Nodes>,
    ready: AtomicBool,
}

pub(crate) fn run() -> Result<()> {
    let config = Config::read()?;
    let own = Newcomer {
        name: config.name.clone(),
        address: config.address,
        role: Role::Server,
        password: config.node_password.clone(),
    };
    let mut nodes = match load()? {
        Some(nodes) => nodes,
        None => begin(&config, &own)?,
    };
    if nodes.names().all(|name| name != own.name) {
        bail!("etcd: this member has been permanently removed from the cluster");
    }
    if let Err(Refused::Password) = nodes.welcome(&own, crate::now()?) {
        bail!("{}", serve::PASSWORD);
    }
    let server = Arc::new(Server {
        bundle: tls::bundle()?,
        nodes: Mutex::new(nodes),
        ready: AtomicBool::new(false),
        config,
    });
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).context("port 6443")?;
    let tls = tls::of_server(server.config.address)?;
    let at_work = Arc::clone(&server);
    thread::spawn(move || serve::run(&at_work, &listener, &tls));
    // It listens long before it lets anybody in.
    sleep(START);
    server.ready.store(true, Ordering::Relaxed);
    crate::put(Path::new(KUBECONFIG), 0o600, b"")?;
    crate::ready()?;
    eprintln!("level=info msg=\"k3s is up and running\"");
    loop {
        server.exchange()?;
        sleep(PAUSE);
    }
}

impl Server {
    fn with<T>(&self, work: impl FnOnce(&mut Nodes) -> T) -> Result<T> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let before = nodes.clone();
        let result = work(&mut nodes);
        if *nodes != before {
            save(&nodes)?;
        }
        Ok(result)
    }

    /// Tells the other servers what this one knows, and hears what they do.
    fn exchange(&self) -> Result<()> {
        let (name, now) = (&self.config.name, crate::now()?);
        let (present, mut known) = self.with(|nodes| (nodes.hear(name, now), nodes.clone()))?;
        ensure!(
            present,
            "etcd: this member has been permanently removed from the cluster"
        );
        for server in known.other_servers(name) {
            let server = SocketAddrV4::new(server, PORT);
            // One that is down hears it when it is up.
            let heard = Client::of(server, &self.config.token, "server")
                .and_then(|client| client.post("/nodes", &known)?.read());
            match heard {
                Ok(theirs) => known.merge(theirs),
                Err(error) => eprintln!("level=warning msg=\"{error:#}\""),
            }
        }
        self.with(|nodes| nodes.merge(known))
    }
}

/// The first start.
fn begin(config: &Config, own: &Newcomer) -> Result<Nodes> {
    let mut nodes = match config.server {
        Some(server) => {
            eprintln!("level=info msg=\"Joining the cluster at {server}\"");
            join(server, config, own)?
        }
        None if config.founds => {
            eprintln!("level=info msg=\"Founding a cluster\"");
            Nodes::default()
        }
        None => bail!("it has neither cluster-init nor server"),
    };
    sleep(START);
    if nodes.welcome(own, crate::now()?).is_err() {
        bail!("{}", serve::PASSWORD);
    }
    save(&nodes)?;
    Ok(nodes)
}

fn join(server: SocketAddrV4, config: &Config, own: &Newcomer) -> Result<Nodes> {
    let client = Client::of(server, &config.token, "server")?;
    let answer = client.post("/v1-k3s/server-bootstrap", own)?;
    ensure!(answer.status == 200, "{}", answer.text());
    let Bootstrap { files, nodes } = answer.read()?;
    for (path, (mode, content)) in files {
        crate::put(&Path::new(tls::DIR).join(path), mode, content.as_bytes())?;
    }
    Ok(nodes)
}

/// Every file of the CAs.
fn authorities() -> Result<BTreeMap<String, (u32, String)>> {
    let mut files = BTreeMap::new();
    let mut left = vec![PathBuf::from(tls::DIR)];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                left.push(path);
                continue;
            }
            let name = path.strip_prefix(tls::DIR)?.display().to_string();
            let mode = fs::metadata(&path)?.permissions().mode() & 0o777;
            files.insert(name, (mode, fs::read_to_string(&path)?));
        }
    }
    Ok(files)
}

pub(crate) fn load() -> Result<Option<Nodes>> {
    match fs::read(DATASTORE) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text).context(DATASTORE)?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context(DATASTORE),
    }
}

fn save(nodes: &Nodes) -> Result<()> {
    crate::put(Path::new(DATASTORE), 0o600, &serde_json::to_vec(nodes)?)
}
