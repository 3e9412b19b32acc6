//! A small Raspberry Pi on [`Fake`]: the files and programs the stages touch,
//! each program with what it leaves behind when the power goes.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use base64ct::{Base64, Encoding};
use node_config::disk::Extent;
use node_config::{NodeConfig, paths};

use super::{cluster, disk, dpkg};
use crate::system::System;
use crate::system::fake::{Extent as Done, Fake};

/// The baked host keys.
pub(crate) const ED25519: &str = "/etc/ssh/ssh_host_ed25519_key";
/// See [`ED25519`].
pub(crate) const RSA: &str = "/etc/ssh/ssh_host_rsa_key";

/// `ip -json addr show` when all is well.
pub(crate) const ETH0_UP: &str = r#"[{"ifname":"lo","flags":["LOOPBACK"],"addr_info":[]},{"ifname":"eth0","address":"dc:a6:32:01:02:03","flags":["BROADCAST","UP","LOWER_UP"],"addr_info":[{"family":"inet","local":"192.168.4.11","prefixlen":24},{"family":"inet6","local":"fe80::1","prefixlen":64}]}]"#;

/// `ip -json -4 route show default` when all is well.
pub(crate) const DEFAULT_ROUTE: &str =
    r#"[{"dst":"default","gateway":"192.168.4.1","dev":"eth0","metric":100}]"#;

const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";

/// How the router behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gateway {
    /// As most do.
    Pings,
    /// It drops pings.
    ArpOnly,
    /// It is off.
    Silent,
}

/// What the node is told. From text, as a node reads it: a field added to the
/// contract later changes nothing here.
pub(crate) fn node() -> NodeConfig {
    let host_key = |path: &str, kind: &str| {
        let public = key_pair(kind, path.as_bytes()).1;
        format!("[[host_keys]]\npath = {path:?}\npublic = {public:?}\n")
    };
    let (ed25519, rsa) = (host_key(ED25519, "ssh-ed25519"), host_key(RSA, "ssh-rsa"));
    let packages = dpkg::as_written();
    let text = format!(
        r#"
version = 1
image_id = "6f2fd5b0-3c5b-5f0e-9f43-0c8f9c1f7a10"
epoch = 1789999999
cluster = {{ name = "home", id = "0d5f6a52-6a3e-4f39-9a2c-0f2d3b7c1e11" }}
node = {{ name = "pi-1", role = "server" }}
network = {{ interface = "eth0", address = "192.168.4.11/24", gateway = "192.168.4.1", dns = ["192.168.4.1", "9.9.9.9"], ntp = ["192.168.4.1"] }}
{ed25519}
{rsa}
{packages}"#
    );
    let mut node = NodeConfig::parse(&text).expect("a node configuration");
    node.disk = Some(disk::wanted(
        Extent::Rest,
        Some(Extent::Fixed(20 * disk::GIB)),
    ));
    node
}

/// What that node is told.
pub(crate) fn node_of(fake: &Fake) -> NodeConfig {
    NodeConfig::parse(&fake.text(paths::NODE_CONFIG)).expect("a node configuration")
}

/// Tells it something else.
pub(crate) fn tell(fake: &Fake, node: &NodeConfig) {
    fake.put(paths::NODE_CONFIG, 0o644, node.render());
}

/// The node as baked, its network up.
pub(crate) fn healthy() -> Fake {
    let fake = Fake::new();
    fake.put("/etc/hostname", 0o644, "pi-1\n");
    fake.put(
        "/etc/machine-id",
        0o444,
        "0f0d6a526a3e4f399a2c0f2d3b7c1e11\n",
    );
    for (path, kind) in [(ED25519, "ssh-ed25519"), (RSA, "ssh-rsa")] {
        let (private, public) = key_pair(kind, path.as_bytes());
        fake.put(path, 0o600, private);
        fake.put(&format!("{path}.pub"), 0o644, format!("{public}\n"));
    }
    fake.put("/proc/sys/kernel/hostname", 0o644, "pi-1\n");
    fake.put("/proc/sys/kernel/random/boot_id", 0o444, "b1\n");
    fake.put("/sys/class/tty/console/active", 0o444, "ttyAMA10 tty1\n");
    fake.put("/boot/firmware/config.txt", 0o755, "[all]\n");

    fake.install("ssh-keygen", ssh_keygen);
    fake.install("systemctl", systemctl);
    fake.install("systemd-machine-id-setup", machine_id_setup);
    fake.install("hostnamectl", hostnamectl);
    fake.install("nmcli", |_, _, _| {
        let state = "GENERAL.STATE:30 (disconnected)\n";
        let reason = "GENERAL.REASON:0 (No reason given)\nGENERAL.CONNECTION:\n";
        Ok(format!("{state}{reason}"))
    });
    set_link(&fake, ETH0_UP);
    set_gateway(&fake, Gateway::Pings);
    fake.install("date", date);
    set_time_server(&fake, Some(Duration::ZERO));
    for server in node().network.dns {
        serve_dns(&fake, server);
    }
    disk::install_done(&fake);
    dpkg::install(&fake);
    tell(&fake, &node());
    fake
}

