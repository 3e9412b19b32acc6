//! What the node was told: `config.yaml` and its drop-ins, and the token.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use base64ct::{Base64, Encoding as _};

const CONFIG: &str = "/etc/rancher/k3s/config.yaml";
const DROP_INS: &str = "/etc/rancher/k3s/config.yaml.d";
const PASSWORD: &str = "/etc/rancher/node/password";

/// All of it.
pub(crate) struct Config {
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) token: Token,
    /// Servers have it.
    pub(crate) agent_token: Option<Token>,
    pub(crate) founds: bool,
    /// Whom to join.
    pub(crate) server: Option<SocketAddrV4>,
    /// By which the name is this node's.
    pub(crate) node_password: String,
}

/// `K10HASH::USER:PASSWORD`, or the password alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) ca_hash: String,
    pub(crate) password: String,
}

impl Token {
    pub(crate) fn parse(text: &str) -> Self {
        let text = text.trim();
        let (ca_hash, shown) = match text.strip_prefix("K10") {
            Some(rest) => rest.split_once("::").unwrap_or(("", rest)),
            None => ("", text),
        };
        let password = shown
            .split_once(':')
            .map_or(shown, |(_, password)| password);
        Self {
            ca_hash: ca_hash.into(),
            password: password.into(),
        }
    }

    /// The header `Authorization` of a user with it: `server` or `node`.
    pub(crate) fn shown_by(&self, user: &str) -> String {
        let pair = format!("{user}:{}", self.password);
        format!("Basic {}", Base64::encode_string(pair.as_bytes()))
    }
}

impl Config {
    pub(crate) fn read() -> Result<Self> {
        let mut texts = vec![read(CONFIG)?];
        let mut drop_ins: Vec<PathBuf> = match fs::read_dir(DROP_INS) {
            Ok(entries) => entries
                .map(|entry| Ok(entry?.path()))
                .collect::<Result<_>>()?,
            Err(_) => Vec::new(),
        };
        drop_ins.sort();
        for path in drop_ins {
            texts.push(fs::read_to_string(path)?);
        }
        let told = settings(&texts);
        let text = |key: &str| told.get(key).with_context(|| format!("it has no {key}"));
        let token = |key: &str| Ok::<_, anyhow::Error>(Token::parse(&read(text(key)?)?));
        let server = told.get("server").map(|url| {
            let at = url.strip_prefix("https://").unwrap_or(url);
            at.parse().with_context(|| format!("no server: {url}"))
        });
        Ok(Self {
            name: text("node-name")?.clone(),
            address: text("node-ip")?.parse()?,
            token: token("token-file")?,
            agent_token: match told.contains_key("agent-token-file") {
                true => Some(token("agent-token-file")?),
                false => None,
            },
            founds: told.get("cluster-init").is_some_and(|word| word == "true"),
            server: server.transpose()?,
            node_password: read(PASSWORD)?,
        })
    }
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {path}"))
}

/// Keys with one value; the last word counts. Lists are for the real one.
fn settings(texts: &[String]) -> BTreeMap<String, String> {
    let lines = texts.iter().flat_map(|text| text.lines());
    let pairs = lines.filter_map(|line| line.split_once(": "));
    pairs
        .map(|(key, value)| {
            let value = serde_json::from_str(value).unwrap_or_else(|_| value.to_owned());
            (key.to_owned(), value)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_taken_apart() {
        let full = Token::parse("K100a0b::node:a:b\n");
        assert_eq!(
            (full.ca_hash.as_str(), full.password.as_str()),
            ("0a0b", "a:b")
        );
        assert_eq!(Token::parse("hunter2").password, "hunter2");
        assert_eq!(full.shown_by("node"), "Basic bm9kZTphOmI=");
    }

    #[test]
    fn the_last_file_counts() {
        let texts = ["a: \"x y\"\nlist:\n  - \"z\"\nb: true\n", "b: false\n"];
        let told = settings(&texts.map(str::to_owned));
        let pairs: Vec<_> = told.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("a", "x y"), ("b", "false")]);
    }
}
