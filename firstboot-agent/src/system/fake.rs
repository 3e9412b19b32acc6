//! A machine for tests: a temporary root, programs from a script, its own
//! clock, and a fault at the call of one's choice.

mod owners;
mod scene;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use tempfile::TempDir;

use self::owners::Owners;
use super::drive::Drive;
use super::host::Host;
use super::https::{self, Get, NoAnswer};
use super::light::Sign;
use super::{Command, Ear, Entry, Hear, System, SystemError};

/// What a program does to the machine, and what it answers: stdout or stderr.
pub(crate) type Script = Box<dyn Fn(&Fake, &[String], Extent) -> Result<String, String>>;

/// What a server answers a question, if it does.
pub(crate) type Answer = Box<dyn Fn(&[u8]) -> Option<Vec<u8>>>;

/// What all servers together answer over HTTPS.
pub(crate) type Site = Box<dyn Fn(&Fake, &Get<'_>) -> Result<https::Answer, NoAnswer>>;

/// The disk's name in the kernel.
pub(crate) const DISK: &str = "nvme0n1";

/// Some day in 2026; the clock starts there.
const EPOCH: u64 = 1_790_000_000;

/// How much of a program's work is done when the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// It leaves something unfinished.
    Half,
    /// All of it.
    Whole,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The power goes before this call has any effect, and so after the one
    /// before: between calls the machine does not change.
    CutBefore(usize),
    /// The power goes in the middle of this call.
    CutWithin(usize),
    /// The power goes at the first call past this time.
    CutAt(Duration),
    /// This call fails.
    Fail(usize),
}

/// The machine.
pub(crate) struct Fake {
    // Real files through the real code, under a root in memory.
    host: Host,
    _root: TempDir,
    scripts: RefCell<BTreeMap<&'static str, Script>>,
    fault: Cell<Option<Fault>>,
    calls: Cell<usize>,
    clock: Cell<Duration>,
    /// A program is at work: what it puts down is not on the disk yet.
    in_script: Cell<bool>,
    owners: Owners,
    // In the page cache only. The agent's own writes never are: each is synced.
    unsynced: RefCell<BTreeSet<String>>,
    // What a program says before it ends, whichever way.
    printed: RefCell<Vec<String>>,
    /// The disk, [`DISK`]; its partitions are where sysfs has them.
    pub(crate) drive: RefCell<Drive>,
    // What the kernel shows: no files, and gone with the power.
    shown: RefCell<BTreeMap<String, String>>,
    answers: RefCell<BTreeMap<SocketAddrV4, Answer>>,
    site: RefCell<Option<Site>>,
    /// Nothing more goes onto the root file system.
    pub(crate) full: Cell<bool>,
    /// How long the disk takes over an addition to a file.
    pub(crate) append_takes: Cell<Duration>,
    /// What the clock was set to, less the time since power-on.
    epoch: Cell<u64>,
    /// Who was nudged.
    pub(crate) nudged: RefCell<Vec<Ipv4Addr>>,
    /// What the light showed, in order.
    pub(crate) shone: RefCell<Vec<Sign>>,
    /// Every pause that was asked for.
    pub(crate) pauses: RefCell<Vec<Duration>>,
    /// Everything said, with whom it was said to.
    pub(crate) heard: RefCell<Vec<(String, String)>>,
}

/// A machine that is still at it by then, unasked, never ends.
const FOR_EVER: Duration = Duration::from_secs(7 * 24 * 3600);

/// Thrown, in place of a return, when the power goes.
struct PowerCut;

