//! Lock, fetch and build, by the program itself: a base whose apt sources lead
//! to a signed repository of real packages.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgbuild::cmd::Cmd;
use imgbuild::io::{CowRegion, ReadAt as _, Region};
use imgbuild::overlay::{Change, Owner};
use imgbuild::rootfs::RootFs;
use imgbuild::source::find_partitions;
use imgbuild::view::ImageView;

use crate::k3s::sha256sum;
use crate::lab::{Lab, skip, stderr};

/// What the base's sources name, and a mirror stands for.
const ARCHIVE: &str = "http://archive.test/debian/";

const SOURCES: &str = "\
Types: deb
URIs: http://archive.test/debian/
Suites: trixie
Components: main
Signed-By: /usr/share/keyrings/archive.test.asc
";

/// A lab whose node has packages, a download and K3s, all of this machine.
struct Store {
    lab: Lab,
    repo: PathBuf,
}

/// The repository, or `None` where there is none and that is allowed.
pub(crate) fn repository() -> Option<PathBuf> {
    let repo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../out/repo");
    if !repo.exists() {
        let repo = repo.display();
        skip(&format!("there is no {repo}; run `cargo xtask repo`"));
        return None;
    }
    Some(fs::canonicalize(repo).expect("repository"))
}

/// The lines of a cluster file by which the repository stands for the archive.
pub(crate) fn mirror(repo: &Path) -> String {
    format!(
        "[source.mirror]\n\"{ARCHIVE}\" = \"file://{}/\"\n",
        repo.display()
    )
}

/// A plain file of root's.
pub(crate) fn file(content: Vec<u8>) -> Change {
    Change::File {
        mode: 0o644,
        owner: Owner::ROOT,
        content: content.into(),
        secret: false,
    }
}

/// Gives the lab's profile a base of its own, with the archive as its only source
/// and with what `more` changes besides.
pub(crate) fn change_base(
    lab: &Lab,
    repo: &Path,
    more: impl FnOnce(&ImageView) -> Vec<(String, Change)>,
) {
    let changed = lab.path("base.img");
    Cmd::new("cp", "run ci/setup")
        .arg("--sparse=always")
        .arg(&lab.base)
        .arg(&changed)
        .run(&[0])
        .expect("cp");
    let image = File::open(&lab.base).expect("base");
    let image = Region::whole(Arc::new(image)).expect("base");
    let parts = find_partitions(&image).expect("partitions");
    let view = ImageView::open(parts.boot, parts.root.clone()).expect("a base");
    let (_, offset) = parts.root.place();
    let len = parts.root.len();
    let cow = CowRegion::new(parts.root, len, lab.dir.path()).expect("scratch");
    let cow = Arc::new(cow);
    let fs = RootFs::open(Arc::clone(&cow), 1_700_000_000).expect("open");
    let key = fs::read(repo.join("key.asc")).expect("key");
    let own = [
        ("/etc/apt/sources.list", Change::Remove),
        ("/etc/apt/sources.list.d", Change::Remove),
        ("/etc/apt/sources.list.d/test.sources", file(SOURCES.into())),
        ("/usr/share/keyrings/archive.test.asc", file(key)),
    ];
    let own = own.map(|(path, change)| (path.to_owned(), change));
    for (path, change) in own.into_iter().chain(more(&view)) {
        fs.apply(&path, &change).expect(&path);
    }
    fs.finish().expect("finish");
    let target = OpenOptions::new().write(true).open(&changed).expect("copy");
    for piece in cow.pieces().expect("pieces") {
        piece
            .bytes
            .copy_to(&target, offset + piece.offset, &mut |_| Ok(()))
            .expect("write");
    }
    lab.edit("profiles/lab.toml", |text| {
        let lines = text.lines().map(|line| match line.starts_with("file = ") {
            true => format!("file = \"{}\"\n", changed.display()),
            false => format!("{line}\n"),
        });
        lines.collect()
    });
}

impl Store {
    fn new() -> Option<Self> {
        let mut lab = Lab::new()?;
        // Of its own: what is missing in it is a part of the test.
        lab.cache = lab.path("cache");
        let repo = repository()?;
        change_base(&lab, &repo, |_| Vec::new());
        let store = Self { lab, repo };
        store.publish_k3s();
        fs::write(store.lab.path("tool"), "#!/bin/sh\necho a tool\n").expect("tool");
        store.lab.edit("cluster.toml", |text| {
            let mirrors = format!(
                "[k3s]\nversion = \"v1.35.7+k3s1\"\n\n{}\
                 \"https://github.com/k3s-io/k3s/releases/download/\" = \"file://{}/\"\n\n",
                mirror(&store.repo),
                store.lab.path("k3s").display()
            );
            text.replacen("[[users]]", &format!("{mirrors}[[users]]"), 1)
        });
        let tool = store.lab.path("tool");
        let sum = sha256sum(&tool);
        store.lab.edit("profiles/lab.toml", |text| {
            text.replacen(
                "version = 1\n",
                "version = 1\npackages = [\"open-iscsi\", \"nfs-common\"]\n",
                1,
            ) + &format!(
                "\n[[artifacts]]\nurl = \"file://{}\"\nsha256 = \"{sum}\"\npath = \"/usr/local/bin/tool\"\n",
                tool.display()
            )
        });
        Some(store)
    }

