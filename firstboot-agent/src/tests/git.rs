//! A Git server: git's own, behind TLS, with whatever can be wrong with one.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

use super::supervisor::{Shape, authorities, config};

/// A repository with one or more commits.
pub(crate) struct Repository {
    dir: TempDir,
}

impl Repository {
    /// Empty, with a key to sign with, `signer`, and another, `stranger`.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("directory");
        let repository = Self { dir };
        for key in ["signer", "stranger"] {
            let path = repository.path(key);
            run(Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", key, "-f"])
                .arg(path));
        }
        fs::create_dir(repository.path("a.git")).expect("folder");
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    /// A file beside the repository.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A public key, as one line.
    pub(crate) fn public(&self, key: &str) -> String {
        let text = fs::read_to_string(self.path(&format!("{key}.pub"))).expect("key");
        text.trim().to_owned()
    }

    /// Runs git in it.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        let mut git = Command::new("git");
        git.current_dir(self.path("a.git"))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .args(["-c", "user.name=n", "-c", "user.email=e@x"])
            .args(["-c", "commit.gpgSign=false", "-c", "gpg.format=ssh"])
            .args(args);
        run(&mut git)
    }

    /// Writes files, and commits them; its name. Signed by a key, if one is named.
    pub(crate) fn commit(&self, files: &[(&str, &[u8])], key: Option<&str>) -> String {
        for (name, content) in files {
            let path = self.path("a.git").join(name);
            fs::create_dir_all(path.parent().expect("below")).expect("folders");
            fs::write(path, content).expect("file");
        }
        self.git(&["add", "--all"]);
        match key {
            None => self.git(&["commit", "--quiet", "-m", "x"]),
            Some(key) => {
                let path = self.path(key);
                let key = format!("user.signingKey={}", path.display());
                self.git(&["-c", &key, "commit", "--quiet", "-S", "-m", "x"])
            }
        };
        self.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    /// A program that is called as ssh is, and runs what it is told right here. With the
    /// words it is to say instead, if any.
    pub(crate) fn ssh(&self, instead: Option<&str>) -> String {
        let path = self.path("ssh");
        let script = match instead {
            Some(words) => format!("echo '{words}' >&2; exit 255"),
            None => "for last; do :; done; exec sh -c \"$last\"".to_owned(),
        };
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("script");
        run(Command::new("chmod").arg("+x").arg(&path));
        path.to_str().expect("UTF-8").to_owned()
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("ci/setup installs it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What is wrong with the server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    /// The header that lets somebody in, where not everybody is.
    pub(crate) lets_in: Option<&'static str>,
    /// A byte of what it sends is another one, that far from its end.
    pub(crate) flips: Option<usize>,
    /// It answers with this status, and says that it is elsewhere.
    pub(crate) moved: Option<u16>,
    /// It knows no protocol but the oldest.
    pub(crate) old: bool,
}

/// A server of a repository, which ends with the value.
pub(crate) struct Server {
    /// Of the repository `a.git`.
    pub(crate) url: String,
    /// The CA that certifies it, as PEM.
    pub(crate) ca: String,
    over: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
    port: u16,
}

impl Server {
    pub(crate) fn start(repository: &Repository, faults: Faults) -> Self {
        let authorities = authorities(1);
        let config = Arc::new(config(&Shape::default(), &authorities));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
        let port = listener.local_addr().expect("address").port();
        let over = Arc::new(AtomicBool::new(false));
        let (ended, root) = (Arc::clone(&over), repository.dir.path().to_owned());
        let accepting = thread::spawn(move || {
            for wire in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                // Whoever hangs up or does not trust us is no trouble of ours.
                let _ = wire.and_then(|wire| serve(wire, &config, &root, &faults));
            }
        });
        Self {
            url: format!("https://127.0.0.1:{port}/a.git"),
            ca: authorities[0].0.pem(),
            over,
            accepting: Some(accepting),
            port,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        let _ = self.accepting.take().map(JoinHandle::join);
    }
}

fn serve(
    wire: TcpStream,
    config: &Arc<ServerConfig>,
    root: &Path,
    faults: &Faults,
) -> io::Result<()> {
    wire.set_read_timeout(Some(Duration::from_secs(5)))?;
    let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(connection, wire));
    let (mut head, mut line) = (Vec::new(), String::new());
    while stream.read_line(&mut line)? > 2 {
        head.push(line.trim_end().to_owned());
        line.clear();
    }
    let header = |name: &str| {
        let mut pairs = head.iter().filter_map(|line| line.split_once(": "));
        let found = pairs.find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    stream.read_exact(&mut body)?;
    let refused = faults
        .lets_in
        .is_some_and(|value| value != header("authorization"));
    let answer = match (faults.moved, refused) {
        (Some(status), _) => {
            format!("HTTP/1.1 {status} X\r\nLocation: https://else/\r\n\r\n").into()
        }
        (_, true) => b"HTTP/1.1 401 X\r\nWWW-Authenticate: Basic\r\n\r\n".to_vec(),
        _ => {
            let first = head.first().cloned().unwrap_or_default();
            let protocol = match faults.old {
                true => String::new(),
                false => header("git-protocol"),
            };
            git(root, &first, &header("content-type"), &protocol, &body)?
        }
    };
    let mut answer = answer;
    if let (Some(flips), false) = (faults.flips, body.is_empty())
        && let Some(byte) = answer.len().checked_sub(flips)
        && contains(&answer, b"PACK")
    {
        answer[byte] ^= 0x10;
    }
    let stream = stream.get_mut();
    stream.write_all(&answer)?;
    stream.flush()?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|part| part == word)
}

/// By git's own program for web servers (git-http-backend(1)), as CGI (RFC 3875).
fn git(root: &Path, first: &str, kind: &str, protocol: &str, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut words = first.split(' ');
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or("/"),
    );
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    // A work tree is served by its own folder.
    let path = path.replacen("/a.git/", "/a.git/.git/", 1);
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_COUNT", "2")
        .env("GIT_CONFIG_KEY_0", "uploadpack.allowFilter")
        .env("GIT_CONFIG_VALUE_0", "true")
        .env("GIT_CONFIG_KEY_1", "safe.directory")
        .env("GIT_CONFIG_VALUE_1", "*")
        .env("REQUEST_METHOD", method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", kind)
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("GIT_PROTOCOL", protocol)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(body)?;
    }
    let said = child.wait_with_output()?.stdout;
    let status = match said.starts_with(b"Status: ") {
        true => String::from_utf8_lossy(&said[8..11]).into_owned(),
        false => "200".into(),
    };
    let head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\n");
    Ok([head.as_bytes(), &said].concat())
}
