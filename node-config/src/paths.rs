//! Where on the node the two programs meet. Absolute paths of the running
//! system; the builder places the same files without the leading mount.

/// What the node is told: a [`crate::NodeConfig`], written by the builder.
pub const NODE_CONFIG: &str = "/etc/imgbuild/node.toml";

/// What a release image carries: written by the builder, read by it again when a
/// node is added.
pub const RELEASE: &str = "/usr/lib/imgbuild/release.json";

/// The agent's program, owned by root.
pub const AGENT: &str = "/usr/lib/imgbuild/firstboot-agent";

/// The unit that starts [`AGENT`] once per boot until it is done.
pub const AGENT_UNIT: &str = "firstboot-agent.service";

/// The agent's own directory, mode 0700.
pub const STATE_DIR: &str = "/var/lib/imgbuild";

/// One JSON object per line: what was tried, and how it ended.
pub const JOURNAL: &str = "/var/lib/imgbuild/journal.jsonl";

/// The agent's [`crate::Report`], kept for good.
pub const REPORT: &str = "/var/lib/imgbuild/report.json";

/// Written last, by the last stage. While it exists the unit does not start.
pub const DONE: &str = "/var/lib/imgbuild/done";

/// While a seed is being applied, and until the start after it: which, and in which
/// boot. Written by the agent and read by nobody else.
pub const SEEDING: &str = "/var/lib/imgbuild/seeding";

/// The package files the image carries, gone once they are installed.
pub const PACKAGES_DIR: &str = "/var/lib/imgbuild/packages";

/// K3s' units do not start before this file is there: the agent makes it, once it
/// is known whom to join.
pub const K3S_MAY_START: &str = "/var/lib/imgbuild/k3s-may-start";

/// Files that K3s serves to everybody, its installer of charts among them.
pub const K3S_CHARTS: &str = "/var/lib/rancher/k3s/server/static/charts";

/// What hands the cluster over to Argo CD, on the server that founds it: K3s applies
/// them in this order, at every start. With the same name and `.skip` behind it, it
/// does not.
pub const K3S_HANDOVER: [&str; 3] = [
    "/var/lib/rancher/k3s/server/manifests/argocd-1-chart.yaml",
    "/var/lib/rancher/k3s/server/manifests/argocd-2-projects.yaml",
    "/var/lib/rancher/k3s/server/manifests/argocd-3-root.yaml",
];

/// The credential of the repository that it is handed over with, if that is not open to
/// all: Argo CD's own Secret, which K3s applies too, and the agent reads.
pub const K3S_REPOSITORY: &str = "/var/lib/rancher/k3s/server/manifests/argocd-4-repository.json";

/// Where the data partition is mounted: Longhorn's own place.
pub const DATA_DIR: &str = "/var/lib/longhorn";

/// The unit that mounts it. The builder writes it, and the agent enables it once
/// there is something to mount.
pub const DATA_UNIT: &str = "var-lib-longhorn.mount";

/// Where the FAT boot partition is mounted (Raspberry Pi OS, bookworm and on).
pub const BOOT_DIR: &str = "/boot/firmware";

/// A copy of [`REPORT`] that any laptop can read from the FAT partition.
pub const BOOT_REPORT: &str = "/boot/firmware/report.json";

/// What this image is, for people: on the FAT partition.
pub const BOOT_NODE_TXT: &str = "/boot/firmware/NODE.txt";

/// What a release image is, for people: on the FAT partition.
pub const BOOT_RELEASE_TXT: &str = "/boot/firmware/RELEASE.txt";

/// The bytes of [`RELEASE`] again, on the FAT partition: by it `imgbuild seed` knows
/// the disk.
pub const BOOT_RELEASE: &str = "/boot/firmware/release.json";

/// A node for a release disk, a [`crate::Seed`]. Written after [`BOOT_SEED_BUNDLE`]:
/// while it is not there, there is no seed.
pub const BOOT_SEED: &str = "/boot/firmware/imgbuild-seed.json";

/// What the seed changes: a [`crate::seed::Index`], then what the files hold.
pub const BOOT_SEED_BUNDLE: &str = "/boot/firmware/imgbuild-seed.bin";

/// What this image is, for programs: on the FAT partition.
pub const BOOT_MANIFEST: &str = "/boot/firmware/imgbuild.json";

/// The port of the page that shows [`REPORT`] to the network during the first boot.
pub const PAGE_PORT: u16 = 8470;

/// Where programs find the report on that page.
pub const PAGE_REPORT: &str = "/report.json";

/// The path inside the boot file system of a path on the running node, `/` for
/// [`BOOT_DIR`] itself; none for a path of another file system. Of a path as it
/// is written: links and `..` in it are not followed.
pub fn in_boot(path: &str) -> Option<&str> {
    match path.strip_prefix(BOOT_DIR)? {
        "" => Some("/"),
        inner if inner.starts_with('/') => Some(inner),
        _ => None,
    }
}

/// Whether a path is absolute with no empty, `.` or `..` component.
pub fn is_normal(path: &str) -> bool {
    path.strip_prefix('/').is_some_and(|rest| {
        rest.split('/')
            .all(|part| !matches!(part, "" | "." | "..") && !part.contains('\0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_on_the_boot_partition() {
        for (path, inner) in [
            ("/boot/firmware/a/b.txt", Some("/a/b.txt")),
            ("/boot/firmware/", Some("/")),
            ("/boot/firmware", Some("/")),
            ("/boot/firmware-old/a", None),
            ("/boot", None),
            ("boot/firmware/a", None),
            ("/etc/boot/firmware/a", None),
        ] {
            assert_eq!(in_boot(path), inner, "{path}");
        }
        for path in [
            BOOT_REPORT,
            BOOT_NODE_TXT,
            BOOT_RELEASE_TXT,
            BOOT_RELEASE,
            BOOT_MANIFEST,
            BOOT_SEED,
            BOOT_SEED_BUNDLE,
        ] {
            assert!(in_boot(path).is_some(), "{path}");
        }
    }
}
