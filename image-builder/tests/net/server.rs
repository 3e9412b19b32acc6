//! A small HTTP server that does as a test says, also what no server should.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// The strong ETag of [`Wire::file`].
pub(crate) const ETAG: &str = "\"v1\"";

/// No server thread outlives a test for longer.
const PATIENCE: Duration = Duration::from_secs(60);

type Handler = dyn Fn(usize, &Request, &mut Wire) -> io::Result<()> + Send + Sync;

/// A server on the loopback interface; it ends with the value.
pub(crate) struct Server {
    address: SocketAddr,
    scheme: &'static str,
    seen: Arc<Seen>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<Request>>,
    sent: AtomicU64,
    over: AtomicBool,
}

/// What a client asked.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// `GET /path HTTP/1.1`
    pub(crate) line: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The first byte of the range it asks for.
    pub(crate) fn from(&self) -> Option<usize> {
        let range = self.header("range")?.strip_prefix("bytes=")?;
        range.strip_suffix('-')?.parse().ok()
    }

    fn parse(head: &str) -> Self {
        let mut lines = head.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        let headers = lines.filter_map(|line| line.split_once(": "));
        Self {
            line,
            headers: headers
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        }
    }
}

impl Server {
    /// A server whose answers `handler` writes; it is given the number of the
    /// request, from 0.
    pub(crate) fn start(
        handler: impl Fn(usize, &Request, &mut Wire) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::serve("http", None, Arc::new(handler))
    }

    /// The same, encrypted.
    pub(crate) fn start_tls(
        config: ServerConfig,
        handler: impl Fn(usize, &Request, &mut Wire) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::serve("https", Some(Arc::new(config)), Arc::new(handler))
    }

    fn serve(scheme: &'static str, tls: Option<Arc<ServerConfig>>, handler: Arc<Handler>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("address");
        let seen = Arc::new(Seen::default());
        let shared = Arc::clone(&seen);
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.over.load(Ordering::Relaxed) {
                    return;
                }
                let (seen, handler, tls) = (Arc::clone(&shared), Arc::clone(&handler), tls.clone());
                thread::spawn(move || {
                    // Clients hang up: that is what many tests are about.
                    let _ = stream.and_then(|stream| converse(stream, tls, &seen, &*handler));
                });
            }
        });
        Self {
            address,
            scheme,
            seen,
            accepting: Some(accepting),
        }
    }

    /// A URL of this server; `path` begins with `/`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.host())
    }

    /// `localhost:PORT` where a certificate needs a name, else `127.0.0.1:PORT`.
    pub(crate) fn host(&self) -> String {
        match self.scheme {
            "https" => format!("localhost:{}", self.address.port()),
            _ => self.address.to_string(),
        }
    }

    /// What was asked so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.seen.requests.lock().expect("requests").clone()
    }

    /// Bytes of bodies sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.seen.sent.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.seen.over.store(true, Ordering::Relaxed);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.accepting.take() {
            let _ = thread.join();
        }
    }
}

/// One connection, one request.
fn converse(
    stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    seen: &Arc<Seen>,
    handler: &Handler,
) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut unread = 0;
    let (head, stream) = match tls {
        None => {
            let head = peek_head(&stream)?;
            unread = head.len();
            (head, Stream::Plain(stream))
        }
        Some(config) => {
            let connection = ServerConnection::new(config).map_err(io::Error::other)?;
            let mut stream = StreamOwned::new(connection, stream);
            (read_head(&mut stream)?, Stream::Tls(Box::new(stream)))
        }
    };
    let request = Request::parse(&head);
    let number = {
        let mut requests = seen.requests.lock().expect("requests");
        requests.push(request.clone());
        requests.len() - 1
    };
    let mut wire = Wire {
        stream,
        unread,
        seen: Arc::clone(seen),
    };
    handler(number, &request, &mut wire)?;
    wire.close()
}

/// Looks at a request without taking it: a socket that is closed with bytes
/// unread resets its connection, which is how [`Wire::reset`] does it.
fn peek_head(stream: &TcpStream) -> io::Result<String> {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let len = stream.peek(&mut buffer)?;
        let head = String::from_utf8_lossy(&buffer[..len]).into_owned();
        if head.contains("\r\n\r\n") {
            return Ok(head);
        }
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn read_head(stream: &mut impl Read) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

/// The server's end of a connection.
pub(crate) struct Wire {
    stream: Stream,
    unread: usize,
    seen: Arc<Seen>,
}

impl Wire {
    /// Writes a status line and headers; `Connection: close` is among them.
    pub(crate) fn head(&mut self, status: &str, headers: &[(&str, &str)]) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        self.write(format!("{head}\r\n").as_bytes())
    }

    /// Writes bytes of a body.
    pub(crate) fn body(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(64 << 10) {
            self.write(piece)?;
            self.seen
                .sent
                .fetch_add(piece.len() as u64, Ordering::SeqCst);
        }
        Ok(())
    }

    /// An answer without a body.
    pub(crate) fn status(&mut self, status: &str, headers: &[(&str, &str)]) -> io::Result<()> {
        let mut headers = headers.to_vec();
        headers.push(("Content-Length", "0"));
        self.head(status, &headers)
    }

    /// The file as a good server sends it, with [`ETAG`]: the part asked for if
    /// that is of this version.
    pub(crate) fn file(&mut self, request: &Request, bytes: &[u8]) -> io::Result<()> {
        self.part(request, ETAG, bytes, bytes.len())
    }

    /// The same with another ETag, cut off before the byte `until`.
    pub(crate) fn part(
        &mut self,
        request: &Request,
        etag: &str,
        bytes: &[u8],
        until: usize,
    ) -> io::Result<()> {
        let len = bytes.len();
        let same = request.header("if-range").is_none_or(|tag| tag == etag);
        match request.from().filter(|_| same) {
            Some(from) if from >= len => {
                let range = format!("bytes */{len}");
                self.status("416 Range Not Satisfiable", &[("Content-Range", &range)])
            }
            Some(from) => {
                let range = format!("bytes {from}-{}/{len}", len - 1);
                let rest = (len - from).to_string();
                self.head(
                    "206 Partial Content",
                    &[
                        ("Content-Range", &range),
                        ("Content-Length", &rest),
                        ("ETag", etag),
                    ],
                )?;
                self.body(&bytes[from..until.max(from)])
            }
            None => {
                let len = len.to_string();
                self.head("200 OK", &[("Content-Length", &len), ("ETag", etag)])?;
                self.body(&bytes[..until])
            }
        }
    }

    /// Says nothing until the client hangs up.
    pub(crate) fn silence(&mut self) {
        self.take_request();
        let mut byte = [0];
        let _ = match &mut self.stream {
            Stream::Plain(stream) => stream.read(&mut byte),
            Stream::Tls(stream) => stream.read(&mut byte),
        };
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(&mut self) -> io::Result<()> {
        // `close` is not reached: dropping with bytes unread resets.
        Err(io::ErrorKind::ConnectionReset.into())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    fn take_request(&mut self) {
        if let Stream::Plain(stream) = &mut self.stream {
            let mut head = vec![0; std::mem::take(&mut self.unread)];
            let _ = stream.read_exact(&mut head);
        }
    }

    fn close(mut self) -> io::Result<()> {
        self.take_request();
        match &mut self.stream {
            Stream::Plain(stream) => stream.flush(),
            Stream::Tls(stream) => {
                stream.conn.send_close_notify();
                stream.flush()
            }
        }
    }
}
