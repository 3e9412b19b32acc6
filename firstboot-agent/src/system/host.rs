//! The real machine.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{
    DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, lchown, symlink,
};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use nix::fcntl::OFlag;
use ring::digest;

use super::https::{self, Answer, Get, NoAnswer};
use super::light::{Light, Sign};
use super::{Command, Ear, Entry, Hear, Kind, System, SystemError, program};
use crate::page::Page;
use crate::supervisor::authority::hex;

/// How long a row waits for room in a console's buffer, and between two looks.
/// Long enough for the boot's own burst of messages at 115200 baud.
const CONSOLE_PATIENCE: Duration = Duration::from_secs(2);
const CONSOLE_PAUSE: Duration = Duration::from_millis(20);

/// Bytes of a file that are held at a time.
const PART: usize = 256 << 10;

/// As much of an answer as is read; more is thrown away.
const LONGEST_ANSWER: usize = 1500;

/// The machine this program runs on.
#[derive(Debug)]
pub(crate) struct Host {
    root: PathBuf,
    start: Instant,
    page: Page,
    light: Light,
}

impl Host {
    /// Files are found under `root`; programs run as they are.
    pub(crate) fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            start: Instant::now(),
            page: Page::default(),
            light: Light::default(),
        }
    }

    /// What it shows to the network, once somebody opens that.
    pub(crate) fn page(&self) -> &Page {
        &self.page
    }

    /// Where a path of the running system lies.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}

impl System for Host {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, SystemError> {
        found(fs::read(self.at(path))).map_err(file("reading", path))
    }

    fn digest(&self, path: &str) -> Result<Option<String>, SystemError> {
        let digest = || {
            let Some(mut file) = found(File::open(self.at(path)))? else {
                return Ok(None);
            };
            let mut sum = digest::Context::new(&digest::SHA256);
            let mut part = vec![0; PART];
            loop {
                match file.read(&mut part)? {
                    0 => break Ok(Some(hex(sum.finish().as_ref()))),
                    len => sum.update(&part[..len]),
                }
            }
        };
        digest().map_err(file("reading", path))
    }

    fn mode(&self, path: &str) -> Result<Option<u32>, SystemError> {
        let metadata = found(fs::metadata(self.at(path))).map_err(file("looking at", path))?;
        Ok(metadata.map(|metadata| metadata.permissions().mode() & 0o7777))
    }

    fn set_mode(&self, path: &str, mode: u32) -> Result<(), SystemError> {
        fs::set_permissions(self.at(path), fs::Permissions::from_mode(mode))
            .map_err(file("changing the mode of", path))
    }

    fn entry(&self, path: &str) -> Result<Option<Entry>, SystemError> {
        let look = || {
            let Some(metadata) = found(fs::symlink_metadata(self.at(path)))? else {
                return Ok(None);
            };
            let kind = match metadata.file_type() {
                is if is.is_file() => Kind::File,
                is if is.is_dir() => Kind::Dir,
                is if is.is_symlink() => {
                    let target = fs::read_link(self.at(path))?;
                    Kind::Link(target.to_string_lossy().into_owned())
                }
                _ => Kind::Other,
            };
            Ok(Some(Entry {
                kind,
                mode: metadata.permissions().mode() & 0o7777,
                uid: metadata.uid(),
                gid: metadata.gid(),
                len: metadata.len(),
            }))
        };
        look().map_err(file("looking at", path))
    }

    fn set_owner(&self, path: &str, uid: u32, gid: u32) -> Result<(), SystemError> {
        lchown(self.at(path), Some(uid), Some(gid)).map_err(file("changing the owner of", path))
    }

    fn link(&self, path: &str, target: &str) -> Result<(), SystemError> {
        found(fs::remove_file(self.at(path)))
            .and_then(|_| symlink(target, self.at(path)))
            .map_err(file("making the link", path))
    }

