//! The kernel and the initial RAM disk an image would boot, for QEMU.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::borrowed::{self, Borrowed};
use crate::overlay::{BaseView as _, Part};
use crate::view::ImageView;

/// Kernel and initial RAM disk by the names the Pi's firmware looks for
/// (config.txt documentation, `auto_initramfs`): 4 KiB pages first, for
/// that is what QEMU's `virt` is tested with.
const PAIRS: &[(&str, &str)] = &[
    ("kernel8.img", "initramfs8"),
    ("kernel_2712.img", "initramfs_2712"),
];

/// The serial console of QEMU's `virt` machine (a PL011).
const CONSOLE: &str = "console=ttyAMA0";

/// The image's kernel runs on a Pi only.
#[derive(Debug, thiserror::Error)]
#[error("its kernel {0} is built for the Pi and has no drivers for QEMU's machine")]
pub struct ForThePi(String);

/// What QEMU boots.
pub struct Kernel {
    image: Vec<u8>,
    initrd: Vec<u8>,
    /// The image's own command line, but for the consoles.
    pub command_line: String,
}

/// The same as files.
pub(super) struct KernelFiles {
    pub(super) image: PathBuf,
    pub(super) initrd: PathBuf,
}

impl Kernel {
    /// Reads them out of an image.
    ///
    /// # Errors
    /// [`ForThePi`] when it cannot run in QEMU; when the image has none.
    pub fn of(view: &ImageView) -> anyhow::Result<Self> {
        let file = |path: &str| view.read(Part::Boot, &format!("/{path}"));
        for (image, initrd) in PAIRS {
            if let (Some(image), Some(initrd)) = (file(image)?, file(initrd)?) {
                refuse_pi_kernels(view)?;
                return Ok(Self {
                    image,
                    initrd,
                    command_line: command_line(view)?,
                });
            }
        }
        refuse_pi_kernels(view)?;
        bail!("the image has no kernel with an initial RAM disk on its boot partition")
    }

    /// Makes them of two Debian packages, a kernel's and a busybox without libraries,
    /// for an image whose own kernel is [`ForThePi`].
    ///
    /// # Errors
    /// When either is no such package, or the image has no command line.
    pub fn borrowed(view: &ImageView, kernel: &Path, busybox: &Path) -> anyhow::Result<Self> {
        let Borrowed { image, initrd } = borrowed::make(kernel, busybox)?;
        Ok(Self {
            image,
            initrd,
            command_line: command_line(view)?,
        })
    }

    /// The same kernel, told this as well (kernel-command-line(7)).
    #[must_use]
    pub fn with(self, word: &str) -> Self {
        let command_line = format!("{} {word}", self.command_line);
        Self {
            command_line,
            ..self
        }
    }

    pub(super) fn write(&self, dir: &Path) -> anyhow::Result<KernelFiles> {
        let files = KernelFiles {
            image: dir.join("kernel"),
            initrd: dir.join("initrd"),
        };
        for (path, content) in [(&files.image, &self.image), (&files.initrd, &self.initrd)] {
            fs::write(path, content).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(files)
    }
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kernel")
            .field("command_line", &self.command_line)
            .finish_non_exhaustive()
    }
}

/// Raspberry Pi's kernels have no virtio and no driver for `virt`'s PCIe; such
/// a guest would hang without a word.
fn refuse_pi_kernels(view: &ImageView) -> anyhow::Result<()> {
    let kernels = view.list(Part::Root, "/usr/lib/modules")?;
    match kernels
        .iter()
        .find(|name| name.contains("+rpt-") || name.contains("-rpi-"))
    {
        Some(name) => Err(ForThePi(name.clone()).into()),
        None => Ok(()),
    }
}

/// The image's own, for QEMU's machine.
fn command_line(view: &ImageView) -> anyhow::Result<String> {
    let words = view.read(Part::Boot, "/cmdline.txt")?;
    let words = words.context("the image has no cmdline.txt")?;
    let words = String::from_utf8(words).context("cmdline.txt is not text")?;
    Ok(for_virt(&words))
}

/// The Pi's consoles do not exist on `virt`; the rest of the line is what is
/// being tried.
fn for_virt(command_line: &str) -> String {
    let words = command_line
        .split_whitespace()
        .filter(|word| !word.starts_with("console="));
    std::iter::once(CONSOLE)
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_consoles_change() {
        let line =
            "console=serial0,115200 console=tty1 root=PARTUUID=ab rootwait cgroup_enable=memory\n";
        assert_eq!(
            for_virt(line),
            "console=ttyAMA0 root=PARTUUID=ab rootwait cgroup_enable=memory"
        );
    }
}