impl Fake {
    /// An empty machine.
    pub(crate) fn new() -> Self {
        // In memory where there is such a place: thousands of small machines
        // are made, and every write is synced.
        let root = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new());
        let root = root.expect("a temporary directory");
        Self {
            host: Host::new(root.path()),
            _root: root,
            scripts: RefCell::default(),
            fault: Cell::new(None),
            calls: Cell::new(0),
            clock: Cell::new(Duration::ZERO),
            in_script: Cell::new(false),
            owners: Owners::default(),
            unsynced: RefCell::default(),
            printed: RefCell::default(),
            drive: RefCell::default(),
            shown: RefCell::default(),
            answers: RefCell::default(),
            site: RefCell::default(),
            full: Cell::default(),
            append_takes: Cell::default(),
            epoch: Cell::new(EPOCH),
            nudged: RefCell::default(),
            shone: RefCell::default(),
            pauses: RefCell::default(),
            heard: RefCell::default(),
        }
    }

    fn device(&self, path: &str, offset: u64, len: usize) -> Result<u64, SystemError> {
        let inside = self
            .extent(path)
            .filter(|(_, size)| offset + len as u64 <= *size);
        let start = inside.map(|(start, _)| start + offset);
        start.ok_or_else(|| SystemError::File {
            doing: "opening",
            path: path.into(),
            cause: io::ErrorKind::NotFound.into(),
        })
    }

    fn now_synced(&self, path: &str) {
        self.unsynced.borrow_mut().remove(path);
    }

    /// What a program does, and only that, happens in the page cache.
    fn in_script<T>(&self, work: impl FnOnce() -> T) -> T {
        self.in_script.set(true);
        let result = work();
        self.in_script.set(false);
        result
    }

    fn look(&self, path: &str) -> Result<Option<Entry>, SystemError> {
        let (uid, gid) = self.owners.of(path);
        let entry = self.host.entry(path)?;
        Ok(entry.map(|entry| Entry { uid, gid, ..entry }))
    }

    /// Runs `boot` with the fault; `None` when the power went.
    pub(crate) fn power_on<T>(
        &self,
        fault: Option<Fault>,
        boot: impl FnOnce(&Self) -> T,
    ) -> Option<T> {
        self.calls.set(0);
        self.clock.set(Duration::ZERO);
        self.fault.set(fault);
        let result = panic::catch_unwind(AssertUnwindSafe(|| boot(self)));
        self.fault.set(None);
        match result {
            Ok(value) => Some(value),
            Err(payload) if payload.is::<PowerCut>() => {
                self.lose_power();
                None
            }
            Err(payload) => panic::resume_unwind(payload),
        }
    }

    /// One call: faults first, then the work.
    fn call<T>(
        &self,
        half: impl FnOnce(),
        whole: impl FnOnce() -> Result<T, SystemError>,
        fail: impl FnOnce() -> SystemError,
    ) -> Result<T, SystemError> {
        let this = self.calls.replace(self.calls.get() + 1);
        match self.fault.get() {
            Some(Fault::CutBefore(call)) if call == this => cut(),
            Some(Fault::CutWithin(call)) if call == this => {
                half();
                cut()
            }
            Some(Fault::CutAt(time)) if self.clock.get() >= time => cut(),
            Some(Fault::Fail(call)) if call == this => Err(fail()),
            _ => whole(),
        }
    }

    /// A call about a file, which the kernel may refuse.
    fn file_call<T>(
        &self,
        path: &str,
        half: impl FnOnce(),
        whole: impl FnOnce() -> Result<T, SystemError>,
    ) -> Result<T, SystemError> {
        self.call(half, whole, || SystemError::File {
            doing: "touching",
            path: path.into(),
            cause: io::Error::other("injected"),
        })
    }

    /// Whether there is room for that.
    fn room_for(&self, path: &str) -> Result<(), SystemError> {
        let elsewhere = ["/boot/firmware/", "/dev/", "/proc/", "/run/", "/sys/"];
        if !self.full.get() || elsewhere.iter().any(|dir| path.starts_with(dir)) {
            return Ok(());
        }
        Err(SystemError::File {
            doing: "writing",
            path: path.into(),
            cause: io::Error::from(nix::errno::Errno::ENOSPC),
        })
    }

    /// A call that cannot fail, only be the last one.
    fn sure_call<T>(&self, whole: impl Fn() -> T) -> T {
        let unchanged = || Ok(whole());
        self.call(
            || (),
            unchanged,
            || SystemError::NotInstalled {
                command: Command::new("nothing", &[]),
            },
        )
        .unwrap_or_else(|_| whole())
    }
}

