//! A canary in every secret: all commands on a cluster with secrets, and then a
//! search for each of them in whatever was said, written or left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use aho_corasick::AhoCorasick;
use serde_json::Value;

use crate::k3s::lab_with_k3s;
use crate::lab::{Lab, stderr};

/// Shorter pieces may be in anything by chance.
const SHORTEST: usize = 16;

/// The secrets of a cluster, as pieces that must not be found.
pub(crate) struct Canaries {
    /// The name of the secret each pattern belongs to.
    names: Vec<String>,
    search: AhoCorasick,
}

impl Canaries {
    /// Everything secret in the lab's file, each line of a key by itself.
    pub(crate) fn of(lab: &Lab) -> Self {
        let list: Value = serde_json::from_str(&secrets(lab, &["show", "--json"])).expect("JSON");
        let (mut names, mut pieces) = (Vec::new(), Vec::new());
        for entry in list["entries"].as_array().expect("entries") {
            if entry["secret"] != true {
                continue;
            }
            let name = entry["name"].as_str().expect("a name");
            let content = secrets(lab, &["export", name]);
            let before = pieces.len();
            for line in content.lines() {
                // Of a token, the part that is not the hash of the CA.
                let piece = line.rsplit(':').next().unwrap_or(line);
                // An OpenSSH key begins with what all of its kind begin with.
                let same_in_all = ["-----", "b3BlbnNzaC1rZXktdjE"];
                if piece.len() < SHORTEST || same_in_all.iter().any(|is| piece.starts_with(is)) {
                    continue;
                }
                names.push(name.to_owned());
                pieces.push(piece.to_owned());
            }
            assert!(pieces.len() > before, "{name} has nothing to look for");
        }
        let search = AhoCorasick::new(pieces).expect("patterns");
        Self { names, search }
    }

    /// How often pieces of each secret are in there.
    pub(crate) fn count(&self, bytes: impl std::io::Read) -> BTreeMap<&str, usize> {
        let mut found = BTreeMap::new();
        for hit in self.search.stream_find_iter(bytes) {
            let name = &self.names[hit.expect("read").pattern().as_usize()];
            *found.entry(name.as_str()).or_default() += 1;
        }
        found
    }

    /// Fails if a secret is in there.
    pub(crate) fn absent(&self, place: &str, bytes: impl std::io::Read) {
        let found = self.count(bytes);
        assert!(found.is_empty(), "{place} holds {found:?}");
    }
}

fn secrets(lab: &Lab, args: &[&str]) -> String {
    let mut command = lab.imgbuild();
    command
        .args(["secrets", "--identity"])
        .arg(lab.path("key"))
        .args(args);
    let output = command.output().expect("imgbuild");
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).expect("text")
}

/// What people do with a cluster, good and bad; `KEY` opens the secrets.
const LINES: &[&str] = &[
    "check",
    "explain pi-1",
    "explain pi-2",
    "node list",
    "node list --json",
    "node show pi-1",
    "secrets --identity KEY show",
    "secrets --identity WRONG show",
    "secrets --identity KEY export no-such-secret",
    "lock",
    "fetch",
    "cache list",
    "build pi-1",
    "build pi-1 --identity WRONG",
    "build pi-1 --identity KEY",
    "build pi-2 --identity KEY",
    "build pi-2 --identity KEY --json --force",
    "build pi-9 --identity KEY",
    "write pi-1 /dev/null --identity KEY",
    "seed pi-1 out --release no-such.img.zst --identity KEY",
    "inspect out/pi-1.img",
    "inspect out/pi-1.img --json",
    "inspect out/pi-1.img ls /etc/rancher",
    "inspect out/pi-1.img cat /etc/rancher/k3s/config.yaml",
    "inspect out/pi-1.img cat /etc/imgbuild/node.toml",
    "export hosts",
    "export dnsmasq",
    "export zone",
    "export ansible",
    "export ssh-config",
    "export known-hosts --identity KEY",
    "kubeconfig --identity KEY --output kubeconfig",
    "node add pi-3",
    "node replace pi-2 --identity KEY",
    "secrets --identity KEY rekey --recipient KEY.pub",
    "cache prune",
];

