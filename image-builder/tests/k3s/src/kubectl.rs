//! `k3s kubectl`, as far as the agent, the units it bakes and the tests ask. What else
//! is asked is an error, so that no test passes on an answer that was made up.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use crate::agent;
use crate::client::Client;
use crate::config::Config;
use crate::nodes::Nodes;
use crate::server;

/// An Application that its cluster was handed over with.
const ROOT: &str = "/var/lib/rancher/k3s/server/manifests/argocd-3-root.yaml";

/// Installing Argo CD takes a while.
const INSTALLED_AFTER: Duration = Duration::from_secs(15);

pub(crate) fn run(args: &[&str]) -> Result<()> {
    let mut asked = Vec::new();
    let mut kubeconfig = None;
    let mut output = None;
    let mut words = args.iter();
    while let Some(word) = words.next() {
        match word.split_once('=') {
            Some((
                "--request-timeout" | "--cache-dir" | "--namespace" | "--selector" | "--timeout",
                _,
            )) => {}
            Some(("--output", form)) => output = Some(form),
            Some(("--for", condition)) => asked.push(condition),
            None if *word == "--kubeconfig" => kubeconfig = words.next(),
            None if *word == "--output" => output = words.next().copied(),
            None if !word.starts_with('-') => asked.push(word),
            _ => bail!("unknown flag: {word}"),
        }
    }
    let kubeconfig = kubeconfig.copied().unwrap_or(server::KUBECONFIG);
    fs::metadata(kubeconfig).with_context(|| format!("loading config file {kubeconfig:?}"))?;
    let config = Config::read()?;
    match (&asked[..], output) {
        (["get", "node", name], Some(_)) => {
            let nodes = nodes(&config, kubeconfig)?;
            let Some(ready) = nodes.ready(name, crate::now()?) else {
                bail!("from server (NotFound): nodes {name:?} not found");
            };
            let [status, reason, message] = ready;
            say(&format!("{status} {reason}: {message}"))
        }
        (["get", "nodes"], Some(_)) => {
            let nodes = nodes(&config, kubeconfig)?;
            let now = crate::now()?;
            nodes.names().try_for_each(|name| {
                let status = nodes.ready(name, now).map_or("", |ready| ready[0]);
                say(&format!("{name} {status}\n"))
            })
        }
        (["delete", "node", name], None) if kubeconfig == server::KUBECONFIG => {
            let at = std::net::SocketAddrV4::new(config.address, agent::PORT);
            let client = Client::of(at, &config.token, "server")?;
            let mut nodes = nodes(&config, kubeconfig)?;
            if !nodes.delete(name) {
                bail!("from server (NotFound): nodes {name:?} not found");
            }
            client.post("/nodes", &nodes)?.read::<Nodes>()?;
            say(&format!("node {name:?} deleted\n"))
        }
        (["wait", what @ "applications.argoproj.io/root", condition], None) => {
            anyhow::ensure!(
                *condition == "jsonpath={.status.sync.status}=Synced",
                "no such condition: {condition}"
            );
            if !is_handed_over()? {
                bail!("from server (NotFound): applications.argoproj.io \"root\" not found");
            }
            say(&format!("{what} condition met\n"))
        }
        (["get", "applications.argoproj.io"], Some("json")) => {
            if !is_handed_over()? {
                bail!("the server doesn't have a resource type \"applications\"");
            }
            let status =
                json!({ "sync": { "status": "Synced" }, "health": { "status": "Healthy" } });
            let root = json!({ "metadata": { "name": "root" }, "status": status });
            say(&json!({ "items": [root] }).to_string())
        }
        // All that there are run.
        (["get", "pods"], Some("json")) => say(&json!({ "items": [] }).to_string()),
        _ => bail!("the stand-in has no answer to {args:?}"),
    }
}

/// A server answers for itself; an agent asks one.
fn nodes(config: &Config, kubeconfig: &str) -> Result<Nodes> {
    match kubeconfig == server::KUBECONFIG {
        true => server::load()?.context("Unable to connect to the server"),
        false => agent::any_server(config)
            .and_then(|client| client.get("/nodes")?.read())
            .context("Unable to connect to the server"),
    }
}

/// Whether K3s was given a root to apply, and has had the time to.
fn is_handed_over() -> Result<bool> {
    let since = fs::metadata(server::KUBECONFIG)?.modified()?.elapsed();
    let since = since.unwrap_or_default();
    Ok(Path::new(ROOT).exists() && since > INSTALLED_AFTER)
}

fn say(text: &str) -> Result<()> {
    let mut stdout = io::stdout();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}
