//! From a plan to a composed disk, and to an image file: the whole build, in
//! order.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use node_config::paths;
use uuid::Uuid;

use crate::compose::{Composed, Recipe, compose};
use crate::handover::Handover;
use crate::identity::{self, HostKeys};
use crate::ids::NodeIds;
use crate::io::Region;
use crate::layout::{Frame, Scheme};
use crate::lock::{self, Lock};
use crate::overlay::{self, BaseView as _, Carried, Entrance, Overlay, Part, Rendered, Request};
use crate::plan::{BaseRef, K3s, Node, NodePlan, Role};
use crate::progress::Progress;
use crate::rootfs::grow;
use crate::secrets::Secrets;
use crate::sink::{ImageFile, Written};
use crate::source::{self, Base, Cache};
use crate::view::ImageView;

/// The agent's unit, which lies with the agent's sources.
pub(crate) const AGENT_UNIT: &str = include_str!("../../firstboot-agent/firstboot-agent.service");

/// ELF: 64-bit, little-endian, `EM_AARCH64` (elf(5)).
const EM_AARCH64: u16 = 183;

/// A node, and what its disk is made from.
#[derive(Debug, Clone, Copy)]
pub struct Ingredients<'a> {
    /// The node.
    pub plan: &'a NodePlan,
    /// Where its SSH host keys come from.
    pub keys: Keys<'a>,
    /// A base image to use in place of the profile's.
    pub base: Option<&'a Path>,
    /// A release image to add the node to, in place of the profile's base.
    pub release: Option<&'a BaseRef>,
    /// What the node is added to.
    pub disk: On,
    /// The first-boot agent for the node.
    pub agent: &'a Path,
    /// What is locked of what the plan asks for.
    pub lock: &'a Lock,
    /// What the cluster is handed over to Argo CD with, if it is.
    pub handover: Option<&'a Handover>,
    /// The cache.
    pub cache: &'a Cache,
    /// The time of every change, in seconds since 1970; without it the time the
    /// base was last written.
    pub epoch: Option<i64>,
}

/// What a node is added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// A disk of its own, written whole.
    New,
    /// A disk that has the release already, whose ids stay as they are.
    Flashed,
}

/// What to build.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The node.
    pub node: Ingredients<'a>,
    /// Where the image goes.
    pub output: &'a Path,
    /// Replace an image that is there.
    pub replace: bool,
}

/// Where a node's SSH host keys come from.
#[derive(Debug, Clone, Copy)]
pub enum Keys<'a> {
    /// The cluster's secrets file, which was opened: then it has what K3s needs too.
    Kept(&'a Secrets),
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
    /// How the user reaches the node.
    pub access: Access,
}

/// How the user reaches a node: files beside its image.
#[derive(Debug, Clone)]
pub struct Access {
    /// `known_hosts` with the node's keys.
    pub known_hosts: PathBuf,
    /// A snippet for `ssh -F` or `Include`.
    pub ssh_config: PathBuf,
}

/// Builds a node's image.
///
/// # Errors
/// When a program or the agent is missing, the base cannot be used, the plan
/// does not fit it, or the output cannot be written. No image is made then.
pub fn build(job: Job<'_>, progress: &mut dyn Progress) -> anyhow::Result<Built> {
    let output = ImageFile::new(job.output, job.replace)?;
    let prepared = prepare(job.node, progress)?;
    let overlay = &prepared.rendered.overlay;
    let overlay_bytes = [Part::Boot, Part::Root].map(|part| overlay.content_bytes(part));
    output.check_room(prepared.base.data_bytes()? + overlay_bytes.iter().sum::<u64>())?;
    let disk = prepared.compose(None, output.dir(), progress)?;
    // Before the image: once that is there, all is there.
    let access = prepared.write_access(&output)?;
    let written = output.write(&disk, progress)?;
    Ok(Built {
        image_id: prepared.image_id(),
        written,
        access,
    })
}

/// A node whose base is verified and whose overlay is rendered: ready to be
/// composed for an image file or for a disk.
pub struct Prepared<'a> {
    node: Ingredients<'a>,
    base: Base,
    ids: NodeIds,
    keys: HostKeys,
    release: Option<Described>,
    rendered: Rendered,
    epoch: i64,
}

/// A release, by what its image says of itself.
#[derive(Debug, Clone)]
pub struct Described {
    /// What it says.
    pub carried: Carried,
    /// The text of that, as it is on the disk.
    pub text: String,
}

