//! The base's own wired profiles, out of the way: one without a priority that
//! fits the interface would be as good as ours to NetworkManager, and it takes
//! the one that was used last.

use anyhow::{Result, ensure};

use super::super::{BaseView, Kind, Overlay, Part};

/// Where NetworkManager reads keyfiles from, below `/run` aside.
const CONNECTIONS: [&str; 2] = [
    "/etc/NetworkManager/system-connections",
    "/usr/lib/NetworkManager/system-connections",
];

/// Where netplan reads from, which renders keyfiles into `/run` at every boot.
/// Raspberry Pi OS' build of NetworkManager keeps its own profiles here too, as
/// `90-NM-<uuid>.yaml`, and cloud-init its `50-cloud-init.yaml`.
const NETPLANS: [&str; 2] = ["/etc/netplan", "/usr/lib/netplan"];

/// Removes profiles for wired interfaces and keeps all others, the one that
/// makes NetworkManager netplan's renderer among them.
pub(super) fn remove_wired(overlay: &mut Overlay, base: &dyn BaseView) -> Result<()> {
    for (path, text) in texts(base, &CONNECTIONS)? {
        if is_wired(&text) {
            overlay.remove(Part::Root, &path);
        }
    }
    let plans = texts(base, &NETPLANS)?;
    for (path, text) in plans.iter().filter(|(path, _)| path.ends_with(".yaml")) {
        if !defines(text, "ethernets") {
            continue;
        }
        // To take one section out of a YAML file takes a parser for it.
        ensure!(
            !defines(text, "wifis") && !defines(text, "modems"),
            "the base's {path} sets up a wired interface beside another one, and the wired one is \
             set up by imgbuild: move the other one into a file of its own"
        );
        overlay.remove(Part::Root, path);
    }
    Ok(())
}

/// The files in some directories, with their paths.
fn texts(base: &dyn BaseView, dirs: &[&str]) -> Result<Vec<(String, String)>> {
    let mut texts = Vec::new();
    for dir in dirs {
        for name in base.names(dir)? {
            let path = format!("{dir}/{name}");
            if base.at(&path)? == Some(Kind::Dir) {
                continue;
            }
            if let Some(text) = base.text(Part::Root, &path)? {
                texts.push((path, text));
            }
        }
    }
    Ok(texts)
}

/// Whether a netplan file has the section. The word as a key, in either of
/// YAML's styles; what is not a key is no name of a device or network either.
fn defines(netplan: &str, section: &str) -> bool {
    netplan
        .lines()
        .filter_map(|line| line.split('#').next())
        .flat_map(|line| line.split(['{', ',']))
        .filter_map(|entry| entry.split_once(':'))
        .any(|(key, _)| key.trim().trim_matches(['"', '\'']) == section)
}

/// Whether a keyfile describes a wired connection, under either of the type's names.
fn is_wired(keyfile: &str) -> bool {
    let mut section = "";
    for line in keyfile.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        } else if section == "[connection]"
            && let Some(("type", kind)) = line.split_once('=').map(|(k, v)| (k.trim(), v.trim()))
        {
            return matches!(kind, "ethernet" | "802-3-ethernet");
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::super::memory::MemoryBase;
    use super::*;

    #[test]
    fn wired_keyfiles_are_told_by_their_type() {
        for (text, wired) in [
            ("[connection]\nid=x\ntype=ethernet\n", true),
            (
                "# made by nmcli\n[connection]\ntype = 802-3-ethernet\n",
                true,
            ),
            ("[connection]\ntype=wifi\n", false),
            ("[vpn]\ntype=ethernet\n", false),
            ("", false),
        ] {
            assert_eq!(is_wired(text), wired, "{text}");
        }
    }

    #[test]
    fn wired_profiles_go_and_others_stay() {
        let keyfile = "[connection]\ntype=ethernet\n";
        let base = MemoryBase::default().files(
            Part::Root,
            &[
                ("/etc/NetworkManager/system-connections/a", keyfile),
                ("/usr/lib/NetworkManager/system-connections/b", keyfile),
                (
                    "/usr/lib/NetworkManager/system-connections/wg",
                    "[connection]\ntype=wireguard\n",
                ),
                (
                    "/usr/lib/netplan/00-network-manager-all.yaml",
                    "network:\n  version: 2\n  renderer: NetworkManager # no ethernets:\n",
                ),
                (
                    "/etc/netplan/50-cloud-init.yaml",
                    "network:\n  version: 2\n  ethernets:\n    eth0:\n      dhcp4: true\n",
                ),
                (
                    "/etc/netplan/60-flow.yaml",
                    "network: {version: 2, \"ethernets\": {eth0: {dhcp4: true}}}\n",
                ),
                ("/etc/netplan/60-flow.yaml.bak", "ethernets:\n"),
                (
                    "/etc/netplan/90-NM-1.yaml",
                    "network:\n  wifis:\n    wlan0: {}\n",
                ),
                ("/etc/netplan/old/x.yaml", "ethernets:\n"),
            ],
        );
        let mut overlay = Overlay::default();
        remove_wired(&mut overlay, &base).expect("removes");
        let removed: Vec<_> = overlay.changes(Part::Root).map(|(path, _)| path).collect();
        assert_eq!(
            removed,
            [
                "/etc/NetworkManager/system-connections/a",
                "/etc/netplan/50-cloud-init.yaml",
                "/etc/netplan/60-flow.yaml",
                "/usr/lib/NetworkManager/system-connections/b",
            ]
        );

        let both = "network:\n  ethernets: {}\n  wifis: {}\n";
        let base = base.files(Part::Root, &[("/etc/netplan/10-both.yaml", both)]);
        let error = remove_wired(&mut overlay, &base).expect_err("both in one");
        assert!(error.to_string().contains("10-both.yaml"), "{error}");
    }
}