impl System for Fake {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, SystemError> {
        let read = || match self.shown.borrow().get(path) {
            Some(text) => Ok(Some(text.clone().into_bytes())),
            None => self.host.read(path),
        };
        self.file_call(path, || (), read)
    }

    fn digest(&self, path: &str) -> Result<Option<String>, SystemError> {
        self.file_call(path, || (), || self.host.digest(path))
    }

    fn mode(&self, path: &str) -> Result<Option<u32>, SystemError> {
        self.file_call(path, || (), || self.host.mode(path))
    }

    fn set_mode(&self, path: &str, mode: u32) -> Result<(), SystemError> {
        self.file_call(path, || (), || self.host.set_mode(path, mode))
    }

    fn entry(&self, path: &str) -> Result<Option<Entry>, SystemError> {
        self.file_call(path, || (), || self.look(path))
    }

    fn set_owner(&self, path: &str, uid: u32, gid: u32) -> Result<(), SystemError> {
        let set = || {
            self.owners.set(path, uid, gid);
            Ok(())
        };
        self.file_call(path, || (), set)
    }

    fn link(&self, path: &str, target: &str) -> Result<(), SystemError> {
        let link = || {
            self.owners.forget(path);
            self.host.link(path, target)
        };
        // The old one is gone before the new one is there.
        let half = || self.host.remove(path).expect("removes");
        self.file_call(path, half, link)
    }

    fn remove_all(&self, path: &str) -> Result<(), SystemError> {
        let half = || {
            // Some of what is in it.
            let first = fs::read_dir(self.host.at(path))
                .ok()
                .and_then(|mut dir| dir.next());
            if let Some(Ok(first)) = first {
                let first = format!("{path}/{}", first.file_name().display());
                self.host.remove_all(&first).expect("removes");
            }
        };
        self.file_call(path, half, || {
            self.owners.forget(path);
            self.host.remove_all(path)
        })
    }

    fn make_dir(&self, path: &str, mode: u32) -> Result<(), SystemError> {
        self.file_call(
            path,
            || (),
            || {
                if !self.exists(path) {
                    self.room_for(path)?;
                }
                self.host.make_dir(path, mode)
            },
        )
    }

    fn write(&self, path: &str, mode: u32, content: &[u8]) -> Result<(), SystemError> {
        let half = || {
            self.owners.forget(path);
            let _ = self.host.write(path, mode, &content[..content.len() / 2]);
            self.now_synced(path);
        };
        self.file_call(path, half, || {
            self.owners.forget(path);
            if let Err(error) = self.room_for(path) {
                // Its name, and none of its content.
                self.host.write(path, mode, b"")?;
                return Err(error);
            }
            self.host.write(path, mode, content)?;
            self.now_synced(path);
            Ok(())
        })
    }

    fn append(&self, path: &str, mode: u32, content: &[u8]) -> Result<(), SystemError> {
        let half = || {
            let _ = self.host.append(path, mode, &content[..content.len() / 2]);
            self.now_synced(path);
        };
        self.file_call(path, half, || {
            self.room_for(path)?;
            self.clock.set(self.clock.get() + self.append_takes.get());
            self.host.append(path, mode, content)?;
            self.now_synced(path);
            Ok(())
        })
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), SystemError> {
        let rename = || {
            self.host.rename(from, to)?;
            self.owners.moved(from, to);
            // The new name is on the disk; the content as much as it was.
            self.now_synced(to);
            let mut unsynced = self.unsynced.borrow_mut();
            if unsynced.remove(from) {
                unsynced.insert(to.into());
            }
            Ok(())
        };
        self.file_call(to, || (), rename)
    }

    fn remove(&self, path: &str) -> Result<(), SystemError> {
        let remove = || {
            self.host.remove(path)?;
            self.now_synced(path);
            Ok(())
        };
        self.file_call(path, || (), remove)
    }

