//! A node with packages, and one whose base has them already.

use node_config::{NodeConfig, Package, paths};

use super::super::memory::MemoryBase;
use super::super::*;
use super::plans::plan;
use super::{bases, content, rendered_with};

fn package(name: &str, version: &str) -> Package {
    Package {
        name: name.into(),
        version: version.into(),
        architecture: "arm64".into(),
        file: format!("{name}_{version}_arm64.deb"),
        sha256: "5c9c".repeat(16),
    }
}

/// What the packages add to an overlay, as text; `node.toml` and the documents
/// with the image's id aside.
fn added(packages: &[Package], base: &MemoryBase) -> Vec<String> {
    let lines = |packages: &[Package], base: &MemoryBase| {
        let rendered = rendered_with(packages, &plan(), base).expect("an overlay");
        let all = rendered.overlay.all();
        let lines = all.map(|(part, path, change)| format!("{part}:{path} {change}"));
        lines.collect::<Vec<_>>()
    };
    let without = lines(&[], &bases::trixie());
    let mut lines = lines(packages, base);
    let id = ["/NODE.txt", "/imgbuild.json", "/etc/imgbuild/node.toml"];
    lines.retain(|line| !without.contains(line) && !id.iter().any(|path| line.contains(path)));
    lines
}

const ISCSI: [&str; 5] = [
    "root:/etc/iscsi/initiatorname.iscsi file 0600 0:0 145 bytes",
    "root:/etc/systemd/system/iscsid.service.d/50-imgbuild.conf file 0644 0:0 73 bytes",
    "root:/etc/systemd/system/iscsid.socket.d/50-imgbuild.conf file 0644 0:0 28 bytes",
    "root:/etc/systemd/system/multipathd.service link -> /dev/null",
    "root:/etc/systemd/system/multipathd.socket link -> /dev/null",
];

#[test]
fn a_node_with_open_iscsi_gets_its_own_initiator() {
    let dir = "root:/var/lib/imgbuild/packages dir 0700 0:0";
    let packages = [package("open-iscsi", "2.1.11-1")];
    let wanted = [&ISCSI[..], &[dir]].concat();
    assert_eq!(added(&packages, &bases::trixie()), wanted);
    assert_eq!(
        added(&[package("nfs-common", "1:2.8.3-1")], &bases::trixie()),
        [dir]
    );
    let installed = [("/var/lib/dpkg/info/open-iscsi.list", "")];
    let base = bases::trixie().files(Part::Root, &installed);
    assert_eq!(added(&[], &base), ISCSI);
}

#[test]
fn the_initiators_name_is_the_nodes_own() {
    let name = |node: &str| {
        let mut plan = plan();
        plan.node.name = node.into();
        let packages = [package("open-iscsi", "2.1.11-1")];
        let rendered = rendered_with(&packages, &plan, &bases::trixie()).expect("an overlay");
        content(
            &rendered.overlay,
            Part::Root,
            "/etc/iscsi/initiatorname.iscsi",
        )
    };
    // Targets know nodes by it: it may never change.
    let line = "\nInitiatorName=iqn.1993-08.org.debian:01:05fe38b0beb4593da65dc773027c8248\n";
    assert!(name("pi-1").ends_with(line), "{}", name("pi-1"));
    assert_ne!(name("pi-1"), name("pi-2"));
}

#[test]
fn the_agent_is_told_in_their_order() {
    let packages = ["zlib", "open-iscsi", "nfs-common"].map(|name| package(name, "1:2.0-1"));
    let rendered = rendered_with(&packages, &plan(), &bases::trixie()).expect("an overlay");
    let text = content(&rendered.overlay, Part::Root, paths::NODE_CONFIG);
    assert_eq!(NodeConfig::parse(&text).expect("ours").packages, packages);
}

#[test]
fn what_cannot_be_installed_is_refused() {
    for (package, words) in [
        (package("open-iscsi", "2.1.12-1"), "cannot attach Longhorn"),
        (package("../x", "1"), "is not a Debian package's name"),
    ] {
        let error = rendered_with(&[package], &plan(), &bases::trixie()).expect_err(words);
        assert!(format!("{error:#}").contains(words), "{error:#}");
    }
    let mut plan = plan();
    plan.profile.enable_units.push("multipathd.service".into());
    let unit = (
        "/usr/lib/systemd/system/multipathd.service",
        "[Install]\nWantedBy=a.target\n",
    );
    let base = bases::trixie().files(Part::Root, &[unit]);
    let error = rendered_with(&[package("open-iscsi", "2.1.11-1")], &plan, &base);
    let words = format!("{:#}", error.expect_err("both"));
    assert!(words.contains("both enabled and masked"), "{words}");
}
