//! Runs on a new node's first boot: looks whether what the image baked in is
//! really so, waits for what takes time, and reports. It stays for some minutes after
//! the last stage, for those who look at its page. On a release, which has no node, it
//! waits for one instead.
//!
//! | exit code | meaning |
//! | --- | --- |
//! | 0 | every stage is done, now or on an earlier boot; or a release has become a node and restarts |
//! | 1 | a stage gave up; `report.json` says which and why; the next boot tries again |
//! | 64 | wrong arguments |
//! | 78 | `node.toml` is not a node's configuration, or is missing in what is no release; nothing was done |
//!
//! With `--pull` it is a process of its own making, see `pull`.

mod journal;
mod page;
mod pull;
mod run;
mod seed;
mod stages;
mod status;
mod supervisor;
mod system;
#[cfg(test)]
mod tests;

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::ExitCode;
use std::time::Duration;

use node_config::config::ConfigError;
use node_config::{NodeConfig, paths};

use crate::run::End;
use crate::seed::Left;
use crate::system::host::Host;
use crate::system::{Ear, System, SystemError};

/// Codes of sysexits.h where it has one, as systemd names them.
mod exit {
    pub(crate) const GAVE_UP: u8 = 1;
    pub(crate) const USAGE: u8 = 64;
    pub(crate) const CONFIG: u8 = 78;
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    match &arguments[..] {
        [] => first_boot(&Host::new("/")),
        [flag] if flag == pull::FLAG => {
            let outcome = serde_json::to_string(&pull::run());
            print(&outcome.expect("plain data serialises to JSON"))
        }
        [flag] if flag == "--version" => {
            print(&format!("firstboot-agent {}", env!("CARGO_PKG_VERSION")))
        }
        _ => complain("usage: firstboot-agent [--version]", exit::USAGE),
    }
}

/// A page nobody closes: a node whose cable is missing for a month need not show it
/// for a month. After a start of the node it is there again.
const PAGE_TIME: Duration = Duration::from_secs(24 * 3600);

/// Whoever waits for the end looks every few seconds, and is to see it.
const PAGE_AFTER: Duration = Duration::from_secs(300);

fn first_boot(sys: &Host) -> ExitCode {
    let node = match read_config(sys) {
        Ok(node) => node,
        Err(NoConfig::Missing) => match seed::is_release(sys) {
            Ok(true) => {
                seed::receive(sys);
                return ExitCode::SUCCESS;
            }
            Ok(false) => return complain(&NoConfig::Missing.to_string(), exit::CONFIG),
            Err(error) => return complain(&error.to_string(), exit::CONFIG),
        },
        Err(error) => return complain(&error.to_string(), exit::CONFIG),
    };
    match seed::clear(&node, sys) {
        Ok(Left::Nothing) => {}
        Ok(Left::ThisBoot) => {
            seed::receive(sys);
            return ExitCode::SUCCESS;
        }
        Err(error) => sys.say(Ear::Log, &format!("going on without: {error}")),
    }
    let at = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, paths::PAGE_PORT);
    if let Err(error) = sys.page().open(at, PAGE_TIME) {
        let words = format!("going on without a page on the network: {at}: {error}");
        sys.say(Ear::Log, &words);
    }
    let code = match run::run(&node, stages::ALL, sys) {
        End::WasDone => return ExitCode::SUCCESS,
        End::Done => ExitCode::SUCCESS,
        End::Failed => ExitCode::from(exit::GAVE_UP),
    };
    sys.sleep(PAGE_AFTER);
    code
}

/// Why there is nothing to go by.
#[derive(Debug, thiserror::Error)]
enum NoConfig {
    #[error("{path} is missing: this image was made for no node; build it with `imgbuild build NODE`", path = paths::NODE_CONFIG)]
    Missing,
    #[error(transparent)]
    Unreadable(#[from] SystemError),
    #[error("{path}: {0}", path = paths::NODE_CONFIG)]
    Invalid(#[from] ConfigError),
}

fn read_config(sys: &dyn System) -> Result<NodeConfig, NoConfig> {
    let text = sys.read(paths::NODE_CONFIG)?.ok_or(NoConfig::Missing)?;
    Ok(NodeConfig::parse(&String::from_utf8_lossy(&text))?)
}

fn print(text: &str) -> ExitCode {
    match writeln!(io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn complain(text: &str, code: u8) -> ExitCode {
    // Without stderr the code still says it.
    let _ = writeln!(io::stderr(), "firstboot-agent: {text}");
    ExitCode::from(code)
}
