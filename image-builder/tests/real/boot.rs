//! Booting: the guest's own kernel, systemd, sshd and agent as judges.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::time::{Duration, Instant};

use imgbuild::cmd::Cmd;
use imgbuild::io::{ReadAt as _, Region};
use imgbuild::overlay::{Change, Overlay, Part};
use imgbuild::qemu::console::Event;
use imgbuild::qemu::{self, DiskBus, Guest, Kernel, Lan, Machine, SCRATCH, Size, Ssh, Waited};
use imgbuild::source::find_partitions;
use imgbuild::view::ImageView;
use node_config::report::{Outcome, State};
use node_config::{ConsoleLine, NodeConfig, Report, paths};

use crate::lab::{Lab, NODE, stderr};
use crate::switch::Switch;

/// An emulated boot on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(420);

/// A text file of an image's root.
pub(crate) fn read(image: &Path, path: &str) -> String {
    let file = File::open(image).expect("image");
    let region = Region::whole(Arc::new(file)).expect("region");
    let parts = find_partitions(&region).expect("partitions");
    let view = ImageView::open(parts.boot, parts.root).expect("view");
    let bytes = view.root().read(path).expect("reads").expect(path);
    String::from_utf8(bytes).expect("text")
}

/// An image, and how to start it.
pub(crate) struct Rig<'a> {
    lab: &'a Lab,
    image: std::path::PathBuf,
    kernel: Kernel,
    node: NodeConfig,
    root_len: u64,
    dir: tempfile::TempDir,
}

impl<'a> Rig<'a> {
    pub(crate) fn new(lab: &'a Lab, image: &Path) -> Self {
        let node = read(image, paths::NODE_CONFIG);
        Self::with_node(lab, image, NodeConfig::parse(&node).expect("node.toml"))
    }

    /// An image in the network of a node that is not in it yet.
    pub(crate) fn with_node(lab: &'a Lab, image: &Path, node: NodeConfig) -> Self {
        let region = Region::whole(Arc::new(File::open(image).expect("image"))).expect("region");
        let parts = find_partitions(&region).expect("partitions");
        let root_len = parts.root.len();
        let view = ImageView::open(parts.boot, parts.root).expect("view");
        Self {
            lab,
            image: image.to_path_buf(),
            kernel: Kernel::of(&view).expect("kernel"),
            node,
            root_len,
            dir: tempfile::tempdir_in(lab.dir.path()).expect("directory"),
        }
    }

    /// Its kernel is told this as well.
    pub(crate) fn told(self, word: &str) -> Self {
        let kernel = self.kernel.with(word);
        Self { kernel, ..self }
    }

    pub(crate) fn start(&self, bus: DiskBus) -> Guest {
        self.start_in(Lan::Own, 0, bus, Size::USUAL)
    }

    /// In a network with others.
    pub(crate) fn start_at(&self, switch: &Switch, size: Size) -> Guest {
        let port = switch.port(self.node.network.address.addr());
        self.start_in(Lan::Switch(&port.socket), port.ssh, DiskBus::Virtio, size)
    }

    fn start_in(&self, lan: Lan<'_>, ssh_port: u16, bus: DiskBus, size: Size) -> Guest {
        qemu::check_tools().expect("QEMU");
        let machine = Machine {
            image: &self.image,
            bus,
            kernel: &self.kernel,
            size,
            node: &self.node,
            lan,
            ssh_port,
            dir: self.dir.path(),
            log: &self.dir.path().join("console.log"),
        };
        machine.start().expect("start")
    }

    pub(crate) fn ssh(&self, guest: &Guest) -> Ssh {
        Ssh {
            port: guest.ssh_port(),
            host: self.node.node.name.clone(),
            user: "admin".into(),
            identity: Some(self.lab.path("key")),
            known_hosts: self.image.with_extension("known_hosts"),
        }
    }

    /// Where the scratch disk is.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What the image's node was told.
    pub(crate) fn node(&self) -> &NodeConfig {
        &self.node
    }

    /// Length of the image's root partition.
    pub(crate) fn root_len(&self) -> u64 {
        self.root_len
    }

    /// The machine's disk is larger than its image. Before the first start.
    pub(crate) fn enlarge_disk(&self, size: u64) {
        qemu_img(&["create", "-q", "-f", "qcow2", "-F", "raw", "-b"])
            .arg(&self.image)
            .arg(self.dir.path().join(SCRATCH))
            .arg(size.to_string())
            .run(&[0])
            .expect("qemu-img");
    }

    /// The machine's disk as one file.
    pub(crate) fn copy_disk(&self, to: &Path) {
        qemu_img(&["convert", "-O", "raw"])
            .arg(self.dir.path().join(SCRATCH))
            .arg(to)
            .run(&[0])
            .expect("qemu-img");
    }

    /// Puts another disk in its place. While it is switched off.
    pub(crate) fn replace_disk(&self, from: &Path) {
        qemu_img(&["convert", "-f", "raw", "-O", "qcow2"])
            .arg(from)
            .arg(self.dir.path().join(SCRATCH))
            .run(&[0])
            .expect("qemu-img");
    }

