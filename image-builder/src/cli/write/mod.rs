//! `imgbuild write`.

mod confirm;
mod report;
mod several;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum;

use super::Global;
use super::build::default_output;
use super::making::{Made, Making};
use super::terminal::Terminal;
use crate::build::{Access, Prepared, prepare};
use crate::config::Workspace;
use crate::device::{Ask, Contents, Device, Refusal, System};
use crate::flash::{Content, Disk, Options, Verify};
use crate::io::Region;
use crate::plan::NodePlan;
use crate::sink::ImageFile;
use crate::source::unpack::Format;
use crate::source::{BaseError, Cache, raw_image};
use crate::write::{self, What};
pub(super) use confirm::NotConfirmed;

/// Arguments of `imgbuild write`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// NODE DISK or IMAGE DISK, as `pi-1 /dev/sda`; with --all any number of
    /// NODE=DISK, as `pi-1=/dev/sda pi-2=/dev/sdb`.
    #[arg(required = true, value_name = "WHAT DISK")]
    what: Vec<String>,
    /// Take IMAGE for a release image, and add this node to it.
    #[arg(long, value_name = "NODE", conflicts_with = "all")]
    node: Option<String>,
    /// Write several disks at once.
    #[arg(long)]
    all: bool,
    /// What is read back: everything right after it was written; that and all of
    /// it once more at the end; or only the disk's beginning.
    #[arg(long, value_enum, default_value_t = VerifyArg::Ranges)]
    verify: VerifyArg,
    /// Keep the data partition of a disk that had the same node before.
    #[arg(long)]
    keep_data: bool,
    /// Read first, and do not write again what the disk has already.
    #[arg(long)]
    delta: bool,
    /// Do not ask; the disk must be named by its link in /dev/disk/by-id.
    #[arg(long)]
    yes: bool,
    /// Allow a disk that is built in.
    #[arg(long)]
    internal: bool,
    /// Leave the disk plugged in: do not switch it off when it is done.
    #[arg(long)]
    no_eject: bool,
    #[command(flatten)]
    making: Making,
    /// Print what was written as JSON on stdout, a line a disk.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum VerifyArg {
    Full,
    Ranges,
    None,
}

/// A disk that must not be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {}", disk.display(), refusals.iter().map(Refusal::to_string).collect::<Vec<_>>().join("\n  "))]
pub(super) struct Refused {
    disk: PathBuf,
    refusals: Vec<Refusal>,
}

/// A disk, and what is to be on it.
struct Task {
    /// A node's name or an image's path, as it was given.
    what: String,
    device: Device,
    disk: Disk,
    content: Arc<Content>,
    access: Option<Access>,
}

pub(super) fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let pairs = pairs(args)?;
    let system = System::host();
    let cache = global.cache()?;
    // Every disk is looked at and asked about before any is opened.
    let mut devices = Vec::new();
    for (what, path) in &pairs {
        let device = choose(&system, args, what, Path::new(path), &cache)?;
        let same = |other: &Device| other.number == device.number;
        ensure!(!devices.iter().any(same), "{path} is named twice");
        devices.push(device);
    }
    let mut tasks = Vec::new();
    let mut terminal = Terminal::new()?;
    let source = Source::new(global, args, &cache)?;
    for ((what, path), device) in pairs.iter().zip(devices) {
        let task = source
            .task(what, Path::new(path), device, &mut terminal)
            .with_context(|| format!("preparing {what} for {path}"))?;
        tasks.push(task);
    }
    terminal.finish();
    let options = Options {
        verify: match args.verify {
            VerifyArg::Full => Verify::Full,
            VerifyArg::Ranges => Verify::Ranges,
            VerifyArg::None => Verify::None,
        },
        delta: args.delta,
        ..Options::default()
    };
    several::write(tasks, options, args, terminal.interrupts())
}

impl Args {
    /// The release image of `IMAGE DISK --node NODE`.
    fn release(&self) -> Option<&Path> {
        let image = self.node.as_ref().and(self.what.first());
        image.map(Path::new)
    }
}

/// What goes where.
fn pairs(args: &Args) -> anyhow::Result<Vec<(String, String)>> {
    match (args.all, &args.what[..]) {
        // What is written is the node; the image is its base.
        (false, [_, disk]) if args.node.is_some() => Ok(args
            .node
            .iter()
            .map(|node| (node.clone(), disk.clone()))
            .collect()),
        (false, [what, disk]) => Ok(vec![(what.clone(), disk.clone())]),
        (false, _) => {
            bail!("write takes a node or an image, and a disk: `imgbuild write pi-1 /dev/sda`")
        }
        (true, pairs) => pairs
            .iter()
            .map(|pair| match pair.split_once('=') {
                Some((what, disk)) if !what.is_empty() && !disk.is_empty() => {
                    Ok((what.to_owned(), disk.to_owned()))
                }
                _ => bail!("{pair:?} is not NODE=DISK, as in `--all pi-1=/dev/sda`"),
            })
            .collect(),
    }
}