    fn remove_all(&self, path: &str) -> Result<(), SystemError> {
        let remove = || match found(fs::symlink_metadata(self.at(path)))? {
            Some(metadata) if metadata.is_dir() => found(fs::remove_dir_all(self.at(path))),
            _ => found(fs::remove_file(self.at(path))),
        };
        remove().map(drop).map_err(file("removing", path))
    }

    fn make_dir(&self, path: &str, mode: u32) -> Result<(), SystemError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(mode)
            .create(self.at(path))
            .map_err(file("making the directory", path))
    }

    fn write(&self, path: &str, mode: u32, content: &[u8]) -> Result<(), SystemError> {
        let write = || {
            // A new file has the mode asked for; one left by a cut may not.
            found(fs::remove_file(self.at(path)))?;
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(mode)
                .open(self.at(path))?;
            file.write_all(content)?;
            file.sync_all()
        };
        write().map_err(file("writing", path))
    }

    fn append(&self, path: &str, mode: u32, content: &[u8]) -> Result<(), SystemError> {
        let append = || {
            let mut file = OpenOptions::new()
                .append(true)
                .create(true)
                .mode(mode)
                .open(self.at(path))?;
            file.write_all(content)?;
            file.sync_all()
        };
        append().map_err(file("adding to", path))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), SystemError> {
        let rename = || {
            let to = self.at(to);
            fs::rename(self.at(from), &to)?;
            // The name is in the directory, and on the disk only with it.
            File::open(to.parent().unwrap_or(Path::new("/")))?.sync_all()
        };
        rename().map_err(file("moving into place", to))
    }

    fn remove(&self, path: &str) -> Result<(), SystemError> {
        found(fs::remove_file(self.at(path)))
            .map(drop)
            .map_err(file("removing", path))
    }

    fn read_at(&self, path: &str, offset: u64, len: usize) -> Result<Vec<u8>, SystemError> {
        let read = || {
            let mut content = vec![0; len];
            File::open(self.at(path))?.read_exact_at(&mut content, offset)?;
            Ok(content)
        };
        read().map_err(file("reading", path))
    }

    fn write_at(&self, path: &str, offset: u64, content: &[u8]) -> Result<(), SystemError> {
        let write = || {
            let device = OpenOptions::new().write(true).open(self.at(path))?;
            device.write_all_at(content, offset)?;
            device.sync_all()
        };
        write().map_err(file("writing to", path))
    }

    fn sync(&self) -> Result<(), SystemError> {
        nix::unistd::sync();
        Ok(())
    }

    fn follow(&self, command: &Command, hear: Hear<'_>) -> Result<String, SystemError> {
        program::follow(command, hear)
    }

    fn nudge(&self, neighbour: Ipv4Addr) {
        // To the discard service (RFC 863): nobody listens there, and whoever
        // does throws it away.
        let send = || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?.send_to(&[], (neighbour, 9));
        let _: io::Result<usize> = send();
    }

    fn ask(&self, server: SocketAddrV4, question: &[u8], patience: Duration) -> Option<Vec<u8>> {
        let ask = || {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            // Connected: what others send is not heard, and a closed port is.
            socket.connect(server)?;
            socket.set_read_timeout(Some(patience))?;
            socket.send(question)?;
            let mut answer = vec![0; LONGEST_ANSWER];
            let len = socket.recv(&mut answer)?;
            answer.truncate(len);
            Ok::<_, io::Error>(answer)
        };
        ask().ok()
    }

    fn get(&self, request: &Get<'_>) -> Result<Answer, NoAnswer> {
        https::get(request)
    }

    fn shine(&self, sign: Sign) {
        let _: io::Result<()> = self.light.show(&self.root, sign);
    }

    fn say(&self, to: Ear<'_>, text: &str) {
        // Whoever cannot listen is not waited for.
        let _ = match to {
            Ear::Log => writeln!(io::stderr(), "{text}"),
            Ear::Console(name) => self.write_console(name, text),
            Ear::ServiceManager => notify(text),
            Ear::Page => {
                self.page.show(text);
                Ok(())
            }
        };
    }

    fn wall_clock(&self) -> u64 {
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, pause: Duration) {
        thread::sleep(pause);
    }
}

