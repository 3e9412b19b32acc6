//! From a plan to an image file: the whole build, in order.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use uuid::Uuid;

use crate::compose::{Recipe, compose};
use crate::identity::{self, HostKeys};
use crate::ids::NodeIds;
use crate::lock::{self, Lock};
use crate::overlay::{self, Part, Request};
use crate::plan::NodePlan;
use crate::progress::Progress;
use crate::rootfs::grow;
use crate::sink::{ImageFile, Written};
use crate::source::{self, Cache};
use crate::view::ImageView;

/// The agent's unit, which lies with the agent's sources.
const AGENT_UNIT: &str = include_str!("../../firstboot-agent/firstboot-agent.service");

/// ELF: 64-bit, little-endian, `EM_AARCH64` (elf(5)).
const EM_AARCH64: u16 = 183;

/// What to build, and from what.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The node.
    pub plan: &'a NodePlan,
    /// Where its SSH host keys come from.
    pub keys: Keys<'a>,
    /// A base image to use in place of the profile's.
    pub base: Option<&'a Path>,
    /// The first-boot agent for the node.
    pub agent: &'a Path,
    /// What is locked of what the plan asks for.
    pub lock: &'a Lock,
    /// The cache.
    pub cache: &'a Cache,
    /// Where the image goes.
    pub output: &'a Path,
    /// Replace an image that is there.
    pub replace: bool,
    /// The time of every change, in seconds since 1970; without it the time the
    /// base was last written.
    pub epoch: Option<i64>,
}

/// Where a node's SSH host keys come from.
#[derive(Debug, Clone, Copy)]
pub enum Keys<'a> {
    /// The cluster's secrets file, which was opened.
    Kept(&'a HostKeys),
    /// Plain files below this directory, made where they are missing: a cluster
    /// without a secrets file.
    Files(&'a Path),
}

/// What was built.
#[derive(Debug, Clone)]
pub struct Built {
    /// Names the image's content.
    pub image_id: Uuid,
    /// Its size, and what of it is data.
    pub written: Written,
    /// `known_hosts` with the node's keys, beside the image.
    pub known_hosts: PathBuf,
    /// A snippet for `ssh -F` or `Include`, beside the image.
    pub ssh_config: PathBuf,
}

/// Builds a node's image.
///
/// # Errors
/// When a program or the agent is missing, the base cannot be used, the plan
/// does not fit it, or the output cannot be written. No image is made then.
pub fn build(job: Job<'_>, progress: &mut dyn Progress) -> anyhow::Result<Built> {
    let output = ImageFile::new(job.output, job.replace)?;
    grow::check_tools()?;
    let agent = read_agent(job.agent)?;
    let base = source::open(&job.plan.profile.base, job.base, job.cache, progress)?;
    let ids = NodeIds::derive(job.plan.cluster.id, &job.plan.node.name);
    let keys = match job.keys {
        Keys::Kept(keys) => keys.clone(),
        Keys::Files(dir) => HostKeys::load_or_create(dir, &job.plan.node.name)?,
    };

    let payload = lock::payload(job.lock, job.plan, &base.digest, job.cache, progress)?;
    let epoch = job.epoch.unwrap_or_else(|| base.superblock.written());
    let view = ImageView::open(base.boot.clone(), base.root.clone())?;
    let request = Request {
        plan: job.plan,
        ids: &ids,
        keys: &keys,
        agent: &agent,
        agent_unit: AGENT_UNIT,
        payload: &payload,
        base_digest: &base.digest,
        epoch,
    };
    let rendered =
        overlay::render(&request, &view).context("planning what the node adds to its base")?;

    let recipe = Recipe {
        base: &base,
        overlay: &rendered.overlay,
        ids,
        disk: job.plan.profile.disk,
        epoch,
    };
    let overlay_bytes = [Part::Boot, Part::Root].map(|part| rendered.overlay.content_bytes(part));
    output.check_room(base.data_bytes()? + overlay_bytes.iter().sum::<u64>())?;
    let disk = compose(recipe, job.cache, output.dir(), progress)?;

    // Before the image: once that is there, all is there.
    let peer = job.plan.peer();
    let known_hosts =
        output.write_beside("known_hosts", &identity::known_hosts([(&peer, &keys)]))?;
    let absolute = fs::canonicalize(&known_hosts)
        .with_context(|| format!("finding {}", known_hosts.display()))?;
    let user = &job.plan.users[0].name;
    let ssh_config = output.write_beside(
        "ssh_config",
        &identity::ssh_config([&peer], user, &absolute),
    )?;
    let written = output.write(&disk, progress)?;
    Ok(Built {
        image_id: rendered.image_id,
        written,
        known_hosts,
        ssh_config,
    })
}

/// The agent for a node, checked to be a program for its processor.
fn read_agent(path: &Path) -> anyhow::Result<Arc<[u8]>> {
    let context = || format!("reading the first-boot agent {}", path.display());
    let program = fs::read(path).with_context(context)?;
    match program[..] {
        [0x7f, b'E', b'L', b'F', 2, 1, ..]
            if program.get(18..20) == Some(&EM_AARCH64.to_le_bytes()) =>
        {
            Ok(program.into())
        }
        _ => bail!(
            "{} is not a program for 64-bit ARM; build it with `make build`",
            path.display()
        ),
    }
}
