//! Where a file may be put on a node.

use node_config::paths;

use crate::config::problem::{Wrong, quoted};

/// Longest file name and path of Linux.
const NAME: usize = 255;
const PATH: usize = 4095;

/// Directories that something else is mounted on when the node runs.
/// `/var/run` is a link to one of them.
const HIDDEN: [&str; 6] = ["/proc", "/sys", "/dev", "/run", "/tmp", "/var/run"];

/// Letters that FAT has no place for in a name.
const FAT_REFUSES: [char; 8] = ['<', '>', ':', '"', '|', '?', '*', '\\'];

/// Files that imgbuild writes itself, and what to do instead.
const OWN: [(&str, &str); 20] = [
    ("/boot/firmware/config.txt", "set `config_txt` instead"),
    ("/boot/firmware/cmdline.txt", "set `kernel_words` instead"),
    (paths::BOOT_MANIFEST, "choose another name"),
    (paths::BOOT_NODE_TXT, "choose another name"),
    (paths::BOOT_REPORT, "choose another name"),
    (paths::BOOT_RELEASE, "choose another name"),
    (paths::BOOT_RELEASE_TXT, "choose another name"),
    (paths::BOOT_SEED, "choose another name"),
    (paths::BOOT_SEED_BUNDLE, "choose another name"),
    ("/etc/hostname", "the node's `name` is in it"),
    ("/etc/hosts", "the cluster's nodes are in it"),
    ("/etc/fstab", "for more mounts, add a .mount unit"),
    ("/etc/machine-id", "set `machine_id` instead"),
    ("/etc/timezone", "set the cluster's `timezone` instead"),
    ("/etc/localtime", "set the cluster's `timezone` instead"),
    (
        "/etc/default/keyboard",
        "set the cluster's `keyboard` instead",
    ),
    ("/etc/passwd", "add to the cluster's [[users]] instead"),
    ("/etc/shadow", "add to the cluster's [[users]] instead"),
    ("/etc/group", "add to the cluster's [[users]] instead"),
    ("/etc/gshadow", "add to the cluster's [[users]] instead"),
];

/// Directories that are the first-boot agent's alone.
const AGENT: [&str; 2] = ["/etc/imgbuild", paths::STATE_DIR];

/// An absolute path in its simplest form, in a place that can hold a file of
/// ours.
pub(crate) fn path(text: &str) -> Result<String, Wrong> {
    let refuse = |message: String, hint: &str| Err(Wrong::new(message, hint));
    let is_part = |part: &str| !matches!(part, "" | "." | "..") && part.len() <= NAME;
    let is_normal = text
        .strip_prefix('/')
        .is_some_and(|rest| rest.split('/').all(is_part));
    if !is_normal || text.len() > PATH || text.contains(char::is_control) {
        let hint = "write one such as \"/etc/motd\", without `.`, `..`, `//` or a final `/`";
        return refuse(
            format!("{} is not the absolute path of a file", quoted(text)),
            hint,
        );
    }
    if let Some(place) = HIDDEN.iter().find(|place| is_at_or_in(text, place)) {
        let message = format!("nothing in {place} is on the disk of a running node");
        return refuse(message, "choose another place, such as /etc or /usr/local");
    }
    if let Some((_, hint)) = OWN.iter().find(|(own, _)| folded(own) == folded(text)) {
        return refuse(format!("{text} is written by imgbuild"), hint);
    }
    if text == paths::AGENT || AGENT.iter().any(|dir| is_at_or_in(text, dir)) {
        return refuse(
            format!("{text} is the first-boot agent's"),
            "choose another place",
        );
    }
    if text == paths::BOOT_DIR || (is_on_fat(text) && !fits_fat(text)) {
        let message = format!(
            "{} cannot be the name of a file on a FAT partition",
            quoted(text)
        );
        let hint = "write a name in /boot/firmware without < > : \" | ? * \\ and a final dot";
        return refuse(message, hint);
    }
    Ok(text.to_owned())
}

/// The path is on the FAT partition.
pub(crate) fn is_on_fat(path: &str) -> bool {
    is_in(path, paths::BOOT_DIR)
}

/// The path is below the directory.
pub(crate) fn is_in(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// The same for two paths that are the same file: FAT ignores case.
pub(crate) fn folded(path: &str) -> String {
    if is_on_fat(path) {
        path.to_lowercase()
    } else {
        path.to_owned()
    }
}

fn is_at_or_in(path: &str, dir: &str) -> bool {
    path == dir || is_in(path, dir)
}

fn fits_fat(path: &str) -> bool {
    !path.contains(FAT_REFUSES) && path.split('/').all(|part| !part.ends_with(['.', ' ']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_absolute_normal_and_free() {
        for good in [
            "/etc/motd",
            "/usr/local/bin/x",
            "/boot/firmware/extra.txt",
            "/etc/ü",
            "/tmpfiles",
        ] {
            assert_eq!(path(good).as_deref(), Ok(good));
        }
        let longer = format!("/{}", "a".repeat(256));
        for bad in [
            "",
            "/",
            "etc/motd",
            "/etc/",
            "//etc",
            "/etc/../x",
            "/./x",
            "/a\nb",
            &longer,
            "/proc/x",
            "/tmp",
            "/etc/hostname",
            "/boot/firmware/CONFIG.TXT",
            "/boot/firmware",
            "/boot/firmware/a:b",
            "/boot/firmware/a./b",
            "/etc/imgbuild/node.toml",
            "/var/lib/imgbuild/done",
        ] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }
}
