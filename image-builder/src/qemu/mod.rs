//! Booting a scratch copy of an image in QEMU's `virt` machine, and following
//! its console until the agent's report.
//!
//! Not a Raspberry Pi: the Pi's firmware, its device tree and its kernel are
//! not exercised. What is: the root file system, its units, the network
//! settings and the agent, on the base's own kernel where that is Debian's, else on
//! one that is borrowed from Debian.

mod borrowed;
pub mod console;
mod guest;
mod kernel;
mod lan;
mod modules;
mod ssh;

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use node_config::NodeConfig;

pub use guest::{Guest, Waited};
pub use kernel::{ForThePi, Kernel};
pub use lan::Lan;
pub use ssh::Ssh;

use crate::cmd::{Cmd, CmdError};
use crate::secret;

const QEMU: &str = "qemu-system-aarch64";
const HINT: &str = "install QEMU (Debian: `sudo apt install qemu-system-arm qemu-utils`, macOS: `brew install qemu`)";

/// The scratch disk's name in the machine's directory.
pub const SCRATCH: &str = "scratch.qcow2";

/// How the image's disk is attached: what the node will have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DiskBus {
    /// Paravirtual: fastest.
    Virtio,
    /// As an NVMe SSD.
    Nvme,
    /// As a USB SSD (bulk-only storage).
    Usb,
}

/// A machine to start.
#[derive(Debug)]
pub struct Machine<'a> {
    /// The image; never written.
    pub image: &'a Path,
    /// How its disk is attached.
    pub bus: DiskBus,
    /// Kernel, initial RAM disk and command line.
    pub kernel: &'a Kernel,
    /// Processors and memory.
    pub size: Size,
    /// What the node was told: its address decides the virtual network.
    pub node: &'a NodeConfig,
    /// What its card is plugged into.
    pub lan: Lan<'a>,
    /// Where ssh is forwarded from, on 127.0.0.1; 0 for any free port. Behind a
    /// switch somebody else forwards it, from here.
    pub ssh_port: u16,
    /// A directory for the scratch disk and the kernel. The scratch disk holds
    /// what the node writes, secrets among it: mode 0700.
    pub dir: &'a Path,
    /// Where the console's log goes; it outlives the scratch directory.
    pub log: &'a Path,
}

/// What an emulated machine has; what its host must have to spare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Each is a thread of the host.
    pub processors: u8,
    /// In MiB.
    pub memory: u32,
}

impl Size {
    /// Of a machine that is alone.
    pub const USUAL: Size = Size {
        processors: 2,
        memory: 1024,
    };
}

impl Machine<'_> {
    /// Starts the machine. Its serial console is the child's stdout.
    ///
    /// # Errors
    /// When QEMU is missing or the scratch disk cannot be made.
    pub fn start(&self) -> anyhow::Result<Guest> {
        let port = match self.ssh_port {
            0 => free_port().context("finding a free port for ssh")?,
            port => port,
        };
        let disk = self.scratch_disk()?;
        let kernel = self.kernel.write(self.dir)?;
        let mut command = Command::new(QEMU);
        let Size { processors, memory } = self.size;
        secret::keep_from(&mut command)
            .args(["-M", "virt", "-smp", &processors.to_string()])
            .args(["-m", &format!("{memory}M")])
            .args(processor());
        command.args([
            "-nodefaults",
            "-display",
            "none",
            "-monitor",
            "none",
            "-serial",
            "stdio",
        ]);
        command
            .arg("-kernel")
            .arg(&kernel.image)
            .arg("-initrd")
            .arg(&kernel.initrd);
        command.args(["-append", &self.kernel.command_line]);
        command
            .args(self.disk_arguments(&disk))
            .args(self.lan.arguments(&self.node.network, port)?);
        let child = spawn(&mut command)?;
        Guest::new(child, port, self.log.to_path_buf())
    }

    /// A copy-on-write layer over the image: `qcow2`, for it grows with what
    /// the guest writes. One that is there is used again: the next boot of the
    /// same machine.
    fn scratch_disk(&self) -> anyhow::Result<PathBuf> {
        let disk = self.dir.join(SCRATCH);
        if disk.exists() {
            return Ok(disk);
        }
        let image = std::fs::canonicalize(self.image)
            .with_context(|| format!("opening the image {}", self.image.display()))?;
        Cmd::new("qemu-img", HINT)
            .arg("create")
            .arg("-q")
            .arg("-f")
            .arg("qcow2")
            .arg("-F")
            .arg("raw")
            .arg("-b")
            .arg(image)
            .arg(&disk)
            .run(&[0])?;
        Ok(disk)
    }

    fn disk_arguments(&self, disk: &Path) -> Vec<String> {
        // A scratch disk need not survive the host's power cut.
        let drive = format!(
            "if=none,id=ssd,format=qcow2,cache=unsafe,file={}",
            comma_safe(disk)
        );
        let devices: &[&str] = match self.bus {
            DiskBus::Virtio => &["virtio-blk-pci,drive=ssd"],
            DiskBus::Nvme => &["nvme,serial=imgbuild,drive=ssd"],
            DiskBus::Usb => &["qemu-xhci", "usb-storage,drive=ssd"],
        };
        let devices = devices
            .iter()
            .flat_map(|device| ["-device".into(), (*device).into()]);
        ["-drive".into(), drive]
            .into_iter()
            .chain(devices)
            .collect()
    }
}

/// Whether the programs are there.
///
/// # Errors
/// When one is missing; the message says how to install it.
pub fn check_tools() -> Result<(), CmdError> {
    for program in [QEMU, "qemu-img"] {
        Cmd::new(program, HINT).arg("--version").run(&[0])?;
    }
    Ok(())
}

/// The processor: the host's own on arm64 with KVM; else every feature of
/// QEMU's but those that cost an emulator most (facts: 49 against 83 CPU
/// seconds a boot).
fn processor() -> [&'static str; 4] {
    if cfg!(target_arch = "aarch64")
        && std::fs::File::options()
            .write(true)
            .open("/dev/kvm")
            .is_ok()
    {
        ["-accel", "kvm", "-cpu", "host"]
    } else {
        [
            "-accel",
            "tcg,thread=multi",
            "-cpu",
            "max,pauth=off,sve=off,sme=off",
        ]
    }
}

fn spawn(command: &mut Command) -> anyhow::Result<Child> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C is answered by the one who follows the console.
        .process_group(0)
        .spawn()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => CmdError::Missing {
                program: QEMU.into(),
                hint: HINT,
            }
            .into(),
            _ => anyhow::Error::from(error).context(format!("starting {QEMU}")),
        })
}

/// A port nobody listens on now. Another program may take it before QEMU does;
/// QEMU says so then.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

/// In QEMU's option lists a comma is doubled.
fn comma_safe(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}
