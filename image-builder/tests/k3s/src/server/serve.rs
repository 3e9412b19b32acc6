//! Port 6443: the supervisor's answers (K3s: `pkg/server/handlers/router.go`), and of
//! the cluster's inside what the servers and agents of this stand-in tell each other.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Bootstrap, Server, authorities};
use crate::nodes::{Newcomer, Refused};

/// What K3s says of somebody else's name (pkg/nodepassword).
pub(super) const PASSWORD: &str = "Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may \
     not match server node-passwd entry, try enabling a unique node name with the --with-node-id \
     flag";

/// What etcd says of a member's (pkg/etcd).
const MEMBER: &str = "etcd cluster join failed: duplicate node name found, please use a unique \
                      name for this node";

const PATIENCE: Duration = Duration::from_secs(20);
const LONGEST: u64 = 1 << 20;

/// A question.
struct Question {
    path: String,
    authorization: String,
    body: Vec<u8>,
}

impl Question {
    fn read<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).with_context(|| self.path.clone())
    }
}

pub(super) fn run(server: &Arc<Server>, listener: &TcpListener, tls: &Arc<ServerConfig>) {
    for wire in listener.incoming().flatten() {
        let (server, tls) = (Arc::clone(server), Arc::clone(tls));
        // Whoever hangs up, or does not believe us, is no trouble of ours.
        thread::spawn(move || drop(one(&server, wire, &tls)));
    }
}

fn one(server: &Server, wire: TcpStream, tls: &Arc<ServerConfig>) -> io::Result<()> {
    wire.set_read_timeout(Some(PATIENCE))?;
    wire.set_write_timeout(Some(PATIENCE))?;
    let connection = ServerConnection::new(Arc::clone(tls)).map_err(io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(connection, wire));
    let question = hear(&mut stream)?;
    let (status, body) =
        answer(server, &question).unwrap_or_else(|error| (500, format!("{error:#}").into_bytes()));
    let stream = stream.get_mut();
    write!(
        stream,
        "HTTP/1.1 {status} Whatever\r\nDate: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        httpdate::fmt_http_date(SystemTime::now()),
        body.len()
    )?;
    stream.write_all(&body)?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn hear(stream: &mut BufReader<StreamOwned<ServerConnection, TcpStream>>) -> io::Result<Question> {
    let (mut line, mut len) = (String::new(), 0);
    let mut question = Question {
        path: String::new(),
        authorization: String::new(),
        body: Vec::new(),
    };
    while stream.read_line(&mut line)? > 2 {
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                question.authorization = value.into();
            }
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                len = value.parse().map_err(io::Error::other)?;
            }
            None if question.path.is_empty() => {
                question.path = line.split(' ').nth(1).unwrap_or_default().into();
            }
            _ => {}
        }
        line.clear();
    }
    stream
        .take(len)
        .take(LONGEST)
        .read_to_end(&mut question.body)?;
    Ok(question)
}

fn answer(server: &Server, question: &Question) -> Result<(u16, Vec<u8>)> {
    let shown = question.authorization.as_str();
    let config = &server.config;
    let is_server = shown == config.token.shown_by("server");
    let agents = config.agent_token.as_ref().unwrap_or(&config.token);
    let is_agent = shown == agents.shown_by("node");
    match question.path.as_str() {
        "/ping" => return Ok((200, b"pong".to_vec())),
        "/cacerts" => return Ok((200, server.bundle.clone().into_bytes())),
        _ if !is_server && !is_agent => return Ok((401, b"Unauthorized".to_vec())),
        _ if !server.ready.load(Ordering::Relaxed) => return Ok((503, b"starting".to_vec())),
        "/v1-k3s/readyz" => return Ok((200, b"ok".to_vec())),
        _ => {}
    }
    let now = crate::now()?;
    match (question.path.as_str(), is_server) {
        ("/v1-k3s/serving-kubelet.crt", _) => {
            let who: Newcomer = question.read()?;
            match server.with(|nodes| nodes.welcome(&who, now))? {
                Ok(()) => json(&true),
                Err(_) => Ok((403, PASSWORD.into())),
            }
        }
        ("/v1-k3s/apiservers", _) => json(&server.with(|nodes| nodes.servers())?),
        ("/heartbeat", _) => {
            let name: String = question.read()?;
            json(&server.with(|nodes| nodes.hear(&name, now))?)
        }
        ("/nodes", false) => json(&server.with(|nodes| nodes.clone())?),
        ("/nodes", true) => {
            let theirs = question.read()?;
            json(&server.with(|nodes| {
                nodes.merge(theirs);
                nodes.clone()
            })?)
        }
        ("/v1-k3s/server-bootstrap", true) => {
            let who: Newcomer = question.read()?;
            match server.with(|nodes| nodes.may_join(&who))? {
                Ok(()) => json(&Bootstrap {
                    files: authorities()?,
                    nodes: server.with(|nodes| nodes.clone())?,
                }),
                Err(Refused::Member) => Ok((400, MEMBER.into())),
                Err(Refused::Password) => Ok((403, PASSWORD.into())),
            }
        }
        ("/v1-k3s/server-bootstrap", false) => Ok((403, b"Forbidden".to_vec())),
        _ => Ok((404, b"404 page not found".to_vec())),
    }
}

fn json(value: &impl Serialize) -> Result<(u16, Vec<u8>)> {
    Ok((200, serde_json::to_vec(value)?))
}
