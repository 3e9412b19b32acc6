//! `Read` over a region, from its beginning to its end.

use std::io::{self, Read};

use super::ReadAt;

/// Bytes compared or copied at a time.
const STEP: usize = 256 << 10;

/// A region read in order.
#[derive(Debug)]
pub struct Stream<R> {
    region: R,
    position: u64,
}

impl<R: ReadAt> Stream<R> {
    /// From the region's beginning.
    pub fn new(region: R) -> Self {
        Self {
            region,
            position: 0,
        }
    }
}

impl<R: ReadAt> Read for Stream<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.region.len() - self.position;
        let len = left.min(buf.len() as u64) as usize;
        self.region.read_exact_at(self.position, &mut buf[..len])?;
        self.position += len as u64;
        Ok(len)
    }
}

/// Whether two readers give the same bytes to their ends.
///
/// # Errors
/// When either cannot be read.
pub fn same(one: impl Read, other: impl Read) -> io::Result<bool> {
    let (mut one, mut other) = (one, other);
    let mut buffers = [vec![0; STEP], vec![0; STEP]];
    loop {
        let len = fill(&mut one, &mut buffers[0])?;
        let other_len = fill(&mut other, &mut buffers[1])?;
        if len != other_len || buffers[0][..len] != buffers[1][..len] {
            return Ok(false);
        }
        if len < STEP {
            return Ok(true);
        }
    }
}

/// Fills the buffer, less only at the end.
///
/// # Errors
/// What the reader says, but for interruptions by a signal.
pub fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match reader.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::io::Blob;

    #[test]
    fn sameness_depends_on_bytes_and_length_only() {
        let bytes = vec![3; 2 * STEP];
        let stream = || Stream::new(Blob::from(Arc::from(bytes.as_slice())));
        let mut last = bytes.clone();
        last[2 * STEP - 1] = 4;
        // One reader gives less at a time than it is asked for.
        let slow = bytes[..7].chain(&bytes[7..]);
        assert!(same(stream(), slow).expect("read"));
        assert!(same(&[][..], &[][..]).expect("read"));
        for other in [&last, &bytes[..2 * STEP - 1], &bytes[..STEP], &[][..]] {
            assert!(!same(stream(), other).expect("read"));
            assert!(!same(other, stream()).expect("read"));
        }
    }
}
