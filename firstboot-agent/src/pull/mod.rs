//! Pulls the texts that the cluster is handed over with: of one commit, if that is its
//! owner's.
//!
//! A process of its own, which the stage `bootstrap` starts and ends: what a server of
//! somebody else's sends can cost its time and its memory, and not the first boot's.
//!
//! ```text
//! git      which commit a revision is; that commit with its files
//! https    what carries it, over the agent's own HTTPS
//! ssh      or over the node's ssh
//! objects  files of the commit, by their names
//! trust    whose commit it is
//! ```

mod git;
mod https;
mod objects;
mod ssh;
mod trust;

use std::path::Path;
use std::{fs, io};

use gix_url::{Scheme, Url};
use nix::sys::resource::{Resource, setrlimit};
use node_config::handover::{Credential, LONGEST_TEXT, Source, TEXTS, Trust};
use node_config::{NodeConfig, paths};
use serde::{Deserialize, Serialize};
use ureq::tls::Certificate;

use self::git::Fetched;

/// The argument that asks the program for it.
pub(crate) const FLAG: &str = "--pull";

/// The system's CAs, in the package ca-certificates.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Where what comes is unpacked: in memory, gone with the process's last act.
const SCRATCH: &str = "/run/imgbuild/pull";

/// Memory, and a file, that this may take: several times what a cluster's folder does.
const MEMORY: u64 = 1 << 30;
const FILE: u64 = 256 << 20;

/// What comes of it, told on stdout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// A commit of the owner's.
    Pulled {
        /// Its name.
        commit: String,
        /// The key that signed it, where that was asked for.
        signer: Option<String>,
        /// In the order of [`TEXTS`].
        texts: [String; 3],
    },
    /// There is an answer, and it is not to be used; why.
    Refused(String),
    /// There is none; why.
    Away(String),
}

/// The process: all of it.
pub(crate) fn run() -> Outcome {
    let limits = [
        (Resource::RLIMIT_AS, MEMORY),
        (Resource::RLIMIT_FSIZE, FILE),
    ];
    for (what, most) in limits {
        if let Err(error) = setrlimit(what, most, most) {
            return Outcome::Away(format!("setting limits: {error}"));
        }
    }
    let text = fs::read_to_string(paths::NODE_CONFIG).unwrap_or_default();
    let source = NodeConfig::parse(&text)
        .ok()
        .and_then(|node| node.handover?.source);
    let Some(source) = source else {
        return Outcome::Refused("the node is not told where from".into());
    };
    let secret = fs::read_to_string(paths::K3S_REPOSITORY).unwrap_or_default();
    let pull = Pull {
        source: &source,
        credential: Credential::parse(&secret),
        authorities: fs::read(AUTHORITIES).unwrap_or_default(),
        scratch: Path::new(SCRATCH),
        ssh: "ssh",
    };
    pull.in_scratch()
}

/// Everything that it takes.
struct Pull<'a> {
    source: &'a Source,
    credential: Option<Credential>,
    /// PEM.
    authorities: Vec<u8>,
    /// A folder that is made, and removed.
    scratch: &'a Path,
    /// The program.
    ssh: &'a str,
}

impl Pull<'_> {
    fn in_scratch(&self) -> Outcome {
        // What an earlier process left that was ended.
        let made = fs::remove_dir_all(self.scratch)
            .or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            })
            .and_then(|()| fs::create_dir_all(self.scratch));
        let outcome = match made {
            Ok(()) => self.pull(),
            Err(error) => Outcome::Away(format!("making {}: {error}", self.scratch.display())),
        };
        // In memory: what is left goes with the next start.
        let _ = fs::remove_dir_all(self.scratch);
        outcome
    }

    fn pull(&self) -> Outcome {
        let source = self.source;
        let revision = match &source.trust {
            Trust::Commit(commit) => commit,
            Trust::Signers(_) => &source.revision,
        };
        let url = match gix_url::parse(source.repository.as_str()) {
            Ok(url) => url,
            Err(error) => return Outcome::Refused(format!("{}: {error}", source.repository)),
        };
        let fetched = match url.scheme {
            Scheme::Https => self.over_https(url, revision),
            Scheme::Ssh => self.over_ssh(&url, revision),
            other => return Outcome::Refused(format!("{other} is not a way to Git from here")),
        };
        match fetched {
            Ok(fetched) => judge(source, &fetched).unwrap_or_else(Outcome::Refused),
            Err(why) => Outcome::Away(why),
        }
    }

    fn over_https(&self, url: Url, revision: &str) -> Result<Fetched, String> {
        let own = self.source.ca.as_deref().unwrap_or_default();
        let pem = [&self.authorities, own.as_bytes()].concat();
        let authorities: Vec<Certificate<'static>> = https::certificates(&pem);
        let login = match &self.credential {
            Some(Credential::Login { user, password }) => Some((user.clone(), password.clone())),
            _ => None,
        };
        let mut transport = https::transport(url, authorities, login);
        git::fetch(&mut transport, revision, self.scratch).map_err(|error| git::cause(&error))
    }

    fn over_ssh(&self, url: &Url, revision: &str) -> Result<Fetched, String> {
        let Some(Credential::Key(key)) = &self.credential else {
            return Err("there is no key for it: `imgbuild secrets set repository`".into());
        };
        let known_hosts = self.source.known_hosts.as_deref().unwrap_or_default();
        let mut ssh = ssh::Ssh::start(self.ssh, url, key, known_hosts, self.scratch)
            .map_err(|error| format!("starting ssh: {error}"))?;
        let fetched = git::fetch(&mut ssh.connection, revision, self.scratch);
        // ssh's own last words say more than that it hung up.
        fetched.map_err(|error| ssh.last_words().unwrap_or_else(|| git::cause(&error)))
    }
}

/// Whose commit it is, and its texts.
fn judge(source: &Source, fetched: &Fetched) -> Result<Outcome, String> {
    let Fetched { commit, objects } = fetched;
    let content = objects.commit(commit)?;
    let signer = trust::signer(&content, &source.trust)
        .map_err(|why| format!("the commit {commit} {why}"))?;
    let text = |name: &str| objects.text(&content, &source.path_of(name), LONGEST_TEXT);
    let [values, projects, root] = TEXTS;
    Ok(Outcome::Pulled {
        commit: commit.to_string(),
        signer,
        texts: [text(values)?, text(projects)?, text(root)?],
    })
}

#[cfg(test)]
mod tests;
