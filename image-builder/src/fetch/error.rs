//! Why something cannot be fetched, and what is worth another try.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Address;
use crate::progress::Interrupted;

/// Why something was not fetched. No message holds a password: URLs are
/// [`Address`]es, which do not show theirs.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The network may not be used.
    #[error(
        "{0} is not on this machine and nothing may be downloaded (offline); download it once without that, or name a `file:` mirror that has it"
    )]
    Offline(Address),
    /// Not a URL this program can use.
    #[error("`{url}` cannot be downloaded: {why}; use an https:, http: or file: URL")]
    Url {
        /// The URL without user and password.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The server says no, and will again.
    #[error("the server refused {url} with status {status}: {}", advice(*status))]
    Refused {
        /// What was asked for.
        url: Address,
        /// HTTP status code.
        status: u16,
    },
    /// A redirect that may not be followed.
    #[error("{url} was redirected to {to}, and {why}; correct the URL")]
    Redirect {
        /// Where the redirect came from.
        url: Address,
        /// Where it leads.
        to: String,
        /// Why it is not followed.
        why: &'static str,
    },
    /// Nobody we trust vouches for the server.
    #[error(
        "the server of {url} cannot be trusted: {why}; if it has an authority of its own, name that one's certificate as CA file, else install ca-certificates and look at the clock"
    )]
    Trust {
        /// What was asked for.
        url: Address,
        /// What is wrong with the certificate.
        why: String,
    },
    /// More than was allowed.
    #[error("{url} is longer than the {limit} bytes it may have; nothing of it is kept")]
    TooLong {
        /// What was asked for.
        url: Address,
        /// The most it may have, in bytes.
        limit: u64,
    },
    /// Another size than was wanted.
    #[error(
        "{url} has {found} bytes, expected are {expected}; it is another file now, or the mirror is not up to date"
    )]
    Size {
        /// What was asked for.
        url: Address,
        /// Bytes it should have.
        expected: u64,
        /// Bytes it has, at least.
        found: u64,
    },
    /// Other bytes than were wanted.
    #[error(
        "{url} has sha256 {found}, expected is {expected}; nothing of it is kept: it is another file now, or was changed on its way"
    )]
    Digest {
        /// What was asked for.
        url: Address,
        /// What it should have.
        expected: String,
        /// What it has.
        found: String,
    },
    /// All attempts failed.
    #[error(
        "{url} could not be downloaded in {attempts} attempts, at last because {trouble}; look at the network, or try again later"
    )]
    GaveUp {
        /// What was asked for.
        url: Address,
        /// How many there were in a row.
        attempts: u32,
        /// How the last one ended.
        trouble: Trouble,
    },
    /// Whoever is to give a token for reading gives none.
    #[error(
        "the server of {url} wants a token before it lets anybody read, and {why}; look whether the URL is right and open to everybody"
    )]
    Token {
        /// What was asked for.
        url: Address,
        /// What is wrong with it.
        why: String,
    },
    /// A file of this machine.
    #[error("{doing} {} failed: {source}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// No certificate in the file of authorities.
    #[error("{} holds no certificate that can be read: {why}; it must be PEM", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A proxy variable that is no proxy. Its value may hold a password.
    #[error(
        "the variable {0} does not name a proxy; write it as http://HOST:PORT or socks5://HOST:PORT"
    )]
    Proxy(&'static str),
    /// The user stopped it.
    #[error("the download was stopped")]
    Stopped(#[source] io::Error),
}

impl FetchError {
    /// What the system says about a file, with what was being done to it; or
    /// that the user stopped it meanwhile.
    pub(super) fn file(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| match source.get_ref() {
            Some(inner) if inner.is::<Interrupted>() => Self::Stopped(source),
            _ => Self::File {
                doing,
                path: path.clone(),
                source,
            },
        }
    }
}

/// What may be otherwise the next time.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The server is busy or broken.
    #[error("the server answered with status {0}")]
    Status(u16),
    /// No connection came about.
    #[error("there was no connection within {0:?}")]
    Unreachable(Duration),
    /// Neither bytes nor an end.
    #[error("nothing came for {0:?}")]
    Silence(Duration),
    /// The connection ended before the file did.
    #[error("the connection ended after {received} of {expected} bytes")]
    Cut {
        /// Bytes that are here.
        received: u64,
        /// Bytes that should be.
        expected: u64,
    },
    /// The part that was asked for is not the part that was offered.
    #[error("the server's file is another one than a part of it was kept of")]
    Changed,
    /// Anything else that a connection dies of.
    #[error("{0}")]
    Network(String),
}

/// How one attempt failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another attempt may go well.
    Again {
        /// What was wrong.
        trouble: Trouble,
        /// How long the server wants us to wait.
        pause: Option<Duration>,
    },
    /// It will not.
    Fatal(FetchError),
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Self::Again {
            trouble,
            pause: None,
        }
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        Self::Fatal(error)
    }
}

fn advice(status: u16) -> &'static str {
    match status {
        401 | 407 => "it wants a user and password that are right",
        403 => "it is not for us, or the proxy forbids it",
        404 | 410 => "there is no such file; look whether it was moved or replaced by a newer one",
        _ => "look at the URL",
    }
}
