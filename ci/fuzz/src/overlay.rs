//! Bases in memory and nodes to render for them. The bases are those of the
//! overlay's own tests: one imitation of a base is enough.

#[path = "../../../image-builder/src/overlay/memory.rs"]
#[allow(dead_code)]
mod memory;

mod fixtures;

use std::path::Path;
use std::sync::{Arc, LazyLock};

use imgbuild::config;
use imgbuild::identity::HostKeys;
use imgbuild::ids::NodeIds;
use imgbuild::overlay::{BaseView, Change, Kind, Overlay, Part, Payload, Request, links, render};
use imgbuild::plan::NodePlan;

use memory::MemoryBase;

static AGENT: LazyLock<Arc<[u8]>> = LazyLock::new(|| Arc::from(&b"\x7fELF"[..]));
static PAYLOAD: LazyLock<Payload> = LazyLock::new(Payload::default);
static KEYS: LazyLock<HostKeys> = LazyLock::new(|| {
    HostKeys::load_or_create(&crate::seed("keys"), "pi-1").expect("keys made by ci/fuzz/seeds")
});
static CASES: LazyLock<Vec<(MemoryBase, NodePlan)>> =
    LazyLock::new(|| fixtures::bases().into_iter().zip(plans()).collect());

/// Plans what a node adds to a base in which one file was replaced, for each
/// base.
///
/// # Panics
/// When the overlay does, which is a find.
pub fn render_on(part: Part, path: &str, content: &str) {
    for (base, plan) in CASES.iter() {
        let base = base.clone().files(part, &[(path, content)]);
        let _ = render(&request(plan), &base);
    }
}

/// That the cases reach the end: a fixture that fails early would hide every
/// find behind its failure.
///
/// # Panics
/// When a case does not.
pub fn expect_good() {
    for (base, plan) in CASES.iter() {
        render(&request(plan), base).expect("a plan for an unharmed base");
    }
}

/// The example cluster's server, and its first agent with everything that the
/// example leaves out.
fn plans() -> [NodePlan; 2] {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let workspace = config::load(
        &project.join("cluster/cluster.toml"),
        &project.join("profiles"),
    )
    .expect("the example cluster");
    let [mut server, mut agent] =
        ["pi-1", "pi-2"].map(|node| workspace.plan(node).expect("a node of the example"));
    server.locale.timezone = "Etc/UTC".into();
    agent.locale = imgbuild::plan::Locale {
        lang: "en_GB.UTF-8".into(),
        timezone: "Europe/Berlin".into(),
        keyboard: "de".into(),
    };
    agent.users.push(imgbuild::plan::User {
        name: "guest".into(),
        sudo: false,
        ..agent.users[0].clone()
    });
    agent.profile.firmware.usb_quirks.push("152d:0578:u".into());
    agent.profile.wifi_country = Some("DE".into());
    agent.profile.machine_id = imgbuild::plan::MachineId::FirstBoot;
    agent.profile.mask_units.push("bluetooth.service".into());
    [server, agent]
}

fn request(plan: &NodePlan) -> Request<'_> {
    static IDS: LazyLock<NodeIds> =
        LazyLock::new(|| NodeIds::derive(CASES[0].1.cluster.id, "pi-1"));
    Request {
        entrance: None,
        plan,
        ids: &IDS,
        keys: &KEYS,
        agent: &AGENT,
        agent_unit: "[Install]\nWantedBy=multi-user.target\n",
        payload: &PAYLOAD,
        base_digest: "5c9c",
        epoch: 1_760_000_000,
    }
}
