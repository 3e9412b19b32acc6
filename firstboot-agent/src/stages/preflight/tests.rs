//! The stage on machines that lack something.

use std::time::Duration;

use node_config::{Role, paths};

use super::*;
use crate::system::fake::Fake;
use crate::tests::faults::at_every_call;
use crate::tests::{cluster, machine};

const LABEL: &str = "/etc/rancher/k3s/config.yaml.d/20-disk.yaml";

/// A healthy server's machine.
fn machine() -> Fake {
    let fake = machine::healthy();
    cluster::install(&fake);
    fake.make_dir(paths::STATE_DIR, 0o700)
        .expect("as the runner does");
    fake
}

fn apply(node: &NodeConfig, fake: &Fake) -> Result<Look, StageError> {
    Preflight.apply(node, fake, &|_| ())?;
    Preflight.look(node, fake)
}

fn done(node: &NodeConfig, fake: &Fake) -> String {
    match apply(node, fake) {
        Ok(Look::Done(words)) => words,
        other => panic!("{other:?}"),
    }
}

/// Has the programs and files of a Pi 5 with all in order.
fn pi() -> Fake {
    let fake = machine();
    fake.install("vcgencmd", |_, _, _| Ok("throttled=0x0\n".into()));
    fake.install("iptables", |_, _, _| {
        Ok("iptables v1.8.11 (nf_tables)\n".into())
    });
    fake.install("bash", |_, args, _| {
        assert_eq!(args[2], "/dev/nvme0n1");
        Ok(r#"{"smart_status":{"passed":true}}"#.into())
    });
    let supply = "/proc/device-tree/chosen/power/max_current";
    fake.put(supply, 0o444, 5000_u32.to_be_bytes());
    let link = "/sys/class/block/nvme0n1/device/device/current_link";
    fake.show(&format!("{link}_speed"), "5.0 GT/s PCIe\n");
    fake.show(&format!("{link}_width"), "1\n");
    fake
}

#[test]
fn a_pi_in_order_says_what_it_stands_on() {
    let (fake, node) = (pi(), cluster::node(true, &[]));
    let look = Preflight.look(&node, &fake).expect("looks");
    let words = "how long the disk takes was not measured".to_owned();
    assert_eq!(look, Look::ToDo(words));
    assert_eq!(
        done(&node, &fake),
        "memory cgroup on, iptables 1.8.11, power and temperature good, supply of 5000 mA, NVMe at \
         5.0 GT/s PCIe x1, SMART passed, fsync in 0.0 ms"
    );
    assert!(!fake.exists(LABEL));
}

#[test]
fn a_machine_that_is_no_pi_says_so_and_goes_on() {
    let (fake, node) = (machine(), cluster::node(true, &[]));
    assert_eq!(
        done(&node, &fake),
        "memory cgroup on, no Raspberry Pi firmware to ask about power, fsync in 0.0 ms"
    );
}

#[test]
fn without_kubernetes_or_a_datastore_less_is_looked_at() {
    let mut agent = cluster::node(false, &[12]);
    agent.node.role = Role::Agent;
    let plain = machine::node();
    let fake = machine();
    let words = done(&agent, &fake);
    assert!(!words.contains("fsync"), "{words}");
    fake.hide("/sys/fs/cgroup/cgroup.controllers");
    let words = done(&plain, &fake);
    assert_eq!(words, "no Raspberry Pi firmware to ask about power");
}

#[test]
fn without_the_memory_cgroup_k3s_cannot_start() {
    let (fake, node) = (machine(), cluster::node(true, &[]));
    fake.show("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io pids\n");
    let error = apply(&node, &fake).expect_err("fatal");
    assert!(matches!(error, StageError::Fatal(_)), "{error}");
    assert!(
        error.to_string().contains("cgroup_memory = true"),
        "{error}"
    );
}

#[test]
fn what_is_wrong_comes_first_with_its_cure() {
    type Harm = fn(&Fake);
    let cases: [(Harm, &str); 9] = [
        (
            |fake| fake.install("vcgencmd", |_, _, _| Ok("throttled=0x50000\n".into())),
            "warning: the voltage was too low since the start (0x50000): use",
        ),
        (
            |fake| fake.install("vcgencmd", |_, _, _| Ok("throttled=0x8\n".into())),
            "warning: the processor was slowed down since the start (0x8): give",
        ),
        (
            |fake| {
                let supply = "/proc/device-tree/chosen/power/max_current";
                fake.put(supply, 0o444, 3000_u32.to_be_bytes());
            },
            "warning: the supply offers 3000 mA, so",
        ),
        (
            |fake| {
                fake.install("iptables", |_, _, _| {
                    Ok("iptables v1.8.2 (nf_tables)\n".into())
                })
            },
            "warning: iptables 1.8.2 loses rules",
        ),
        (
            |fake| {
                fake.install("bash", |_, _, _| {
                    Ok(r#"{"smart_status":{"passed":false}}"#.into())
                });
            },
            "warning: nvme0n1 says that it is failing (SMART): save",
        ),
        (
            |fake| {
                fake.install("modprobe", |_, args, _| {
                    assert_eq!(args[..2], ["--dry-run", "--all"]);
                    Err("modprobe: WARNING: Module xt_nat not found in directory /lib/modules/6.12\n\
                         modprobe: WARNING: Module vxlan not found in directory /lib/modules/6.12"
                        .into())
                });
            },
            "warning: the kernel has no vxlan, xt_nat, which K3s needs: use",
        ),
        (
            |fake| fake.append_takes.set(Duration::from_millis(35)),
            "warning: the disk takes 35.0 ms to make a write durable, and etcd",
        ),
        (
            |fake| {
                fake.show(
                    "/sys/dev/block/259:2/uevent",
                    "DEVNAME=mmcblk0p2\nPARTN=2\n",
                )
            },
            "warning: the datastore is on an SD card, which",
        ),
        (
            |fake| {
                fake.show("/sys/dev/block/259:2/uevent", "DEVNAME=sda2\nPARTN=2\n");
                fake.show("/sys/class/block/sda/device/../../../../speed", "480\n");
                fake.uninstall("bash");
            },
            "warning: the disk is connected at 480 Mbit/s: use",
        ),
    ];
    for (harm, words) in cases {
        let (fake, node) = (pi(), cluster::node(true, &[]));
        if words.contains("SD card") {
            fake.uninstall("bash");
        }
        harm(&fake);
        let said = done(&node, &fake);
        assert!(said.starts_with(words), "{said}");
    }
}

#[test]
fn a_slow_disk_is_a_label_unless_its_owner_has_another() {
    let (fake, mut node) = (machine(), cluster::node(true, &[]));
    fake.append_takes.set(Duration::from_millis(11));
    done(&node, &fake);
    assert_eq!(fake.text(LABEL), "node-label+:\n  - \"disk=slow\"\n");
    // It was measured once.
    fake.append_takes.set(Duration::ZERO);
    assert!(done(&node, &fake).contains("11.0 ms"));

    let fake = machine();
    fake.append_takes.set(Duration::from_millis(11));
    node.node.labels.insert("disk".into(), "usb".into());
    assert!(done(&node, &fake).starts_with("warning: the disk takes"));
    assert!(!fake.exists(LABEL));
}

#[test]
fn cut_or_failing_at_every_call_a_slow_disk_gets_its_label() {
    let node = cluster::node(true, &[]);
    let slow = || {
        let fake = machine();
        fake.append_takes.set(Duration::from_millis(20));
        fake
    };
    at_every_call(
        slow,
        |fake| apply(&node, fake),
        |fake, fault| {
            assert!(fake.exists(LABEL), "{fault:?}");
            assert!(!fake.exists("/var/lib/imgbuild/fsync-probe"), "{fault:?}");
        },
    );
}
