//! What a test sets up on the machine before its power comes, and what it finds there
//! afterwards. None of it counts as a call.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddrV4;
use std::path::Path;
use std::time::Duration;

use super::{DISK, Extent, Fake};
use crate::system::drive::SECTOR;
use crate::system::https::{self, Get, NoAnswer};
use crate::system::{Entry, Kind, System as _, read_text};

impl Fake {
    /// Installs a program.
    pub(crate) fn install(
        &self,
        program: &'static str,
        script: impl Fn(&Fake, &[String], Extent) -> Result<String, String> + 'static,
    ) {
        self.scripts.borrow_mut().insert(program, Box::new(script));
    }

    /// Puts a server there.
    pub(crate) fn serve(
        &self,
        server: SocketAddrV4,
        answer: impl Fn(&[u8]) -> Option<Vec<u8>> + 'static,
    ) {
        self.answers.borrow_mut().insert(server, Box::new(answer));
    }

    /// Puts servers there that speak HTTPS.
    pub(crate) fn serve_https(
        &self,
        site: impl Fn(&Fake, &Get<'_>) -> Result<https::Answer, NoAnswer> + 'static,
    ) {
        *self.site.borrow_mut() = Some(Box::new(site));
    }

    /// The kernel shows a text at a path, which is no file.
    pub(crate) fn show(&self, path: &str, text: impl Into<String>) {
        self.shown.borrow_mut().insert(path.into(), text.into());
    }

    /// It shows it no more.
    pub(crate) fn hide(&self, path: &str) {
        self.shown.borrow_mut().remove(path);
    }

    /// Whether there is a file.
    pub(crate) fn exists(&self, path: &str) -> bool {
        self.host.mode(path).expect("looks").is_some()
    }

    /// Takes a file away.
    pub(crate) fn delete(&self, path: &str) {
        self.host.remove(path).expect("removes");
    }

    /// Sets the clock.
    pub(crate) fn set_clock(&self, seconds: u64) {
        let passed = self.clock.get().as_secs();
        self.epoch.set(seconds.saturating_sub(passed));
    }

    /// What the clock shows.
    pub(crate) fn time(&self) -> u64 {
        self.epoch.get() + self.clock.get().as_secs()
    }

    /// Where a device's bytes lie on the disk: offset and length.
    pub(crate) fn extent(&self, path: &str) -> Option<(u64, u64)> {
        let name = path.strip_prefix("/dev/")?;
        if name == DISK {
            return Some((0, self.drive.borrow().size));
        }
        let number = |what: &str| {
            let text = self.text(&format!("/sys/class/block/{DISK}/{name}/{what}"));
            text.trim().parse::<u64>().ok()
        };
        Some((number("start")? * SECTOR, number("size")? * SECTOR))
    }

    /// Takes a program away.
    pub(crate) fn uninstall(&self, program: &str) {
        self.scripts.borrow_mut().remove(program);
    }

    /// Puts a file there, its directories too.
    pub(crate) fn put(&self, path: &str, mode: u32, content: impl AsRef<[u8]>) {
        let parent = Path::new(path).parent().and_then(Path::to_str);
        self.host
            .make_dir(parent.expect("absolute"), 0o755)
            .expect("directories");
        self.host
            .write(path, mode, content.as_ref())
            .expect("a file under the temporary root");
        if self.in_script.get() {
            self.unsynced.borrow_mut().insert(path.into());
        } else {
            self.now_synced(path);
        }
    }

    /// Puts a file there as a program does that syncs what it writes.
    pub(crate) fn put_synced(&self, path: &str, mode: u32, content: impl AsRef<[u8]>) {
        self.put(path, mode, content);
        self.now_synced(path);
    }

    /// A program says a line on stdout; heard even if it fails later.
    pub(crate) fn print(&self, line: &str) {
        self.printed.borrow_mut().push(line.into());
    }

    /// The power goes. Of a file that was never synced the name is left, and none
    /// of its content: what ext4 makes of delayed allocation.
    pub(crate) fn lose_power(&self) {
        for path in self.unsynced.take() {
            let mode = self.host.mode(&path).expect("mode").expect("there");
            self.host.write(&path, mode, b"").expect("emptied");
        }
    }

    /// A file's text; empty where there is none.
    pub(crate) fn text(&self, path: &str) -> String {
        if let Some(text) = self.shown.borrow().get(path) {
            return text.clone();
        }
        read_text(&self.host, path).expect("readable")
    }

    /// Every file, as path to (mode, content), in order.
    pub(crate) fn files(&self) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut files = BTreeMap::new();
        let mut left = vec![self.host.at("/")];
        while let Some(directory) = left.pop() {
            for entry in fs::read_dir(directory).expect("directory") {
                let path = entry.expect("entry").path();
                if path.is_dir() {
                    left.push(path);
                } else {
                    let name = path.strip_prefix(self.host.at("/")).expect("below");
                    let name = format!("/{}", name.display());
                    let mode = self.host.mode(&name).expect("mode").expect("there");
                    files.insert(name, (mode, fs::read(path).expect("content")));
                }
            }
        }
        files
    }

    /// Everything below a directory, directories and links too.
    pub(crate) fn tree(&self, below: &str) -> BTreeMap<String, (Entry, Vec<u8>)> {
        let mut found = BTreeMap::new();
        let mut left = vec![below.to_owned()];
        while let Some(directory) = left.pop() {
            for entry in fs::read_dir(self.host.at(&directory)).expect("directory") {
                let name = entry.expect("entry").file_name();
                let path = format!("{directory}/{}", name.display());
                let mut entry = self.look(&path).expect("looks").expect("there");
                let content = match entry.kind {
                    Kind::File => fs::read(self.host.at(&path)).expect("content"),
                    _ => Vec::new(),
                };
                if entry.kind == Kind::Dir {
                    left.push(path.clone());
                    // Of what is in it, in the file system's own way.
                    entry.len = 0;
                }
                found.insert(path, (entry, content));
            }
        }
        found
    }

    /// How far the clock is.
    pub(crate) fn now(&self) -> Duration {
        self.clock.get()
    }

    /// How many calls were made since the power came.
    pub(crate) fn calls(&self) -> usize {
        self.calls.get()
    }
}
