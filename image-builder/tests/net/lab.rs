//! Clients without waiting, files to fetch, and a progress that remembers.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use imgbuild::fetch::{Client, Clock, FetchError, Fetched, Settings, Wanted};
use imgbuild::progress::{Interrupted, Progress};
use sha2::{Digest as _, Sha256};

/// The time of day in the tests: 1994-11-06 08:49:37 UTC, as in RFC 9110.
pub(crate) const NOW: Duration = Duration::from_secs(784_111_777);

/// A clock that waits without time passing.
#[derive(Debug, Default)]
pub(crate) struct FakeClock(Mutex<Duration>);

impl FakeClock {
    /// How long was waited in all.
    pub(crate) fn slept(&self) -> Duration {
        *self.0.lock().expect("clock")
    }
}

impl Clock for FakeClock {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + NOW
    }

    fn sleep(&self, pause: Duration) {
        *self.0.lock().expect("clock") += pause;
    }
}

/// A folder, a client, a clock.
pub(crate) struct Lab {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) client: Client,
}

impl Lab {
    pub(crate) fn new(settings: Settings) -> Self {
        Self::with_env(settings, &[])
    }

    /// With variables, which are the only ones.
    pub(crate) fn with_env(settings: Settings, env: &[(&str, &str)]) -> Self {
        let clock = Arc::new(FakeClock::default());
        let shared: Arc<FakeClock> = Arc::clone(&clock);
        let client = Client::with_parts(settings, shared, |name| {
            let found = env.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        Self {
            dir: tempfile::tempdir().expect("directory"),
            clock,
            client: client.expect("client"),
        }
    }

    /// Where [`Lab::fetch`] puts the file.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("file")
    }

    pub(crate) fn fetch(&self, wanted: &Wanted) -> Result<Fetched, FetchError> {
        self.fetch_with(wanted, &mut Recorder::default())
    }

    pub(crate) fn fetch_with(
        &self,
        wanted: &Wanted,
        progress: &mut Recorder,
    ) -> Result<Fetched, FetchError> {
        self.client.download(wanted, &self.file(), progress)
    }

    /// Downloads, and checks that the file has these bytes and no company.
    pub(crate) fn fetch_right(&self, wanted: &Wanted, bytes: &[u8]) -> Fetched {
        let fetched = self.fetch(wanted).expect("download");
        assert_eq!(fetched.size, bytes.len() as u64);
        assert_eq!(fetched.sha256, sha256(bytes));
        assert!(std::fs::read(self.file()).expect("file") == bytes);
        assert_eq!(self.names(), ["file"]);
        fetched
    }

    /// What is in the folder, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path()).expect("directory");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("entry").file_name().to_string_lossy().into())
            .collect();
        names.sort();
        names
    }
}

/// Settings that do not wait long for real time.
pub(crate) fn quick() -> Settings {
    Settings {
        // Nothing listens behind a proxy or a name here: whatever waits so long
        // is a test that fails.
        connect_timeout: Duration::from_secs(20),
        stall_timeout: Duration::from_secs(20),
        attempts: 4,
        ..Settings::default()
    }
}

/// A file that is pinned by its sha256 alone.
pub(crate) fn pinned(url: String, bytes: &[u8]) -> Wanted {
    Wanted {
        url,
        sha256: Some(sha256(bytes)),
        size: None,
        limit: 1 << 30,
    }
}

/// A file of which nothing is known.
pub(crate) fn unpinned(url: String) -> Wanted {
    Wanted {
        sha256: None,
        ..pinned(url, &[])
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(&Sha256::digest(bytes))
}

/// Bytes that are different everywhere.
pub(crate) fn bytes(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| next()).collect();
    bytes.truncate(len);
    bytes
}

/// Remembers what it was told, and stops when it is to.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) notes: Vec<String>,
    /// Bytes since the last step began.
    pub(crate) bytes: u64,
    /// Stops once so many bytes came.
    pub(crate) stop_at: Option<u64>,
    /// Called with every note.
    pub(crate) on_note: Option<Box<dyn FnMut() + Send>>,
}

impl Progress for Recorder {
    fn step(&mut self, _: &str, _: Option<u64>) {
        self.bytes = 0;
    }

    fn advance(&mut self, bytes: u64) -> io::Result<()> {
        self.bytes += bytes;
        match self.stop_at {
            Some(limit) if self.bytes >= limit => Err(Interrupted.into()),
            _ => Ok(()),
        }
    }

    fn note(&mut self, text: &str) {
        self.notes.push(text.into());
        if let Some(call) = &mut self.on_note {
            call();
        }
    }
}