    /// What the scratch disk's root file system looks like to e2fsck.
    pub(crate) fn assert_disk_clean(&self) {
        let raw = self.dir.path().join("after.raw");
        self.copy_disk(&raw);
        let device = format!("{}?offset={}", raw.display(), 520 << 20);
        Cmd::new("e2fsck", "run ci/setup")
            .arg("-fn")
            .arg(device)
            .run(&[0])
            .expect("e2fsck after the boots");
    }
}

fn qemu_img(args: &[&str]) -> Cmd {
    let qemu_img = Cmd::new("qemu-img", "run ci/setup");
    args.iter().fold(qemu_img, |cmd, arg| cmd.arg(arg))
}

/// Waits for the agent's last word.
pub(crate) fn wait_until_done(guest: &mut Guest) {
    let done = |line: &ConsoleLine| matches!(line, ConsoleLine::AllDone { .. });
    wait_for(guest, PATIENCE, done);
}

/// Waits for a word of the agent; one of failure is a failure.
pub(crate) fn wait_for(
    guest: &mut Guest,
    patience: Duration,
    is_it: impl Fn(&ConsoleLine) -> bool,
) {
    let deadline = Instant::now() + patience;
    loop {
        assert!(
            Instant::now() < deadline,
            "no such word in time; see {}",
            guest.log().display()
        );
        match guest.wait(Duration::from_secs(1)).expect("console") {
            Waited::Nothing => {}
            Waited::Ended(words) => panic!("the guest ended: {words}"),
            Waited::Events(events) => {
                for event in events {
                    match event {
                        Event::Agent(line) if is_it(&line) => return,
                        Event::Agent(ConsoleLine::Stage {
                            stage,
                            outcome: Outcome::Failed,
                            message,
                            ..
                        }) => {
                            panic!("{stage} failed: {message}")
                        }
                        Event::Dead(row) => panic!("the boot died: {row}"),
                        Event::Agent(_) | Event::Login => {}
                    }
                }
            }
        }
    }
}

/// Lets the guest run on: its console must be read.
pub(crate) fn drain(guest: &mut Guest, time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        guest.wait(Duration::from_millis(200)).expect("console");
    }
}

/// Shuts the guest down as its user does.
pub(crate) fn power_off(mut guest: Guest, ssh: &Ssh) {
    // The connection goes with the machine.
    let _ = ssh.run("sudo systemctl poweroff");
    let deadline = Instant::now() + Duration::from_secs(120);
    while !matches!(
        guest.wait(Duration::from_secs(1)).expect("console"),
        Waited::Ended(_)
    ) {
        assert!(Instant::now() < deadline, "the guest does not power off");
    }
}

pub(crate) fn text(output: Output) -> String {
    assert!(output.status.success(), "{}", stderr(&output));
    String::from_utf8(output.stdout)
        .expect("text")
        .trim_end()
        .to_owned()
}

/// Everything the overlay says, as the guest's kernel sees it.
pub(crate) fn assert_holds(ssh: &Ssh, overlay: &Overlay) {
    let mut expected = BTreeMap::new();
    for part in [Part::Boot, Part::Root] {
        for (path, change) in overlay.changes(part) {
            let full = if part == Part::Boot {
                format!("{}{path}", paths::BOOT_DIR)
            } else {
                path.to_owned()
            };
            let line = match change {
                Change::File {
                    content,
                    mode,
                    owner,
                    ..
                } => {
                    let sum = content.sha256();
                    // FAT keeps neither mode nor owner.
                    match part {
                        Part::Boot => format!("file {sum}"),
                        Part::Root => format!("file {sum} {mode:o} {}:{}", owner.uid, owner.gid),
                    }
                }
                Change::Dir { mode, owner } => format!("dir {mode:o} {}:{}", owner.uid, owner.gid),
                Change::Symlink { target } => format!("link {target}"),
                Change::Remove | Change::Rename { .. } => "gone".to_owned(),
            };
            expected.insert(full, line);
        }
    }
    let paths = expected
        .keys()
        .map(|path| format!("'{path}'"))
        .collect::<Vec<_>>()
        .join(" ");
    let script = format!(
        "for p in {paths}; do \
           a=$(stat -c '%a %u:%g' \"$p\" 2>/dev/null); \
           case \"$p\" in {boot}/*) a=;; esac; \
           if [ -L \"$p\" ]; then l=\"link $(readlink \"$p\")\"; \
           elif [ -d \"$p\" ]; then l=\"dir $a\"; \
           elif [ -e \"$p\" ]; then l=\"file $(sha256sum < \"$p\" | cut -c1-64) $a\"; \
           else l=gone; fi; echo \"$p: $l\"; done",
        boot = paths::BOOT_DIR,
    );
    let seen = text(
        ssh.run(&format!(
            "sudo sh -c \"{}\"",
            script
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('$', "\\$")
        ))
        .expect("ssh"),
    );
    let differing: Vec<String> = seen
        .lines()
        .filter_map(|row| {
            let (path, line) = row.split_once(": ")?;
            let wanted = expected.remove(path)?;
            (line.trim_end() != wanted).then(|| format!("{path}: is {line}, should be {wanted}"))
        })
        .collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    assert!(expected.is_empty(), "not seen: {expected:?}");
}

