//! The one room with a network: bytes from a URL to a file that is complete
//! and right, or to an error. It knows HTTP and files, not what is in them.

mod address;
mod all;
mod answer;
mod bearer;
mod download;
mod error;
mod exchange;
mod forward;
mod partial;
mod proxy;
mod range;
mod retry;
mod session;
mod state;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use address::{Address, Mirror};
pub use bearer::{Challenge, token};
pub use error::{FetchError, Trouble};
pub use range::{ContentRange, Validator};
pub use retry::{Clock, SystemClock, retry_after};
pub use state::State;

use crate::progress::Progress;
use proxy::Proxies;
use session::{Roots, Session};

/// How often long waits look whether the user wants to stop: a tenth of the
/// second that people take for "at once".
const POLL: Duration = Duration::from_millis(100);

/// How to reach the network.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Certificate authorities to trust beside the system's, PEM. For a
    /// company's proxy or a mirror of one's own.
    pub ca_file: Option<PathBuf>,
    /// Where to go instead.
    pub mirrors: Vec<Mirror>,
    /// Whether only `file:` URLs may be read.
    pub offline: bool,
    /// The longest wait for a connection: name, TCP and TLS each.
    pub connect_timeout: Duration,
    /// The longest silence of a server.
    pub stall_timeout: Duration,
    /// Attempts in a row that may fail; one that brought a good piece of the
    /// file begins the count anew.
    pub attempts: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ca_file: None,
            mirrors: Vec::new(),
            offline: false,
            // Three lost SYNs (1 + 2 + 4 s, RFC 6298) still make a connection.
            connect_timeout: Duration::from_secs(10),
            // A caching proxy may fetch a good part of a file before its first
            // byte comes.
            stall_timeout: Duration::from_secs(30),
            // With the pauses between them half a minute: a router's restart is
            // longer, but nobody wants to wait longer for a wrong name.
            attempts: 6,
        }
    }
}

/// A file, and what is known of it beforehand.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// `https:`, `http:` or `file:`.
    pub url: String,
    /// Its sha256 in hex. Without one the file is what the server says.
    pub sha256: Option<String>,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// The most bytes it may have, whatever the server says.
    pub limit: u64,
}

/// A file that is complete, right and on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its sha256 in lower-case hex.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes of it that were here before; `size` when nothing was downloaded.
    pub reused: u64,
}

/// Downloads, with everything they have in common.
#[derive(Debug)]
pub struct Client {
    settings: Settings,
    roots: Roots,
    proxies: Proxies,
    clock: Arc<dyn Clock>,
}

impl Client {
    /// A client that trusts the system's authorities (`SSL_CERT_FILE` and
    /// `SSL_CERT_DIR` replace them) and those of the settings, and goes through
    /// the proxies that the environment names.
    ///
    /// # Errors
    /// When the file of authorities or a proxy variable is no good.
    pub fn new(settings: Settings) -> Result<Self, FetchError> {
        let env = |name: &str| std::env::var(name).ok();
        Self::with_parts(settings, Arc::new(SystemClock), env)
    }

    /// The same with another clock and environment.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn with_parts(
        settings: Settings,
        clock: Arc<dyn Clock>,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, FetchError> {
        Ok(Self {
            roots: session::roots(settings.ca_file.as_deref())?,
            proxies: Proxies::from_env(env)?,
            settings,
            clock,
        })
    }

    /// A small document, at most `limit` bytes of it.
    ///
    /// # Errors
    /// When it cannot be had, is longer, or the user stops it.
    pub fn read(
        &self,
        url: &str,
        limit: u64,
        progress: &mut dyn Progress,
    ) -> Result<Vec<u8>, FetchError> {
        download::read(&Session::new(self), url, limit, progress)
    }

    /// The same in the first of these forms that the server has: media types, as
    /// in `Accept:`.
    ///
    /// # Errors
    /// As [`Client::read`].
    pub fn read_as(
        &self,
        url: &str,
        forms: &'static str,
        limit: u64,
        progress: &mut dyn Progress,
    ) -> Result<Vec<u8>, FetchError> {
        download::read(&Session::accepting(self, forms), url, limit, progress)
    }

    /// A file at `into`, where it appears only complete, right and synced; a
    /// file that is there already and has the wanted sha256 is taken as it is,
    /// another one is replaced. What an earlier run left of it (`.NAME.part`)
    /// is used. Another run that downloads the same is waited for.
    ///
    /// # Errors
    /// When it cannot be had, is not what was wanted, cannot be written, or the
    /// user stops it. What came until then is kept for the next run, unless it
    /// was wrong.
    pub fn download(
        &self,
        wanted: &Wanted,
        into: &Path,
        progress: &mut dyn Progress,
    ) -> Result<Fetched, FetchError> {
        download::download(&Session::new(self), wanted, into, progress)
    }

    /// Several files, at most `parallel` at a time, in the order asked for. The
    /// first that fails for good stops the others; what came of them is kept.
    ///
    /// # Errors
    /// As [`Client::download`], the first there was.
    pub fn download_all(
        &self,
        wanted: &[(Wanted, PathBuf)],
        parallel: usize,
        progress: &mut dyn Progress,
    ) -> Result<Vec<Fetched>, FetchError> {
        all::download_all(&Session::new(self), wanted, parallel, progress)
    }
}
