//! A cluster folder of our own, and the program to run on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use imgbuild::config::{self, Workspace};
use imgbuild::identity::HostKeys;
use imgbuild::ids::NodeIds;
use imgbuild::overlay::{self, Overlay, Payload, Request};
use imgbuild::progress::Silent;
use imgbuild::source::{self, Cache};
use imgbuild::view::ImageView;

/// The program under test.
pub(crate) const IMGBUILD: &str = env!("CARGO_BIN_EXE_imgbuild");

/// The node that is built.
pub(crate) const NODE: &str = "pi-1";

const CLUSTER: &str = r#"
version = 1

[cluster]
name = "lab"
id = "5d8f2a52-0f60-44cb-9d3c-6b7a9d1f0c55"

[network]
subnet = "192.168.4.0/24"
gateway = "192.168.4.1"
dns = ["192.168.4.1"]
search = ["home.arpa"]

[locale]
timezone = "Europe/Berlin"

[[users]]
name = "admin"
ssh_key_files = ["key.pub"]

[[nodes]]
name = "pi-1"
address = "192.168.4.11"
role = "server"
profile = "lab"
labels = { disk = "nvme" }

[[nodes]]
name = "pi-2"
address = "192.168.4.12"
role = "agent"
profile = "lab"
"#;

const PROFILE: &str = r#"
version = 1

[base]
file = "@BASE@"

[disk]
root = "1GiB"

[[files]]
path = "/etc/motd"
content = "a node of the lab\n"

[[files]]
path = "/boot/firmware/lab.txt"
content = "on the boot partition\n"

[[files]]
path = "/home/admin/.config/lab/lab.conf"
owner = "1000:1000"
content = ""

# Settings that a base may have, and that must not win.
[[files]]
path = "/etc/ssh/sshd_config.d/50-lab.conf"
content = """
Match User admin
  PasswordAuthentication yes
  PermitRootLogin yes
  KbdInteractiveAuthentication yes
  AuthenticationMethods password publickey
Match Address 192.168.4.0/24
  PasswordAuthentication yes
  X11Forwarding no
"""
"#;

/// A folder with everything a build needs.
pub(crate) struct Lab {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) base: PathBuf,
    pub(crate) cache: PathBuf,
    pub(crate) agent: PathBuf,
}

impl Lab {
    /// A lab, or `None` where there is nothing to work on and that is allowed.
    pub(crate) fn new() -> Option<Self> {
        let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("../out");
        let base = out.join("base/debian-trixie-arm64.img");
        let agent = out.join("bin/firstboot-agent");
        for (path, target) in [(&base, "make base"), (&agent, "make build")] {
            if !path.exists() {
                skip(&format!("there is no {}; run `{target}`", path.display()));
                return None;
            }
        }
        // Beside the other output: a temporary directory may be small, and a
        // cache in it would be hashed and checked anew by every test.
        let scratch = out.join("test");
        fs::create_dir_all(&scratch).expect("out/test");
        let dir = tempfile::tempdir_in(&scratch).expect("lab");
        let base = fs::canonicalize(base).expect("base");
        fs::write(dir.path().join("cluster.toml"), CLUSTER).expect("cluster.toml");
        fs::create_dir(dir.path().join("profiles")).expect("profiles");
        let profile = PROFILE.replace("@BASE@", base.to_str().expect("UTF-8"));
        fs::write(dir.path().join("profiles/lab.toml"), profile).expect("profile");
        let key = dir.path().join("key");
        let mut keygen = Command::new("ssh-keygen");
        keygen
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f"])
            .arg(key);
        assert!(keygen.status().expect("ssh-keygen").success());
        let agent = fs::canonicalize(agent).expect("agent");
        Some(Self {
            dir,
            base,
            cache: scratch.join("cache"),
            agent,
        })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Changes one of its files.
    pub(crate) fn edit(&self, name: &str, change: impl FnOnce(String) -> String) {
        let path = self.path(name);
        let text = fs::read_to_string(&path).expect(name);
        fs::write(&path, change(text)).expect(name);
    }

    /// The program with its global arguments.
    pub(crate) fn imgbuild(&self) -> Command {
        let mut command = Command::new(IMGBUILD);
        command.arg("--cluster").arg(self.path("cluster.toml"));
        command.arg("--profiles").arg(self.path("profiles"));
        command.arg("--cache").arg(&self.cache);
        command
            .env("IMGBUILD_AGENT", &self.agent)
            .env_remove("SOURCE_DATE_EPOCH");
        command
    }

    /// Builds the node's image under a name in the lab.
    pub(crate) fn build(&self, name: &str) -> PathBuf {
        let image = self.path(name);
        let output = self
            .imgbuild()
            .args(["build", NODE, "--output"])
            .arg(&image)
            .output()
            .expect("imgbuild");
        assert!(output.status.success(), "{}", stderr(&output));
        image
    }

    /// What the image was made from, rendered again.
    pub(crate) fn overlay(&self) -> Overlay {
        let workspace: Workspace =
            config::load(&self.path("cluster.toml"), &self.path("profiles")).expect("config");
        let plan = workspace.plan(NODE).expect("plan");
        let base = source::open(
            &plan.profile.base,
            None,
            &Cache::new(&self.cache),
            &mut Silent,
        )
        .expect("base");
        let keys = HostKeys::load_or_create(&self.path("secrets"), NODE).expect("keys");
        let view = ImageView::open(base.boot.clone(), base.root.clone()).expect("view");
        let unit = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../firstboot-agent/firstboot-agent.service");
        let request = Request {
            entrance: None,
            plan: &plan,
            ids: &NodeIds::derive(plan.cluster.id, NODE),
            keys: &keys,
            agent: &fs::read(&self.agent).expect("agent").into(),
            agent_unit: &fs::read_to_string(unit).expect("unit"),
            payload: &Payload::default(),
            base_digest: &base.digest,
            epoch: base.superblock.written(),
        };
        overlay::render(&request, &view).expect("overlay").overlay
    }
}

/// Prints why a test does not run, or fails where none may be skipped.
pub(crate) fn skip(why: &str) {
    assert!(
        std::env::var_os("IMGBUILD_NO_SKIP").is_none(),
        "cannot be skipped here: {why}"
    );
    eprintln!("skipped: {why}");
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A number from the environment, for longer forms of a test.
pub(crate) fn count(variable: &str, default: u32) -> u32 {
    std::env::var(variable)
        .ok()
        .map_or(default, |text| text.parse().expect("a number"))
}

/// Whether we are the superuser, by what our files belong to.
pub(crate) fn is_root(lab: &Lab) -> bool {
    std::os::unix::fs::MetadataExt::uid(&fs::metadata(lab.dir.path()).expect("lab")) == 0
}