/// What `ip -json addr show` answers from now on.
pub(crate) fn set_link(fake: &Fake, links: &str) {
    fake.put("/run/links", 0o644, links);
    fake.install("ip", |fake, args, _| Ok(ip(fake, args, "/run/links")));
}

/// The link is down until then.
pub(crate) fn link_comes_up_after(fake: &Fake, delay: Duration) {
    let down = ETH0_UP.replace("LOWER_UP", "NO-CARRIER");
    fake.put("/run/links-down", 0o644, down);
    fake.install("ip", move |fake, args, _| {
        let up = fake.now() >= delay;
        let links = if up { "/run/links" } else { "/run/links-down" };
        Ok(ip(fake, args, links))
    });
}

/// How the router behaves from now on.
pub(crate) fn set_gateway(fake: &Fake, gateway: Gateway) {
    let state = match gateway {
        Gateway::Pings | Gateway::ArpOnly => "REACHABLE",
        Gateway::Silent => "FAILED",
    };
    let row = format!(r#"[{{"dst":"192.168.4.1","state":["{state}"]}}]"#);
    fake.put("/run/neighbours", 0o644, row);
    fake.install("ping", move |_, _, _| match gateway {
        Gateway::Pings => Ok(String::new()),
        Gateway::ArpOnly | Gateway::Silent => Err("1 packet lost".into()),
    });
}

/// A name server that refuses everything, which is an answer.
pub(crate) fn serve_dns(fake: &Fake, server: Ipv4Addr) {
    fake.serve(SocketAddrV4::new(server, 53), |question| {
        let mut answer = question.to_vec();
        answer[2] |= 0x80;
        answer[3] |= 5;
        Some(answer)
    });
}

/// No name server any more.
pub(crate) fn silence_dns(fake: &Fake) {
    for server in node().network.dns {
        fake.serve(SocketAddrV4::new(server, 53), |_| None);
    }
}

/// When after the boot a time server answers, if one does.
pub(crate) fn set_time_server(fake: &Fake, after: Option<Duration>) {
    if after == Some(Duration::ZERO) {
        fake.put(SYNCHRONIZED, 0o644, "");
    } else {
        fake.delete(SYNCHRONIZED);
    }
    fake.install("timedatectl", move |fake, _, _| {
        let answered = after.is_some_and(|after| fake.now() >= after);
        Ok(if answered { "yes\n" } else { "no\n" }.into())
    });
}

/// No ping, as in a lean base: the gateway is looked up once it is nudged.
pub(crate) fn uninstall_ping(fake: &Fake) {
    fake.uninstall("ping");
    fake.install("ip", |fake, args, _| {
        let answer = ip(fake, args, "/run/links");
        let early = args.iter().any(|arg| arg == "neigh") && fake.nudged.borrow().is_empty();
        Ok(if early { "[]".into() } else { answer })
    });
}

/// A private key file and its public line. The same seed gives the same key.
pub(crate) fn key_pair(kind: &str, seed: &[u8]) -> (String, String) {
    let string = |bytes: &[u8]| [&length(bytes)[..], bytes].concat();
    let blob = [string(kind.as_bytes()), string(seed)].concat();
    let mut secret = [&[9; 8][..], &blob, &string(b"secret"), &string(b"")].concat();
    for byte in 1..=(8 - secret.len() % 8) % 8 {
        secret.push(u8::try_from(byte).expect("below 8"));
    }
    let body = [
        &b"openssh-key-v1\0"[..],
        &string(b"none"),
        &string(b"none"),
        &string(b""),
        &[0, 0, 0, 1],
        &string(&blob),
        &string(&secret),
    ]
    .concat();
    let body = Base64::encode_string(&body);
    let lines: Vec<&str> = body
        .as_bytes()
        .chunks(70)
        .map(|line| std::str::from_utf8(line).expect("ASCII"))
        .collect();
    let private = format!(
        "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n",
        lines.join("\n")
    );
    (private, format!("{kind} {}", Base64::encode_string(&blob)))
}

fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).expect("short").to_be_bytes()
}