#[test]
fn no_secret_is_where_it_does_not_belong() {
    let Some(lab) = lab_with_k3s() else { return };
    let cluster = lab.path("cluster.toml");
    let text = fs::read_to_string(&cluster).expect("cluster.toml");
    let gitops = "\n[gitops]\nrepository = \"https://git.home.arpa/a.git\"\n";
    fs::write(&cluster, text + gitops).expect("cluster.toml");
    let token = tempfile::NamedTempFile::new().expect("token");
    fs::write(token.path(), "canary-0123456789-token\n").expect("token");
    let from = token.path().to_str().expect("UTF-8");
    secrets(&lab, &["set", "repository", "--from", from]);
    let canaries = Canaries::of(&lab);
    let scratch = lab.path("tmp");
    fs::create_dir(&scratch).expect("tmp");
    fs::write(lab.path("wrong"), "AGE-SECRET-KEY-1NONE\n").expect("wrong");
    let mut codes = BTreeSet::new();
    for line in LINES {
        let mut command = lab.imgbuild();
        command.current_dir(lab.dir.path()).env("TMPDIR", &scratch);
        command.args(line.split(' ').map(|word| match word {
            "KEY" => lab.path("key"),
            "KEY.pub" => lab.path("key.pub"),
            "WRONG" => lab.path("wrong"),
            word => PathBuf::from(word),
        }));
        let output = command.output().expect("imgbuild");
        let code = output.status.code().expect("an exit code");
        assert_ne!(code, 2, "`{line}` is no command: {}", stderr(&output));
        codes.insert(code);
        canaries.absent(line, &output.stdout[..]);
        canaries.absent(line, &output.stderr[..]);
    }
    assert!(
        codes.len() > 3,
        "good and bad ends are among them: {codes:?}"
    );

    let mut files = Vec::new();
    walk(lab.dir.path(), &mut files);
    assert!(files.len() > 20, "{files:?}");
    for path in files {
        let file = File::open(&path).expect("file");
        if path.extension().is_none_or(|end| end != "img") {
            canaries.absent(&path.display().to_string(), file);
        }
    }

    // In images, what the node needs; each once, and the file is its owner's alone.
    let founder = in_image(&canaries, &lab.path("out/pi-1.img"));
    assert!(founder.contains("server-token") && founder.contains("agent-token"));
    assert!(founder.contains("nodes/pi-1/password") && founder.contains("tls/service.key"));
    // It founds, and hands nothing over.
    let foreign = |name: &&String| {
        let others = ["ca/", "nodes/pi-2/", "repository/"];
        others.iter().any(|other| name.starts_with(other))
    };
    assert_eq!(founder.iter().find(foreign), None);
    let own = ["password", "ssh_host_ed25519_key", "ssh_host_rsa_key"];
    let mut agent: BTreeSet<String> = own.map(|what| format!("nodes/pi-2/{what}")).into();
    agent.insert("agent-token".into());
    assert_eq!(in_image(&canaries, &lab.path("out/pi-2.img")), agent);
}

/// Whose secrets are in an image, whatever file or journal they are in.
fn in_image(canaries: &Canaries, path: &Path) -> BTreeSet<String> {
    let image = File::open(path).expect("image");
    let mode = image.metadata().expect("metadata").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    let found = canaries.count(image.take(u64::MAX));
    for (name, count) in &found {
        let pieces = canaries.names.iter().filter(|of| of == name).count();
        assert_eq!(*count, pieces, "{name} is in {} once", path.display());
    }
    found.into_keys().map(str::to_owned).collect()
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("directory") {
        let entry = entry.expect("entry");
        match entry.file_type().expect("type") {
            is if is.is_dir() => walk(&entry.path(), files),
            is if is.is_file() => files.push(entry.path()),
            _ => {}
        }
    }
}
