//! The file.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{ParseError, Seal, Secrets, SecretsError, Unlock};
use crate::config::{Disk, Files as _};
use crate::io::Scratch;

/// A thousand nodes take a third of it.
const LIMIT: u64 = 16 << 20;

/// An opened secrets file. Who changes it does so for the state that was read: two
/// at once, and the second is told to look again.
#[derive(Debug)]
pub struct Vault {
    path: PathBuf,
    secrets: Secrets,
    seal: Seal,
    /// sha256 of the file as it was read or written last.
    seen: [u8; 32],
}

impl Vault {
    /// Writes a new file.
    ///
    /// # Errors
    /// When there is one already, or it cannot be written.
    pub fn create(path: &Path, mut secrets: Secrets, seal: Seal) -> Result<Self, SecretsError> {
        secrets.recipients = seal.recipients().to_vec();
        let sealed = close(path, &secrets, &seal)?;
        write(path, &sealed, false).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => SecretsError::Exists(path.into()),
            _ => file("writing", path)(error),
        })?;
        let seen = Sha256::digest(&sealed).into();
        Ok(Self {
            path: path.into(),
            secrets,
            seal,
            seen,
        })
    }

    /// Reads the file of the cluster with this id.
    ///
    /// # Errors
    /// When it is missing, cannot be opened with what is at hand, is damaged or
    /// belongs to another cluster.
    pub fn open(path: &Path, cluster: Uuid, unlock: &Unlock) -> Result<Self, SecretsError> {
        let sealed = Disk.read(path, LIMIT).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => SecretsError::Missing(path.into()),
            _ => file("reading", path)(error),
        })?;
        let opened = unlock.open(path, &sealed)?;
        let secrets = Secrets::parse(&opened.text).map_err(|error| match error {
            ParseError::Version(found) => SecretsError::Version {
                path: path.into(),
                found,
            },
            ParseError::Form(why) => SecretsError::Damaged {
                path: path.into(),
                why,
            },
        })?;
        if secrets.cluster != cluster {
            return Err(SecretsError::OtherCluster {
                path: path.into(),
                found: secrets.cluster,
                wanted: cluster,
            });
        }
        let seal = match opened.passphrase {
            Some(passphrase) => Seal::Passphrase(passphrase),
            None if secrets.recipients.is_empty() => {
                // Encrypted by hand: nobody knows for whom to encrypt it again.
                let why = "it does not say for whom it is encrypted".to_owned();
                return Err(SecretsError::Damaged {
                    path: path.into(),
                    why,
                });
            }
            None => Seal::Recipients(secrets.recipients.clone()),
        };
        let seen = Sha256::digest(&sealed).into();
        Ok(Self {
            path: path.into(),
            secrets,
            seal,
            seen,
        })
    }

    /// What is in it.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Changes the secrets and writes them: all of it, or nothing.
    ///
    /// # Errors
    /// What `change` says; or that somebody else changes the file, did so since it
    /// was read, or that it cannot be written.
    pub fn change<T>(
        &mut self,
        change: impl FnOnce(&mut Secrets) -> Result<T, SecretsError>,
    ) -> Result<T, SecretsError> {
        let mut secrets = self.secrets.clone();
        let result = change(&mut secrets)?;
        self.replace(secrets, self.seal.clone())?;
        Ok(result)
    }

    /// Encrypts the file for somebody else. Older copies, in Git for example, still
    /// open with the old keys: secrets that somebody must not know any more have to
    /// be rotated too.
    ///
    /// # Errors
    /// As [`Vault::change`].
    pub fn rekey(&mut self, seal: Seal) -> Result<(), SecretsError> {
        let mut secrets = self.secrets.clone();
        secrets.recipients = seal.recipients().to_vec();
        self.replace(secrets, seal)
    }

    fn replace(&mut self, secrets: Secrets, seal: Seal) -> Result<(), SecretsError> {
        let sealed = close(&self.path, &secrets, &seal)?;
        // Until the new file has its name: who finds the lock taken stops, who
        // comes later finds another file than it read.
        let _lock = self.lock()?;
        let now = Disk.read(&self.path, LIMIT);
        let now = now.map_err(file("reading", &self.path))?;
        if <[u8; 32]>::from(Sha256::digest(&now)) != self.seen {
            return Err(SecretsError::Changed(self.path.clone()));
        }
        write(&self.path, &sealed, true).map_err(file("writing", &self.path))?;
        self.seen = Sha256::digest(&sealed).into();
        self.secrets = secrets;
        self.seal = seal;
        Ok(())
    }

    /// The file itself is the lock, so that nothing lies beside it. Opened for
    /// writing: on NFS only such a file can be locked.
    fn lock(&self) -> Result<File, SecretsError> {
        let open = File::options().read(true).write(true).open(&self.path);
        let lock = open.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => SecretsError::Changed(self.path.clone()),
            _ => file("changing", &self.path)(error),
        })?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SecretsError::Busy(self.path.clone())),
            Err(TryLockError::Error(error)) => return Err(file("locking", &self.path)(error)),
        }
        let id = |meta: fs::Metadata| (meta.dev(), meta.ino());
        let ours = lock.metadata().map(id);
        let named = fs::metadata(&self.path).map(id);
        match (ours, named) {
            (Ok(ours), Ok(named)) if ours == named => Ok(lock),
            // Replaced between the two lines above.
            _ => Err(SecretsError::Changed(self.path.clone())),
        }
    }
}

fn close(path: &Path, secrets: &Secrets, seal: &Seal) -> Result<Vec<u8>, SecretsError> {
    let text = secrets.render();
    seal.close(text.as_bytes())
        .map_err(file("encrypting", path))
}

/// Beside, mode 0600, then renamed; what lies there meanwhile is encrypted already.
fn write(path: &Path, sealed: &[u8], replace: bool) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let scratch = Scratch::new(dir.unwrap_or(Path::new(".")))?;
    scratch.file().write_all(sealed)?;
    scratch.keep(path, replace)
}

fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SecretsError + use<> {
    let path = path.to_owned();
    move |source| SecretsError::File {
        doing,
        path,
        source,
    }
}
