//! What `fatfs` is given: a cursor that outlives it, and a clock that stands.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use fatfs::{Date, DateTime, Time, TimeProvider};

use crate::io::{BlockCursor, ReadAt};

/// The cursor that `fatfs` owns and that is committed after it is gone.
pub(super) struct Shared<R>(pub(super) Rc<RefCell<BlockCursor<R>>>);

impl<R: ReadAt> Shared<R> {
    pub(super) fn new(region: R) -> Self {
        Self(Rc::new(RefCell::new(BlockCursor::new(region))))
    }
}

impl<R> Clone for Shared<R> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<R: ReadAt> io::Read for Shared<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(buf)
    }
}

impl<R: ReadAt> io::Write for Shared<R> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<R: ReadAt> io::Seek for Shared<R> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        io::Seek::seek(&mut *self.0.borrow_mut(), to)
    }
}

/// A clock that stands.
#[derive(Debug)]
pub(super) struct FixedTime(DateTime);

impl TimeProvider for FixedTime {
    fn get_current_date(&self) -> Date {
        self.0.date
    }

    fn get_current_date_time(&self) -> DateTime {
        self.0
    }
}

/// FAT counts years from 1980 in seven bits; times outside are moved inside.
/// The crate wants the clock for ever: one a program run is leaked.
pub(super) fn fixed_time(epoch: i64) -> &'static FixedTime {
    const FIRST: i64 = 315_532_800; // 1980-01-01
    const LAST: i64 = 4_354_819_198; // 2107-12-31 23:59:58
    let utc = time::OffsetDateTime::from_unix_timestamp(epoch.clamp(FIRST, LAST))
        .unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let date = Date {
        year: utc.year() as u16,
        month: u16::from(u8::from(utc.month())),
        day: u16::from(utc.day()),
    };
    let (hour, min, sec) = utc.to_hms();
    let time = Time {
        hour: hour.into(),
        min: min.into(),
        sec: sec.into(),
        millis: 0,
    };
    Box::leak(Box::new(FixedTime(DateTime { date, time })))
}
