//! Stands in for K3s in tests: as `server` and `agent` at the level of processes and
//! of the supervisor's protocol, as `kubectl` with the answers that a test reads.
//! It runs no container and knows nothing of Kubernetes but which nodes there are.
//!
//! What it does as K3s does it (K3s' sources; docs: "Architecture", "Requirements",
//! "k3s token", "k3s certificate"):
//! - A server founds by `cluster-init`, with the CAs that were put there before, or
//!   joins by `server`, and gets the CAs from there. With a datastore it heeds neither.
//! - A joining node checks the server's CA against its token's hash before it shows
//!   the token. The server's token does all, the agents' does not get at the CAs.
//! - A node's name is its own by its password. A server's name is taken until its node
//!   is deleted, for etcd has it as a member until then.
//! - systemd hears of a start only once the node has joined (sd_notify(3)).
//!
//! What it leaves out: etcd's majority. Of two servers one alone goes on here.

mod agent;
mod client;
mod config;
mod kubectl;
mod nodes;
mod server;
mod tls;

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args.split_first() {
        Some((&"server", [])) => server::run(),
        Some((&"agent", [])) => agent::run(),
        Some((&"kubectl", asked)) => kubectl::run(asked),
        _ => Err(anyhow::anyhow!("it is neither server, agent nor kubectl")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // As kubectl has it; of the others it is the journal's last line.
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Tells systemd that the node has joined.
fn ready() -> Result<()> {
    let path = env::var("NOTIFY_SOCKET").context("systemd waits for no word")?;
    let to = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    let sent = UnixDatagram::unbound()?.send_to_addr(b"READY=1", &to?);
    sent.map(drop).context("telling systemd")
}

/// Replaces a file, or leaves the old one.
fn put(path: &Path, mode: u32, content: &[u8]) -> Result<()> {
    let what = || format!("writing {}", path.display());
    let parent = path.parent().context("a path of no folder")?;
    fs::create_dir_all(parent).with_context(what)?;
    let beside = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    let write = |mut file: File| -> io::Result<()> {
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    options.open(&beside).and_then(write).with_context(what)
}

/// In seconds since 1970. K3s, too, does not start before 1980.
fn now() -> Result<u64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    if since < 10 * 365 * 24 * 3600 {
        bail!("server time isn't set properly: {since}");
    }
    Ok(since)
}