    fn read_at(&self, path: &str, offset: u64, len: usize) -> Result<Vec<u8>, SystemError> {
        let read = || {
            if !path.starts_with("/dev/") {
                return self.host.read_at(path, offset, len);
            }
            let start = self.device(path, offset, len)?;
            Ok(self.drive.borrow().read(start, len).expect("inside"))
        };
        self.file_call(path, || (), read)
    }

    fn write_at(&self, path: &str, offset: u64, content: &[u8]) -> Result<(), SystemError> {
        let write = |which: fn(u64) -> bool| {
            let start = self.device(path, offset, content.len())?;
            self.drive.borrow_mut().write(start, content, which);
            Ok(())
        };
        // One sector is written or not; of several, any.
        let half = || {
            let _ = write(|sector| sector % 2 == 1);
        };
        self.file_call(path, half, || write(|_| true))
    }

    fn sync(&self) -> Result<(), SystemError> {
        let sync = || {
            self.unsynced.borrow_mut().clear();
            Ok(())
        };
        self.file_call("the disk", || (), sync)
    }

    fn follow(&self, command: &Command, hear: Hear<'_>) -> Result<String, SystemError> {
        let problem = |problem: String| SystemError::Program {
            command: command.clone(),
            problem,
        };
        let scripts = self.scripts.borrow();
        let script = scripts.get(command.program);
        let whole = || match script {
            Some(script) => self
                .in_script(|| script(self, &command.args, Extent::Whole))
                .map_err(problem),
            None => Err(SystemError::NotInstalled {
                command: command.clone(),
            }),
        };
        let half = || {
            if let Some(script) = script {
                let _ = self.in_script(|| script(self, &command.args, Extent::Half));
            }
        };
        let result = self.call(half, whole, || problem("injected".into()));
        for line in self.printed.take() {
            hear(&line);
        }
        result
    }

    fn nudge(&self, neighbour: Ipv4Addr) {
        self.sure_call(|| self.nudged.borrow_mut().push(neighbour));
    }

    fn ask(&self, server: SocketAddrV4, question: &[u8], patience: Duration) -> Option<Vec<u8>> {
        self.sure_call(|| {
            let answers = self.answers.borrow();
            let answer = answers.get(&server).and_then(|answer| answer(question));
            if answer.is_none() {
                self.clock.set(self.clock.get() + patience);
            }
            answer
        })
    }

    fn get(&self, request: &Get<'_>) -> Result<https::Answer, NoAnswer> {
        let site = self.site.borrow();
        let ask = || match &*site {
            Some(site) => Ok(site(self, request)),
            None => Ok(Err(NoAnswer::Silent)),
        };
        let cut_short = || SystemError::NotInstalled {
            command: Command::new("nothing", &[]),
        };
        let answer = self.call(|| (), ask, cut_short);
        answer.unwrap_or_else(|_| Err(NoAnswer::Broken("injected".into())))
    }

    fn shine(&self, sign: Sign) {
        self.sure_call(|| self.shone.borrow_mut().push(sign));
    }

    fn say(&self, to: Ear<'_>, text: &str) {
        self.sure_call(|| {
            let heard = (format!("{to:?}"), text.to_string());
            self.heard.borrow_mut().push(heard);
        });
    }

    fn wall_clock(&self) -> u64 {
        self.sure_call(|| self.time())
    }

    fn elapsed(&self) -> Duration {
        self.sure_call(|| self.clock.get())
    }

    fn sleep(&self, pause: Duration) {
        self.sure_call(|| {
            self.clock.set(self.clock.get() + pause);
            assert!(
                self.clock.get() < FOR_EVER,
                "{:?}",
                self.heard.borrow().last()
            );
            self.pauses.borrow_mut().push(pause);
        });
    }
}

fn cut() -> ! {
    // Past the panic hook, which would print.
    panic::resume_unwind(Box::new(PowerCut) as Box<dyn Any + Send>)
}