    /// A release as K3s publishes them, of a stand-in.
    fn publish_k3s(&self) {
        let dir = self.lab.path("k3s/v1.35.7+k3s1");
        fs::create_dir_all(&dir).expect("directory");
        fs::write(dir.join("k3s-arm64"), "not K3s\n").expect("binary");
        let sum = sha256sum(&dir.join("k3s-arm64"));
        let text = format!("{sum}  k3s-arm64\n{sum}  another\n");
        fs::write(dir.join("sha256sum-arm64.txt"), text).expect("sums");
    }

    fn run(&self, args: &[&str]) -> std::process::Output {
        let mut command = self.lab.imgbuild();
        command.args(args).output().expect("imgbuild")
    }

    fn good(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        stderr(&output)
    }
}

#[test]
fn what_is_locked_is_fetched_and_built_in() {
    let Some(store) = Store::new() else {
        return;
    };
    let output = store.lab.path("pi-1.img");
    let image = output.to_str().expect("text").to_owned();
    let build = ["build", "pi-1", "--output", &image];
    let refused = store.run(&build);
    assert_eq!(refused.status.code(), Some(3), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("run `imgbuild lock`"));

    let said = store.good(&["lock"]);
    assert!(said.contains("+ package open-iscsi for base"), "{said}");
    assert!(said.contains("k3s-arm64"), "{said}");
    let lock = fs::read_to_string(store.lab.path("imgbuild.lock")).expect("lock");
    // Nothing is asked of anybody a second time, and nothing changes.
    assert!(
        store
            .good(&["lock", "--locked", "--offline"])
            .contains("up to date")
    );
    let again = store.good(&["lock", "--update"]);
    assert!(again.contains("up to date"), "{again}");
    assert_eq!(
        fs::read_to_string(store.lab.path("imgbuild.lock")).expect("lock"),
        lock
    );

    let refused = store.run(&build);
    assert_eq!(refused.status.code(), Some(8), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("run `imgbuild fetch`"));
    store.good(&["fetch"]);
    assert!(store.good(&["fetch"]).contains("0B of them downloaded now"));
    store.good(&build);

    let shown = |args: &[&str]| {
        let output = store.run(&[&["inspect", &image], args].concat());
        String::from_utf8(output.stdout).expect("text")
    };
    let listing = shown(&["ls", "/var/lib/imgbuild/packages"]);
    for name in ["open-iscsi_", "nfs-common_"] {
        assert!(listing.contains(name), "{listing}");
    }
    for (path, content) in [
        ("/usr/local/bin/k3s", "not K3s\n"),
        ("/usr/local/bin/tool", "#!/bin/sh\necho a tool\n"),
    ] {
        assert_eq!(shown(&["cat", path]), content, "{path}");
    }
}

#[test]
fn a_lock_that_would_change_is_not_written() {
    let Some(store) = Store::new() else {
        return;
    };
    store.good(&["lock"]);
    let path = store.lab.path("imgbuild.lock");
    let lock = fs::read_to_string(&path).expect("lock");
    store.lab.edit("profiles/lab.toml", |text| {
        text.replace("[\"open-iscsi\", \"nfs-common\"]", "[\"open-iscsi\"]")
    });
    let refused = store.run(&["lock", "--locked"]);
    assert_eq!(refused.status.code(), Some(3), "{}", stderr(&refused));
    store.good(&["lock", "--dry-run"]);
    // Other bytes than the profile pins.
    let sum = sha256sum(&store.lab.path("tool"));
    store.lab.edit("profiles/lab.toml", |text| {
        text.replace(&sum, &"ab".repeat(32))
    });
    let refused = store.run(&["lock"]);
    assert_eq!(refused.status.code(), Some(8), "{}", stderr(&refused));
    assert!(
        stderr(&refused).contains("expected"),
        "{}",
        stderr(&refused)
    );
    assert_eq!(fs::read_to_string(&path).expect("lock"), lock);
}
