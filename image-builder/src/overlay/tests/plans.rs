//! Two plans: a server with defaults, a worker with everything else.

use ipnet::Ipv4Net;
use uuid::Uuid;

use crate::plan::*;

fn text<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a valid value")
}

fn user(name: &str, sudo: bool) -> User {
    User {
        name: name.into(),
        ssh_keys: vec![format!("ssh-ed25519 AAAA {name}@laptop")],
        sudo,
    }
}

/// A server with defaults.
pub(in crate::overlay) fn plan() -> NodePlan {
    let address: Ipv4Net = text("192.168.4.11/24");
    NodePlan {
        cluster: Cluster {
            name: "home".into(),
            id: Uuid::from_u128(0x0d5f_6a52_6a3e_4f39_9a2c_0f2d_3b7c_1e11),
        },
        network: Network {
            subnet: address.trunc(),
            gateway: [192, 168, 4, 1].into(),
            dns: vec![[192, 168, 4, 1].into(), [9, 9, 9, 9].into()],
            search: vec!["home.arpa".into()],
            ntp: vec!["192.168.4.1".into()],
        },
        users: vec![user("admin", true)],
        locale: Locale {
            lang: "C.UTF-8".into(),
            timezone: "Etc/UTC".into(),
            keyboard: "us".into(),
        },
        k3s: None,
        gitops: None,
        node: Node {
            name: "pi-1".into(),
            address,
            role: Role::Server,
            mac: None,
            taints: Vec::new(),
            labels: Default::default(),
        },
        profile: Profile {
            name: "pi5-ssd".into(),
            base: BaseRef {
                location: BaseLocation::File("base.img".into()),
                sha256: None,
                signer: None,
            },
            disk: Disk {
                root: Extent::Rest,
                data: None,
            },
            firmware: Firmware {
                page_size: PageSize::SixteenKib,
                cgroup_memory: true,
                usb_max_current: true,
                usb_quirks: vec![],
                pcie_gen: None,
                nvme_power: NvmePower::Default,
                config_txt: vec![],
                kernel_words: vec![],
            },
            wifi_country: None,
            machine_id: MachineId::Derived,
            journal_max: Size::mib(200),
            packages: vec![],
            artifacts: vec![],
            files: vec![],
            enable_units: vec![],
            mask_units: vec![],
        },
    }
}

pub(in crate::overlay) fn file(path: &str, content: &str) -> ExtraFile {
    ExtraFile {
        path: path.into(),
        mode: 0o644,
        owner: (0, 0),
        content: content.as_bytes().into(),
    }
}

/// A worker with everything that [`plan`] leaves out.
pub(in crate::overlay) fn busy_plan() -> NodePlan {
    let mut plan = plan();
    plan.users.push(user("guest", false));
    plan.locale = Locale {
        lang: "en_GB.UTF-8".into(),
        timezone: "Europe/Berlin".into(),
        keyboard: "de".into(),
    };
    plan.node.role = Role::Agent;
    plan.node.mac = Some(MacAddress([0xdc, 0xa6, 0x32, 1, 2, 3]));
    plan.node.labels.insert("disk".into(), "nvme".into());
    plan.network.ntp.clear();
    let profile = &mut plan.profile;
    profile.disk = Disk {
        root: Extent::Fixed(Size::mib(32 << 10)),
        data: Some(Extent::Rest),
    };
    profile.firmware = Firmware {
        page_size: PageSize::FourKib,
        cgroup_memory: false,
        usb_max_current: false,
        usb_quirks: vec!["152d:0578:u".into(), "174c:55aa:u".into()],
        pcie_gen: Some(3),
        nvme_power: NvmePower::Safe,
        config_txt: vec!["dtparam=fan_temp0=60000".into()],
        kernel_words: vec!["psi=1".into()],
    };
    profile.wifi_country = Some("DE".into());
    profile.machine_id = MachineId::FirstBoot;
    profile.files = vec![
        file("/boot/firmware/hello.txt", "hello\n"),
        file(
            "/etc/systemd/system/own.service",
            "[Install]\nWantedBy=multi-user.target\nAlso=fstrim.timer\n",
        ),
        ExtraFile {
            mode: 0o600,
            ..file("/etc/own/password", "hunter2")
        },
        ExtraFile {
            owner: (1000, 1000),
            ..file("/home/admin/.config/own/own.conf", "")
        },
    ];
    profile.enable_units = vec!["own.service".into()];
    profile.mask_units = vec!["bluetooth.service".into(), "userconfig.service".into()];
    plan
}