/// Opens and verifies everything a node is made from.
///
/// # Errors
/// When a program or the agent is missing, the base cannot be used, or the plan
/// does not fit it.
pub fn prepare<'a>(
    node: Ingredients<'a>,
    progress: &mut dyn Progress,
) -> anyhow::Result<Prepared<'a>> {
    let plan = node.plan;
    grow::check_tools()?;
    let agent = read_agent(node.agent)?;
    let from = node.release.unwrap_or(&plan.profile.base);
    let base = source::open(from, node.base, node.cache, progress)?;
    let ids = NodeIds::derive(plan.cluster.id, &plan.node.name);
    let ids = match node.disk {
        On::New => ids,
        On::Flashed => flashed(ids, &base)?,
    };
    let keys = match node.keys {
        Keys::Kept(secrets) => secrets.node(&plan.node.name)?.host_keys.clone(),
        Keys::Files(dir) => HostKeys::load_or_create(dir, &plan.node.name)?,
    };

    let entrance = match (node.keys, &plan.k3s) {
        (Keys::Kept(secrets), Some(k3s)) => Some(entrance(secrets, &plan.node, k3s)?),
        _ => None,
    };
    let view = ImageView::open(base.boot.clone(), base.root.clone())?;
    let (k3s, profile) = (plan.k3s.as_ref(), &plan.profile);
    let release = described(&view)?;
    let mut payload = match &release {
        // What it is is known by its own sha256; whether that is to be trusted was
        // looked at before.
        Some(release) => release.carried.payload(profile, k3s)?,
        None if node.release.is_some() => bail!("{} is no release image", base.name()),
        None => lock::payload(node.lock, k3s, profile, &base.digest, node.cache, progress)?,
    };
    // Without what lets a server found a cluster there is none to hand over.
    if let Some(handover) = node
        .handover
        .filter(|_| entrance.is_some() && plan.founds())
    {
        let repository = match node.keys {
            Keys::Kept(secrets) => secrets.repository.as_ref(),
            Keys::Files(_) => None,
        };
        let from = (plan.gitops.as_ref(), repository);
        lock::hand_over(
            &mut payload,
            handover,
            from,
            node.lock,
            node.cache,
            progress,
        )?;
    }
    let epoch = node.epoch.unwrap_or_else(|| base.superblock.written());
    let request = Request {
        plan,
        ids: &ids,
        keys: &keys,
        agent: &agent,
        agent_unit: AGENT_UNIT,
        entrance: entrance.as_ref(),
        payload: &payload,
        base_digest: &base.digest,
        epoch,
    };
    let rendered =
        overlay::render(&request, &view).context("planning what the node adds to its base")?;
    Ok(Prepared {
        node,
        base,
        ids,
        keys,
        release,
        rendered,
        epoch,
    })
}

impl Prepared<'_> {
    /// Composes the disk: for an image file, or for the disk that `frame`
    /// describes. `scratch` is a directory for changed blocks.
    ///
    /// # Errors
    /// When the plan does not fit the base or the disk.
    pub fn compose(
        &self,
        frame: Option<Frame>,
        scratch: &Path,
        progress: &mut dyn Progress,
    ) -> anyhow::Result<Composed> {
        let recipe = Recipe {
            base: &self.base,
            overlay: &self.rendered.overlay,
            ids: self.ids,
            disk: self.node.plan.profile.disk,
            frame,
            epoch: self.epoch,
        };
        compose(recipe, self.node.cache, scratch, progress)
    }

    /// Names the image's content.
    pub fn image_id(&self) -> Uuid {
        self.rendered.image_id
    }

    /// What the node adds to its base.
    pub fn overlay(&self) -> &Overlay {
        &self.rendered.overlay
    }

    /// The release that its base is, if it is one.
    pub fn release(&self) -> Option<&Described> {
        self.release.as_ref()
    }

    /// The ids of the node's disk.
    pub fn ids(&self) -> NodeIds {
        self.ids
    }

    /// Writes what the user needs to reach the node beside `output`.
    ///
    /// # Errors
    /// When other files with these names are there, or they cannot be written.
    pub fn write_access(&self, output: &ImageFile) -> anyhow::Result<Access> {
        let plan = self.node.plan;
        let peer = plan.peer();
        let known_hosts =
            output.write_beside("known_hosts", &identity::known_hosts([(&peer, &self.keys)]))?;
        let absolute = fs::canonicalize(&known_hosts)
            .with_context(|| format!("finding {}", known_hosts.display()))?;
        let user = &plan.users[0].name;
        let ssh_config = output.write_beside(
            "ssh_config",
            &identity::ssh_config([&peer], user, &absolute),
        )?;
        Ok(Access {
            known_hosts,
            ssh_config,
        })
    }
}

/// What a base says of itself, if it is a release image.
fn described(view: &ImageView) -> anyhow::Result<Option<Described>> {
    let Some(text) = view.read(Part::Root, paths::RELEASE)? else {
        return Ok(None);
    };
    let text = String::from_utf8(text).context("release.json is no text")?;
    let carried = Carried::parse(&text)?;
    Ok(Some(Described { carried, text }))
}

/// The ids of a node on a disk that has its base already. What the node has not made
/// yet, as its data partition, has the node's own.
fn flashed(node: NodeIds, base: &Base) -> anyhow::Result<NodeIds> {
    let Scheme::Gpt(disk) = base.table.scheme else {
        bail!("{} has no GPT, as every release has", base.name());
    };
    let of = |region: &Region| -> anyhow::Result<Uuid> {
        let (_, offset) = region.place();
        let mut partitions = base.table.partitions.iter();
        let found = partitions.find(|partition| partition.offset == offset);
        let id = found.context("a partition is not in the table")?;
        id.partuuid.parse().context("a partition has no GUID")
    };
    Ok(NodeIds {
        disk,
        boot: of(&base.boot)?,
        root: of(&base.root)?,
        ..node
    })
}

/// What lets a node into its cluster, and nothing of it that its role has no use
/// for: agents never get the servers' token, and only the founder gets the CAs.
fn entrance(secrets: &Secrets, node: &Node, k3s: &K3s) -> anyhow::Result<Entrance> {
    let agent_token = secrets.full_agent_token()?;
    let (token, agent_token) = match node.role {
        Role::Server => (secrets.full_server_token()?, Some(agent_token)),
        Role::Agent => (agent_token, None),
    };
    Ok(Entrance {
        token,
        agent_token,
        password: secrets.node(&node.name)?.password.clone(),
        tls: match k3s.founder() == Some(&node.name) {
            true => secrets.authorities.files(),
            false => Vec::new(),
        },
        ca_hash: secrets.ca_hash()?.to_string(),
    })
}

/// The agent for a node, checked to be a program for its processor.
pub(crate) fn read_agent(path: &Path) -> anyhow::Result<Arc<[u8]>> {
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
