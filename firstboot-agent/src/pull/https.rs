//! Git over HTTPS (gitprotocol-http(5)): what gitoxide wants of an HTTP client, by the
//! one that the agent has.

use std::any::Any;
use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Cursor, Read, Write};
use std::rc::Rc;
use std::sync::Arc;

use gix_error::Result;
use gix_sec::identity::Account;
use gix_transport::Protocol;
use gix_transport::client::TransportWithoutIO as _;
use gix_transport::client::blocking_io::http::{
    GetResponse, Http, PostBodyDataKind, PostResponse, Transport,
};
use gix_url::Url;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, BodyReader, Error, http::Response};

/// The certificates of a bundle; what is none in it is passed over.
pub(super) fn certificates(pem: &[u8]) -> Vec<Certificate<'static>> {
    let found = CertificateDer::pem_slice_iter(pem).flatten();
    found
        .map(|der| Certificate::from_der(&der).to_owned())
        .collect()
}

/// To a server that one of these certifies. The login goes with every question.
pub(super) fn transport(
    url: Url,
    authorities: Vec<Certificate<'static>>,
    login: Option<(String, String)>,
) -> Transport<Client> {
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(default_provider()))
        .root_certs(RootCerts::Specific(Arc::new(authorities)))
        .build();
    let agent = Agent::config_builder()
        .tls_config(tls)
        .https_only(true)
        .proxy(None)
        .http_status_as_error(false)
        // Somewhere else is another server, which the login is not for.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .build()
        .new_agent();
    let mut transport = Transport::new_http(Client(agent), url, Protocol::V2, false);
    if let Some((username, password)) = login {
        let account = Account {
            username,
            password,
            oauth_refresh_token: None,
        };
        // Never fails: it is kept.
        let _ = transport.set_identity(account);
    }
    transport
}

/// The agent's client.
pub(super) struct Client(Agent);

/// One question and its answer. It is sent when the answer is first looked at: by then
/// all of its body is written.
pub(super) struct Exchange {
    agent: Agent,
    url: String,
    headers: Vec<(String, String)>,
    /// Some, for a POST.
    body: Option<Vec<u8>>,
    answer: Option<BufReader<BodyReader<'static>>>,
}

type Shared = Rc<RefCell<Exchange>>;

/// Where the body of a question is written.
pub(super) struct Question(Shared);

/// The headers of the answer, as lines.
pub(super) struct Headers {
    of: Shared,
    lines: Option<Cursor<Vec<u8>>>,
}

/// The body of the answer.
pub(super) struct Answer {
    of: Shared,
    part: Cursor<Vec<u8>>,
}

impl Exchange {
    /// Asks; the one header of the answer that matters.
    fn ask(&mut self) -> io::Result<Vec<u8>> {
        let headers = self.headers.iter();
        let response = match &self.body {
            None => {
                let question = headers
                    .fold(self.agent.get(&self.url), |question, (name, value)| {
                        question.header(name, value)
                    });
                question.call()
            }
            Some(body) => {
                let question = headers
                    .fold(self.agent.post(&self.url), |question, (name, value)| {
                        question.header(name, value)
                    });
                question.send(&body[..])
            }
        };
        let response = response.map_err(|error| io::Error::other(in_words(&error)))?;
        if let Some(words) = refusal(&response) {
            return Err(io::Error::other(words));
        }
        let kind = response.headers().get("content-type");
        let kind = kind.map_or(&b""[..], |kind| kind.as_bytes());
        let line = [b"content-type: ", kind, b"\n"].concat();
        self.answer = Some(BufReader::new(response.into_body().into_reader()));
        Ok(line)
    }
}

fn in_words(error: &Error) -> String {
    match error {
        Error::HostNotFound => "no name server knows it".into(),
        Error::Io(error) if error.to_string().contains("UnknownIssuer") => {
            "its certificate is of a CA that is not known here: name that as `ca` in [gitops]"
                .into()
        }
        other => other.to_string(),
    }
}

fn refusal(response: &Response<Body>) -> Option<String> {
    let status = response.status();
    let to = response.headers().get("location");
    match (status.as_u16(), to.and_then(|to| to.to_str().ok())) {
        (200..=299, _) => None,
        (301 | 308, Some(to)) => Some(format!("it moved to {to}: write that into [gitops]")),
        (401 | 403, _) => Some(format!(
            "it lets nobody in with this login ({status}): `imgbuild secrets set repository`"
        )),
        (404, _) => Some(format!(
            "there is no such repository, or it is not open to all ({status})"
        )),
        _ => Some(format!("it answers {status}")),
    }
}

impl Client {
    fn exchange(
        &self,
        url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        body: Option<Vec<u8>>,
    ) -> Shared {
        let pair = |line: &str| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_owned(), value.to_owned()))
        };
        let headers = headers.into_iter();
        Rc::new(RefCell::new(Exchange {
            agent: self.0.clone(),
            url: url.to_owned(),
            headers: headers.filter_map(|line| pair(line.as_ref())).collect(),
            body,
            answer: None,
        }))
    }
}

fn both_ends(of: &Shared) -> (Headers, Answer) {
    let headers = Headers {
        of: Rc::clone(of),
        lines: None,
    };
    let answer = Answer {
        of: Rc::clone(of),
        part: Cursor::default(),
    };
    (headers, answer)
}

impl Http for Client {
    type Headers = Headers;
    type ResponseBody = Answer;
    type PostBody = Question;

    fn get(
        &mut self,
        url: &str,
        _: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<GetResponse<Headers, Answer>> {
        let (headers, body) = both_ends(&self.exchange(url, headers, None));
        Ok(GetResponse { headers, body })
    }

    fn post(
        &mut self,
        url: &str,
        _: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        _: PostBodyDataKind,
    ) -> Result<PostResponse<Headers, Answer, Question>> {
        let exchange = self.exchange(url, headers, Some(Vec::new()));
        let (headers, body) = both_ends(&exchange);
        Ok(PostResponse {
            post_body: Question(exchange),
            headers,
            body,
        })
    }

    fn configure(&mut self, _: &dyn Any) -> Result<()> {
        Ok(())
    }
}

impl Write for Question {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(body) = &mut self.0.borrow_mut().body {
            body.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Headers {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut ready = self.fill_buf()?;
        let len = ready.read(buffer)?;
        self.consume(len);
        Ok(len)
    }
}

impl BufRead for Headers {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let lines = match self.lines.take() {
            Some(lines) => lines,
            None => Cursor::new(self.of.borrow_mut().ask()?),
        };
        self.lines.insert(lines).fill_buf()
    }

    fn consume(&mut self, len: usize) {
        if let Some(lines) = &mut self.lines {
            lines.consume(len);
        }
    }
}

impl Read for Answer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut ready = self.fill_buf()?;
        let len = ready.read(buffer)?;
        self.consume(len);
        Ok(len)
    }
}

impl BufRead for Answer {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let used = self.part.position() as usize >= self.part.get_ref().len();
        if let (true, Some(answer)) = (used, &mut self.of.borrow_mut().answer) {
            let ready = answer.fill_buf()?.to_vec();
            answer.consume(ready.len());
            self.part = Cursor::new(ready);
        }
        self.part.fill_buf()
    }

    fn consume(&mut self, len: usize) {
        self.part.consume(len);
    }
}
