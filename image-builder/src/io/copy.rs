//! Copying a range of one file into another.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::fcntl::copy_file_range;

/// Bytes copied per call: small enough for smooth progress and a prompt
/// answer to Ctrl-C, large enough not to count.
pub(super) const STEP: usize = 4 << 20;

/// Copies `len` bytes, inside the kernel where it can (copy_file_range(2):
/// shared blocks on Btrfs and XFS), through memory where it cannot. `progress`
/// is told the bytes of every step and may end the copy.
///
/// # Errors
/// When either file cannot be accessed, the source ends early, or `progress`
/// fails.
pub fn copy_range(
    from: &File,
    from_offset: u64,
    to: &File,
    to_offset: u64,
    len: u64,
    progress: &mut dyn FnMut(u64) -> io::Result<()>,
) -> io::Result<()> {
    let mut done = 0;
    let mut in_kernel = true;
    let mut buffer = Vec::new();
    while done < len {
        let step = (len - done).min(STEP as u64) as usize;
        let (source, target) = (from_offset + done, to_offset + done);
        let copied = if in_kernel {
            let (mut source, mut target) = (source as i64, target as i64);
            match copy_file_range(from, Some(&mut source), to, Some(&mut target), step) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(copied) => copied,
                // Other file systems, old kernels, devices: read and write.
                Err(
                    Errno::EXDEV | Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP | Errno::EPERM,
                ) => {
                    in_kernel = false;
                    continue;
                }
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno.into()),
            }
        } else {
            buffer.resize(step, 0);
            from.read_exact_at(&mut buffer, source)?;
            to.write_all_at(&buffer, target)?;
            step
        };
        done += copied as u64;
        progress(copied as u64)?;
    }
    Ok(())
}