/// Files that no boot may change once the first is done, a line each; and every
/// name beside them, for a directory or a link may come and go as well.
const STATE: &str = "sudo sh -c 'cd / && find etc boot/firmware var/lib/imgbuild usr -xdev -type f ! -path etc/resolv.conf \
    -exec sha256sum {} + && find etc boot/firmware var/lib/imgbuild'";

/// What is in one of two states only.
fn differing<'a>(before: &'a str, after: &'a str) -> Vec<&'a str> {
    let [before, after] = [before, after].map(|state| state.lines().collect::<BTreeSet<_>>());
    before.symmetric_difference(&after).copied().collect()
}

#[test]
fn a_node_boots_and_a_second_boot_changes_nothing() {
    let Some(lab) = Lab::new() else { return };
    let image = lab.build("pi-1.img");
    let rig = Rig::new(&lab, &image);
    let mut guest = rig.start(DiskBus::Virtio);
    wait_until_done(&mut guest);
    let ssh = rig.ssh(&guest);
    ssh.wait(Duration::from_secs(90))
        .expect("login with the baked key and the written known_hosts");

    let run = |command: &str| text(ssh.run(command).expect("ssh"));
    assert_eq!(run("hostname"), NODE);
    assert!(run("ip -brief -4 address show eth0").contains("192.168.4.11/24"));
    assert!(run("ip route show default").starts_with("default via 192.168.4.1 dev eth0"));
    assert_eq!(
        run("systemctl is-system-running --wait; systemctl --failed --no-legend"),
        "running"
    );
    assert_eq!(
        run("date +%Z").len(),
        3,
        "CET or CEST: the time zone is set"
    );
    assert_eq!(
        run("cat /etc/hostname /etc/motd"),
        "pi-1\na node of the lab"
    );
    assert_eq!(run("sudo id -u"), "0");
    let report = Report::parse(&run("sudo cat /var/lib/imgbuild/report.json")).expect("report");
    assert_eq!(report.state, State::Done);
    assert_eq!(
        run("cat /boot/firmware/report.json"),
        report.render().trim_end()
    );
    assert_holds(&ssh, &lab.overlay());

    // Another host key, or no baked key: no login.
    let stranger = lab.path("stranger.known_hosts");
    let key = std::fs::read_to_string(lab.path("key.pub")).expect("a key, but not the node's");
    std::fs::write(&stranger, format!("{NODE} {key}")).expect("write");
    let strange = Ssh {
        known_hosts: stranger,
        ..ssh.clone()
    };
    let refused = strange.run("true").expect("ssh");
    assert!(
        !refused.status.success() && stderr(&refused).contains("ost key verification failed"),
        "{}",
        stderr(&refused)
    );
    // The programs whose settings were baked in have no complaint about them.
    for (login, own) in [
        // None of the lab's Match blocks, one, the other.
        ("user=root,host=far,addr=10.0.0.1", "x11forwarding yes"),
        ("user=admin,host=far,addr=10.0.0.1", "x11forwarding yes"),
        ("user=root,host=near,addr=192.168.4.7", "x11forwarding no"),
    ] {
        let effective = run(&format!("sudo sshd -T -C {login}"));
        for line in [
            "passwordauthentication no",
            "permitrootlogin no",
            "kbdinteractiveauthentication no",
            "pubkeyauthentication yes",
            "authenticationmethods publickey",
            // What is none of our business stays as the base has it.
            own,
        ] {
            assert!(
                effective.lines().any(|of_sshd| of_sshd == line),
                "{login}: {line}: {effective}"
            );
        }
    }
    run("sudo visudo --check --quiet");
    assert_eq!(
        run("systemd-analyze verify --man=no firstboot-agent.service 2>&1"),
        ""
    );

    let (state, boot) = (run(STATE), run("cat /proc/sys/kernel/random/boot_id"));
    // The connection goes with the machine: no exit status to look at.
    let _ = ssh.run("sudo systemctl reboot");
    drain(&mut guest, Duration::from_secs(15));
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(
            Instant::now() < deadline,
            "no second boot; see {}",
            guest.log().display()
        );
        drain(&mut guest, Duration::from_secs(1));
        let output = ssh.run("cat /proc/sys/kernel/random/boot_id").expect("ssh");
        if output.status.success() && text(output) != boot {
            break;
        }
    }
    assert_eq!(run("systemctl is-system-running --wait"), "running");
    assert_eq!(
        run("systemctl show -P ConditionResult -P ActiveState firstboot-agent.service")
            .replace('\n', " "),
        "inactive no"
    );
    assert_eq!(
        differing(&state, &run(STATE)),
        [""; 0],
        "the second boot changed something"
    );
}