fn ip(fake: &Fake, args: &[String], links: &str) -> String {
    match args
        .iter()
        .map(String::as_str)
        .find(|arg| !arg.starts_with('-'))
    {
        Some("addr") => fake.text(links),
        Some("route") => DEFAULT_ROUTE.into(),
        _ => fake.text("/run/neighbours"),
    }
}

/// Makes the key a test can expect; torn, half a private key and no public one.
fn ssh_keygen(fake: &Fake, args: &[String], extent: Done) -> Result<String, String> {
    let after = |flag: &str| {
        let at = args.iter().position(|arg| arg == flag).expect("flag");
        args[at + 1].as_str()
    };
    let (kind, path) = (after("-t"), after("-f"));
    if !fake.text(path).is_empty() {
        return Err(format!("{path} already exists. Overwrite (y/n)?"));
    }
    let (private, public) = key_pair(&format!("ssh-{kind}"), b"made anew");
    match extent {
        Done::Half => fake.put(path, 0o600, &private[..private.len() / 2]),
        Done::Whole => {
            fake.put(path, 0o600, private);
            fake.put(&format!("{path}.pub"), 0o644, format!("{public} \n"));
        }
    }
    Ok(String::new())
}

fn date(fake: &Fake, args: &[String], extent: Done) -> Result<String, String> {
    let seconds = args[1].strip_prefix("--set=@").and_then(|s| s.parse().ok());
    if extent == Done::Whole {
        fake.set_clock(seconds.expect("a time"));
    }
    Ok(String::new())
}

/// systemd, as far as it is asked.
pub(crate) fn systemctl(fake: &Fake, args: &[String], extent: Done) -> Result<String, String> {
    if let [what, unit] = args
        && unit == paths::DATA_UNIT
    {
        return disk::systemctl(fake, what, extent);
    }
    assert_eq!(args, ["--no-block", "restart", "ssh.service"]);
    let restarts: u32 = fake.text("/run/sshd-restarts").parse().unwrap_or(0);
    fake.put("/run/sshd-restarts", 0o644, (restarts + 1).to_string());
    Ok(String::new())
}

/// Torn, it leaves an empty file.
fn machine_id_setup(fake: &Fake, _: &[String], extent: Done) -> Result<String, String> {
    let id = match extent {
        Done::Half => "",
        Done::Whole => "1e11d3b7c0f2d9a2c4f396a3e0d5f6a5\n",
    };
    fake.put("/etc/machine-id", 0o444, id);
    Ok(String::new())
}

/// Torn, it has set one of the two names.
fn hostnamectl(fake: &Fake, args: &[String], extent: Done) -> Result<String, String> {
    let name = format!("{}\n", args[1]);
    fake.put("/etc/hostname", 0o644, &name);
    if extent == Done::Whole {
        fake.put("/proc/sys/kernel/hostname", 0o644, &name);
    }
    Ok(String::new())
}

/// The machine starts: what lived in memory is gone.
pub(crate) fn restart(fake: &Fake) {
    let kept = fake.text("/etc/hostname");
    fake.put("/proc/sys/kernel/hostname", 0o644, kept);
    fake.put("/proc/sys/kernel/random/boot_id", 0o444, "b2\n");
    fake.delete("/run/sshd-restarts");
    fake.nudged.take();
    for what in ["dns", "time"] {
        fake.remove(&format!("/run/imgbuild/no-{what}"))
            .expect("in memory");
    }
    disk::start(fake);
    dpkg::restart(fake);
    cluster::restart(fake);
}
