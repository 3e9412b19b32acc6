//! A disk in memory that fails on demand, and one that loses its power.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};

use imgbuild::flash::Target;
use nix::errno::Errno;

/// What a disk does from one of its calls on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Every call works.
    None,
    /// This call fails.
    Error(Errno),
    /// A write writes half and fails.
    Short,
    /// A write says it worked and did nothing.
    Lost,
    /// A write says it worked and changed one bit.
    Corrupt,
    /// A write lands a sector further on.
    Shifted,
    /// This call and all later ones fail: it was unplugged.
    Gone,
    /// This call never returns.
    Stall,
}

/// What a disk has beyond its real end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beyond {
    /// Nothing: reads are zeros.
    Dropped,
    /// Its beginning again.
    Wrapped,
}

pub(crate) struct Device {
    state: Mutex<State>,
    len: u64,
    calls: AtomicUsize,
    fault: (usize, Fault),
    beyond: Option<(u64, Beyond)>,
    released: (Mutex<bool>, Condvar),
    stalled: AtomicBool,
}

struct State {
    /// What reads see.
    now: Vec<u8>,
    /// What a power cut leaves for sure.
    synced: Vec<u8>,
    /// Written since, sector by sector.
    pending: Vec<usize>,
    gone: bool,
}

/// The unit a power cut leaves whole.
const SECTOR: usize = 512;

impl Device {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self::failing(bytes, usize::MAX, Fault::None)
    }

    /// Does `fault` at the call with that number, from 0.
    pub(crate) fn failing(bytes: Vec<u8>, call: usize, fault: Fault) -> Self {
        Self {
            len: bytes.len() as u64,
            state: Mutex::new(State {
                synced: bytes.clone(),
                now: bytes,
                pending: Vec::new(),
                gone: false,
            }),
            calls: AtomicUsize::new(0),
            fault: (call, fault),
            beyond: None,
            released: (Mutex::new(false), Condvar::new()),
            stalled: AtomicBool::new(false),
        }
    }

    /// Claims more bytes than it has.
    pub(crate) fn pretending(bytes: Vec<u8>, has: u64, beyond: Beyond) -> Self {
        Self {
            beyond: Some((has, beyond)),
            ..Self::new(bytes)
        }
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.state().now.clone()
    }

    /// What is left when the power goes: what was synced, and any of the rest.
    pub(crate) fn after_power_cut(&self, rng: &mut fastrand::Rng) -> Vec<u8> {
        let state = self.state();
        let mut bytes = state.synced.clone();
        for sector in &state.pending {
            if rng.bool() {
                let range = sector * SECTOR..(sector + 1) * SECTOR;
                bytes[range.clone()].copy_from_slice(&state.now[range]);
            }
        }
        bytes
    }

    /// Lets a stalled call go on.
    pub(crate) fn release(&self) {
        *self.released.0.lock().expect("lock") = true;
        self.released.1.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("lock")
    }

    /// Counts the call, and says what is wrong with it.
    fn call(&self) -> io::Result<Fault> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        if self.state().gone {
            return Err(Errno::ENODEV.into());
        }
        let (at, fault) = self.fault;
        if number != at {
            return Ok(Fault::None);
        }
        match fault {
            Fault::Error(errno) => Err(errno.into()),
            Fault::Gone => {
                self.state().gone = true;
                Err(Errno::ENODEV.into())
            }
            Fault::Stall => {
                self.stalled.store(true, Ordering::Relaxed);
                let mut released = self.released.0.lock().expect("lock");
                while !*released {
                    released = self.released.1.wait(released).expect("lock");
                }
                Err(Errno::EIO.into())
            }
            other => Ok(other),
        }
    }

    fn put(&self, offset: u64, bytes: &[u8]) {
        let mut state = self.state();
        for (index, sector) in bytes.chunks(SECTOR).enumerate() {
            let at = offset + (index * SECTOR) as u64;
            let Some(at) = self.real(at) else { continue };
            let at = at as usize;
            // The last sector of a shifted write falls off the end.
            if let Some(place) = state.now.get_mut(at..at + sector.len()) {
                place.copy_from_slice(sector);
                state.pending.push(at / SECTOR);
            }
        }
    }

    fn real(&self, at: u64) -> Option<u64> {
        match self.beyond {
            Some((has, Beyond::Wrapped)) => Some(at % has),
            Some((has, Beyond::Dropped)) if at >= has => None,
            _ => Some(at),
        }
    }

    fn change(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        match self.call()? {
            Fault::Lost => {}
            Fault::Short => {
                self.put(offset, &bytes[..bytes.len() / 2 / SECTOR * SECTOR]);
                return Err(Errno::ENOSPC.into());
            }
            Fault::Corrupt => {
                let mut wrong = bytes.to_vec();
                wrong[bytes.len() / 3] ^= 4;
                self.put(offset, &wrong);
            }
            Fault::Shifted => self.put(offset + SECTOR as u64, bytes),
            _ => self.put(offset, bytes),
        }
        Ok(())
    }
}

impl Target for Device {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        assert!(
            (buf.as_ptr() as usize).is_multiple_of(4096),
            "an unaligned buffer"
        );
        assert!(offset.is_multiple_of(4096), "an unaligned read");
        self.call()?;
        let state = self.state();
        for (index, sector) in buf.chunks_mut(SECTOR).enumerate() {
            match self.real(offset + (index * SECTOR) as u64) {
                Some(at) => sector.copy_from_slice(&state.now[at as usize..][..sector.len()]),
                None => sector.fill(0),
            }
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        assert!(
            (buf.as_ptr() as usize).is_multiple_of(4096),
            "an unaligned buffer"
        );
        assert!(offset.is_multiple_of(4096), "an unaligned write");
        self.change(offset, buf)
    }

    fn zero(&self, range: Range<u64>) -> io::Result<()> {
        self.change(range.start, &vec![0; (range.end - range.start) as usize])
    }

    fn discard(&self, range: Range<u64>) -> io::Result<bool> {
        // A write that goes astray is seen; a discard that does would be anybody's
        // guess, and no disk was seen to do that.
        if self.call()? != Fault::Lost {
            // Anything may be there afterwards.
            self.put(range.start, &vec![0xd5; (range.end - range.start) as usize]);
        }
        Ok(true)
    }

    fn sync(&self) -> io::Result<()> {
        self.call()?;
        let State {
            now,
            synced,
            pending,
            ..
        } = &mut *self.state();
        for sector in pending.drain(..) {
            let range = sector * SECTOR..(sector + 1) * SECTOR;
            synced[range.clone()].copy_from_slice(&now[range]);
        }
        Ok(())
    }
}