/// The disk, if it may be written and the user means it.
fn choose(
    system: &System,
    args: &Args,
    what: &str,
    path: &Path,
    cache: &Cache,
) -> anyhow::Result<Device> {
    let device = system.find(path)?;
    let mut keep_off = vec![
        std::env::current_dir().context("finding the working directory")?,
        cache.dir().to_owned(),
    ];
    keep_off.extend(is_image(what).then(|| PathBuf::from(what)));
    keep_off.extend(args.making.base().map(Path::to_owned));
    keep_off.extend(args.release().map(Path::to_owned));
    keep_off.retain(|path| path.exists());
    let ask = Ask {
        internal_allowed: args.internal,
        needed: None,
        keep_off: &keep_off,
    };
    let refusals = system
        .refusals(&device, &ask)
        .context("looking who uses the disk")?;
    if !refusals.is_empty() {
        return Err(Refused {
            disk: path.into(),
            refusals,
        }
        .into());
    }
    let contents = system.contents(&device);
    // Nothing is lost of a node's own disk whose data is kept.
    let is_own = matches!(&contents, Contents::Node { node, data: true, .. } if node == what);
    if !(args.keep_data && is_own) {
        confirm::confirm(path, &device, &contents, args.yes)?;
    }
    Ok(device)
}

/// An image is a file: a node's name has neither slash nor dot.
fn is_image(what: &str) -> bool {
    what.contains(['/', '.'])
}

/// Where the content comes from.
struct Source<'a> {
    args: &'a Args,
    cache: &'a Cache,
    /// None where only images are written.
    cluster: Option<Cluster>,
}

struct Cluster {
    workspace: Workspace,
    made: Made,
}

impl<'a> Source<'a> {
    fn new(global: &Global, args: &'a Args, cache: &'a Cache) -> anyhow::Result<Self> {
        let pairs = pairs(args)?;
        let named = pairs.iter().map(|(what, _)| what.as_str());
        let nodes: Vec<&str> = named.filter(|what| !is_image(what)).collect();
        let cluster = || {
            let workspace = global.workspace()?;
            let made = Made::of(&workspace, &args.making, args.release(), &nodes)?;
            Ok::<_, anyhow::Error>(Cluster { workspace, made })
        };
        Ok(Self {
            args,
            cache,
            cluster: (!nodes.is_empty()).then(cluster).transpose()?,
        })
    }

    fn task(
        &self,
        what: &str,
        path: &Path,
        device: Device,
        terminal: &mut Terminal,
    ) -> anyhow::Result<Task> {
        let disk = Disk::open(&device.path)?;
        // Between the look and the opening somebody may have swapped cables.
        let number = disk
            .number()
            .with_context(|| format!("asking which disk {} is", path.display()))?;
        if crate::device::Number::of(number) != device.number {
            return Err(Refused {
                disk: path.into(),
                refusals: vec![Refusal::Changed],
            }
            .into());
        }
        let (content, access) = match is_image(what) {
            true => {
                let image = self.image(Path::new(what), terminal)?;
                (self.content(&What::Image(&image), &disk, terminal)?, None)
            }
            false => {
                let plan = self.plan(what)?;
                let node = self.prepared(&plan, terminal)?;
                let content = self.content(&What::Node(&node), &disk, terminal)?;
                let beside = ImageFile::new(&default_output(what), true)?;
                (content, Some(node.write_access(&beside)?))
            }
        };
        Ok(Task {
            what: what.into(),
            device,
            disk,
            content: Arc::new(content),
            access,
        })
    }

    fn plan(&self, node: &str) -> anyhow::Result<NodePlan> {
        let cluster = self
            .cluster
            .as_ref()
            .context("a node needs a cluster file")?;
        Ok(cluster.workspace.plan(node)?)
    }

    fn prepared<'b>(
        &'b self,
        plan: &'b NodePlan,
        terminal: &mut Terminal,
    ) -> anyhow::Result<Prepared<'b>> {
        let cluster = self
            .cluster
            .as_ref()
            .context("a node needs a cluster file")?;
        prepare(cluster.made.ingredients(plan, self.cache), terminal)
    }

    /// A raw image as it lies, or a packed one from the cache.
    fn image(&self, path: &Path, terminal: &mut Terminal) -> anyhow::Result<Region> {
        let context = || format!("opening the image {}", path.display());
        let file = std::fs::File::open(path)
            .map_err(BaseError::Open)
            .with_context(context)?;
        let packed = Format::of(&file)
            .map_err(BaseError::Open)
            .with_context(context)?;
        let file = match packed {
            None => file,
            Some(_) => {
                let from = path.display().to_string();
                raw_image(path, None, &from, self.cache, terminal)
                    .with_context(context)?
                    .file
            }
        };
        Region::whole(Arc::new(file))
            .map_err(BaseError::Open)
            .with_context(context)
    }

    fn content(
        &self,
        what: &What<'_>,
        disk: &Disk,
        terminal: &mut Terminal,
    ) -> anyhow::Result<Content> {
        let keep = match self.args.keep_data {
            false => None,
            true => Some(write::data_partition(disk, what)?.context(
                "--keep-data: the disk has no data partition of this node; leave that out to write the whole disk",
            )?),
        };
        let scratch = self.cache.dir();
        std::fs::create_dir_all(scratch)
            .with_context(|| format!("making {}", scratch.display()))?;
        write::content(
            what,
            crate::flash::Target::len(disk),
            keep,
            scratch,
            terminal,
        )
    }
}