impl Host {
    fn write_console(&self, name: &str, text: &str) -> io::Result<()> {
        // Non-blocking: a serial line held by flow control would stop the first
        // boot for ever. Not our terminal: it must not send us its hang-up.
        let mut console = OpenOptions::new()
            .write(true)
            .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
            .open(self.at("/dev").join(name))?;
        // From the first column, over a login prompt that may wait there.
        let row = format!("\r{text}\r\n");
        let mut rest = row.as_bytes();
        let patience = Instant::now() + CONSOLE_PATIENCE;
        while !rest.is_empty() {
            match console.write(rest) {
                Ok(len) => rest = &rest[len..],
                // A slow line whose buffer the boot's own messages filled.
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < patience =>
                {
                    thread::sleep(CONSOLE_PAUSE);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Nothing there is an answer, not an error.
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn file<'a>(doing: &'static str, path: &'a str) -> impl FnOnce(io::Error) -> SystemError + 'a {
    move |cause| SystemError::File {
        doing,
        path: path.into(),
        cause,
    }
}

/// Tells systemd, where it asked to be told (sd_notify(3)).
fn notify(status: &str) -> io::Result<()> {
    let Some(name) = env::var_os("NOTIFY_SOCKET") else {
        return Ok(());
    };
    let address = match name.as_bytes() {
        [b'@', hidden @ ..] => SocketAddr::from_abstract_name(hidden)?,
        _ => SocketAddr::from_pathname(&name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(format!("STATUS={status}").as_bytes(), &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::replace;

    #[test]
    fn replacing_sets_mode_and_leaves_nothing_beside() {
        let root = tempfile::tempdir().expect("directory");
        let host = Host::new(root.path());
        // What a cut left, with a mode that must not be taken over.
        host.write("/key.new", 0o644, b"old and torn")
            .expect("left");
        replace(&host, "/key", 0o600, b"secret").expect("writes");
        assert_eq!(host.read("/key").expect("reads"), Some(b"secret".to_vec()));
        assert_eq!(host.mode("/key").expect("looks"), Some(0o600));
        assert_eq!(host.read("/key.new").expect("reads"), None);
    }

    #[test]
    fn a_file_of_several_parts_has_one_digest() {
        let root = tempfile::tempdir().expect("directory");
        let host = Host::new(root.path());
        let content = [b"parts".repeat(PART), b"end".to_vec()].concat();
        host.write("/large", 0o644, &content).expect("writes");
        let expected = crate::supervisor::authority::sha256(&content);
        assert_eq!(host.digest("/large").expect("reads"), Some(expected));
        assert_eq!(host.digest("/none").expect("looks"), None);
    }

    #[test]
    fn file_errors_name_the_file() {
        let root = tempfile::tempdir().expect("directory");
        let error = Host::new(root.path())
            .write("/no/such/file", 0o644, b"")
            .expect_err("no directory");
        assert!(
            error.to_string().starts_with("writing /no/such/file: "),
            "{error}"
        );
    }

    #[test]
    fn a_nudge_reaches_the_neighbour_and_a_deaf_one_does_no_harm() {
        // Port 9 belongs to root, so only the sending is seen here.
        Host::new("/").nudge(Ipv4Addr::LOCALHOST);
        Host::new("/").nudge(Ipv4Addr::BROADCAST);
    }

    #[test]
    fn a_console_that_nobody_reads_does_not_hold_us() {
        let root = tempfile::tempdir().expect("directory");
        fs::create_dir(root.path().join("dev")).expect("dev");
        nix::unistd::mkfifo(
            &root.path().join("dev/ttyS0"),
            nix::sys::stat::Mode::from_bits_truncate(0o600),
        )
        .expect("a pipe without a reader: opening it to write would wait");
        Host::new(root.path()).say(Ear::Console("ttyS0"), "hello");
    }
}
