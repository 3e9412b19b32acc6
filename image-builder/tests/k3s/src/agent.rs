//! `k3s agent`.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;
use std::{fs, io};

use anyhow::{Context as _, Result};

use crate::client::Client;
use crate::config::Config;
use crate::nodes::{Newcomer, Role};

pub(crate) const PORT: u16 = 6443;

/// Its kubelet's, with which it may read its own node.
pub(crate) const KUBECONFIG: &str = "/var/lib/rancher/k3s/agent/kubelet.kubeconfig";

/// The servers it knows of, whichever it was told (docs: "Architecture", "Fixed
/// registration address").
const SERVERS: &str = "/var/lib/rancher/k3s/agent/etc/k3s-agent-load-balancer.json";

const PAUSE: Duration = Duration::from_secs(3);

pub(crate) fn run() -> Result<()> {
    let config = Config::read()?;
    let own = Newcomer {
        name: config.name.clone(),
        address: config.address,
        role: Role::Agent,
        password: config.node_password.clone(),
    };
    loop {
        match join(&config, &own) {
            Ok(()) => break,
            Err(error) => {
                eprintln!(
                    "level=info msg=\"Waiting to retrieve agent configuration; server is not \
                     ready: {error:#}\""
                );
                sleep(PAUSE);
            }
        }
    }
    crate::put(Path::new(KUBECONFIG), 0o600, b"")?;
    crate::ready()?;
    eprintln!("level=info msg=\"k3s agent is up and running\"");
    loop {
        sleep(PAUSE);
        if let Err(error) = stay(&config) {
            eprintln!("level=warning msg=\"Unable to update node status: {error:#}\"");
        }
    }
}

fn join(config: &Config, own: &Newcomer) -> Result<()> {
    let client = any_server(config)?;
    let answer = client.post("/v1-k3s/serving-kubelet.crt", own)?;
    anyhow::ensure!(answer.status == 200, "{}", answer.text());
    learn(&client)
}

/// A heartbeat. A server that was down when this one learnt of the others is known by
/// the next.
fn stay(config: &Config) -> Result<()> {
    let client = any_server(config)?;
    client.post("/heartbeat", &config.name)?.read::<bool>()?;
    learn(&client)
}

fn learn(client: &Client) -> Result<()> {
    let servers: Vec<Ipv4Addr> = client.get("/v1-k3s/apiservers")?.read()?;
    crate::put(Path::new(SERVERS), 0o600, &serde_json::to_vec(&servers)?)
}

/// The first that answers, of the one it was told and those it knows of.
pub(crate) fn any_server(config: &Config) -> Result<Client> {
    let known: Vec<Ipv4Addr> = match fs::read(SERVERS) {
        Ok(text) => serde_json::from_slice(&text).context(SERVERS)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).context(SERVERS),
    };
    let known = known.into_iter().map(|ip| SocketAddrV4::new(ip, PORT));
    let mut why = anyhow::anyhow!("no server to join: it was told of none");
    for server in config.server.into_iter().chain(known) {
        match Client::of(server, &config.token, "node") {
            Ok(client) => return Ok(client),
            Err(error) => why = error,
        }
    }
    Err(why)
}
