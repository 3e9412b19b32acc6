use std::fs;
use std::path::{Path, PathBuf};

use node_config::seed::{Index, What};
use node_config::{Seed, paths};
use uuid::Uuid;

use super::*;
use crate::overlay::release::{CarriedFile, VERSION as CARRIED};
use crate::overlay::{Carried, Change, Content, Overlay, Owner, Part};

/// What `release.json` of the fixture's disk says.
fn described(name: &str) -> Described {
    let carried = Carried {
        version: CARRIED,
        release: name.into(),
        profile: "lab".into(),
        builder: "imgbuild 0.0.0".into(),
        base_sha256: "0a".repeat(32),
        k3s: None,
        wanted: Vec::new(),
        packages: Vec::new(),
        files: vec![CarriedFile {
            path: paths::AGENT.into(),
            sha256: Content::from("the agent").sha256(),
        }],
    };
    let text = carried.render();
    Described { carried, text }
}

/// Every kind of change. The root's and the boot partition's are mixed on purpose.
fn overlay() -> Overlay {
    let mut overlay = Overlay::default();
    let user = Owner { uid: 7, gid: 8 };
    overlay.file(Part::Boot, "/config.txt", 0o644, "[all]\n");
    overlay.remove(Part::Boot, "/RELEASE.txt");
    overlay.file(Part::Root, paths::AGENT, 0o755, "the agent");
    overlay.file(Part::Root, paths::NODE_CONFIG, 0o644, "version = 1\n");
    overlay.file(Part::Root, "/zz/last", 0o444, "");
    overlay.dir(Part::Root, "/home/admin/.ssh", 0o700, user);
    overlay.link(Part::Root, "/etc/systemd/system/a.service", "/dev/null");
    overlay.remove(Part::Root, "/etc/gone");
    let to = "/home/admin".into();
    overlay.set(Part::Root, "/home/pi", Change::Rename { to });
    let secret = Change::File {
        mode: 0o4750,
        owner: user,
        content: Content::from("a key\n"),
        secret: true,
    };
    overlay.set(Part::Root, "/etc/key", secret);
    overlay
}

fn seed_of(bundle: node_config::seed::Bundle, name: &str) -> Seed {
    Seed {
        version: VERSION,
        release: Release {
            name: name.into(),
            sha256: hex(&Sha256::digest(described(name).text)),
        },
        node: "pi-1".into(),
        image_id: Uuid::from_u128(1),
        bundle,
    }
}

/// A folder as a release disk's boot partition.
fn boot_partition(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("folder");
    fs::write(dir.path().join("release.json"), described(name).text).expect("release.json");
    dir
}

fn put(dir: &Path, node: &str) -> Result<Seed, PlaceError> {
    let place = Place::open(dir, node, false)?;
    let (overlay, release) = (overlay(), described("r-1").carried);
    let bundle = Bundle::of(&overlay, &release).expect("a bundle");
    place.put(&bundle, |bundle| Seed {
        node: node.into(),
        ..seed_of(bundle, "r-1")
    })
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("folder");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("entry").file_name().display().to_string())
        .collect();
    names.sort();
    names
}

#[test]
fn a_bundle_is_the_overlay() {
    let (overlay, release) = (overlay(), described("r-1").carried);
    let bundle = Bundle::of(&overlay, &release).expect("a bundle");
    let mut bytes = Vec::new();
    bundle.write(&mut bytes).expect("memory");
    assert_eq!(bytes.len() as u64, bundle.len());

    let (index, mut contents) = bytes.split_at(bundle.index_len() as usize);
    let index = Index::parse(index, contents.len() as u64).expect("the contract reads it");
    let mut again = Overlay::default();
    for change in index.changes() {
        let part = match change.part {
            node_config::seed::Part::Boot => Part::Boot,
            node_config::seed::Part::Root => Part::Root,
        };
        let owner = |uid: &u32, gid: &u32| Owner {
            uid: *uid,
            gid: *gid,
        };
        let bits = |mode: &u32| u16::try_from(*mode).expect("bits");
        let was = match &change.what {
            What::File {
                mode,
                uid,
                gid,
                len,
                sha256,
            } => {
                let (content, rest) = contents.split_at(*len as usize);
                contents = rest;
                let content = Content::from(content);
                assert_eq!(content.sha256(), *sha256, "{}", change.path);
                let secret = change.path == "/etc/key";
                let (mode, owner) = (bits(mode), owner(uid, gid));
                Change::File {
                    mode,
                    owner,
                    content,
                    secret,
                }
            }
            What::Dir { mode, uid, gid } => Change::Dir {
                mode: bits(mode),
                owner: owner(uid, gid),
            },
            What::Link { to } => Change::Symlink { target: to.clone() },
            What::Remove => Change::Remove,
            What::Rename { to } => Change::Rename { to: to.clone() },
        };
        again.set(part, &change.path, was);
    }
    // The release has this agent already.
    assert_eq!(again.get(Part::Root, paths::AGENT), None);
    again.file(Part::Root, paths::AGENT, 0o755, "the agent");
    assert_eq!(again, overlay);
}

#[test]
fn another_agent_than_the_releases_goes_along() {
    let (mut overlay, release) = (overlay(), described("r-1").carried);
    let len = |overlay: &Overlay| Bundle::of(overlay, &release).expect("a bundle").len();
    let before = len(&overlay);
    overlay.file(Part::Root, paths::AGENT, 0o755, "a newer agent");
    assert!(len(&overlay) > before);
}

#[test]
fn what_no_seed_can_bring_is_said() {
    let release = described("r-1").carried;
    let refused = |change: fn(&mut Overlay)| {
        let mut overlay = overlay();
        change(&mut overlay);
        format!("{:#}", Bundle::of(&overlay, &release).expect_err("refused"))
    };
    let words = refused(|overlay| overlay.dir(Part::Boot, "/new", 0o755, Owner::ROOT));
    assert!(
        words.contains("write it instead") && words.contains("/new"),
        "{words}"
    );
    let words = refused(|overlay| overlay.remove(Part::Root, paths::NODE_CONFIG));
    assert!(words.contains("not one node.toml"), "{words}");
}

/// What this program writes is what `firstboot-agent/src/seed/tests.rs` applies.
/// `UPDATE_GOLDEN=1` writes it anew.
#[test]
fn the_agents_fixture_is_what_is_written_here() {
    let dir = boot_partition("r-1");
    put(dir.path(), "pi-1").expect("written");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../node-config/testdata/seed");
    for name in ["release.json", "imgbuild-seed.json", "imgbuild-seed.bin"] {
        let written = fs::read(dir.path().join(name)).expect(name);
        let kept = fixture.join(name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::create_dir_all(&fixture).expect("folder");
            fs::write(&kept, &written).expect(name);
        }
        assert!(
            fs::read(&kept).ok() == Some(written),
            "{} is another one; UPDATE_GOLDEN=1 rewrites it",
            kept.display()
        );
    }
}

#[test]
fn a_seed_is_there_when_all_of_it_is() {
    let dir = boot_partition("r-1");
    let seed = put(dir.path(), "pi-1").expect("written");
    assert_eq!(
        names(dir.path()),
        ["imgbuild-seed.bin", "imgbuild-seed.json", "release.json"]
    );
    let read = |name: &str| fs::read(dir.path().join(name)).expect(name);
    assert_eq!(
        Seed::parse(&read("imgbuild-seed.json")).expect("a seed"),
        seed
    );
    let bundle = read("imgbuild-seed.bin");
    assert_eq!(bundle.len() as u64, seed.bundle.len);
    assert_eq!(hex(&Sha256::digest(&bundle)), seed.bundle.sha256);

    // The same node's is written again; another's goes only when that is asked for.
    put(dir.path(), "pi-1").expect("again");
    let taken = put(dir.path(), "pi-2");
    assert!(matches!(&taken, Err(PlaceError::Taken { node, .. }) if node == "pi-1"));
    Place::open(dir.path(), "pi-2", true).expect("asked for");
    // What is no seed is nobody's.
    fs::write(dir.path().join("imgbuild-seed.json"), "{\"version\":").expect("cut");
    put(dir.path(), "pi-2").expect("written");
}

#[test]
fn a_seed_that_cannot_be_written_is_none() {
    let dir = boot_partition("r-1");
    put(dir.path(), "pi-1").expect("written");
    let at = |name: &str| dir.path().join(name);
    fs::remove_file(at("imgbuild-seed.bin")).expect("removed");
    fs::create_dir(at("imgbuild-seed.bin")).expect("in the way");
    let failed = put(dir.path(), "pi-1").expect_err("in the way");
    assert!(
        failed.is_full() && failed.to_string().contains("cannot be removed"),
        "{failed}"
    );
    assert!(
        !at("imgbuild-seed.json").exists(),
        "no document without its bundle"
    );
}

#[test]
fn only_the_boot_partition_of_this_release_gets_one() {
    let dir = boot_partition("r-1");
    let place = Place::open(dir.path(), "pi-1", false).expect("a release's");
    place.has(&described("r-1")).expect("the same");
    let other = place.has(&described("r-2")).expect_err("another");
    assert!(
        other
            .to_string()
            .contains("is the release r-1, and --release names r-2"),
        "{other}"
    );
    let mut same_name = described("r-1");
    same_name.text += " ";
    let other = place.has(&same_name).expect_err("another build");
    assert!(
        other.to_string().contains("another one of that name"),
        "{other}"
    );

    let nowhere = PathBuf::from("/nonexistent/boot");
    let none = Place::open(&nowhere, "pi-1", false).expect_err("none");
    assert!(matches!(none, PlaceError::NoRelease(_)), "{none}");
    assert!(!none.is_full());
    for text in ["", "{}", "{\"release\": 1}"] {
        fs::write(dir.path().join("release.json"), text).expect("written");
        let foreign = Place::open(dir.path(), "pi-1", false).expect_err(text);
        assert!(matches!(foreign, PlaceError::Foreign { .. }), "{foreign}");
    }
    let large = fs::File::create(dir.path().join("release.json")).expect("file");
    large.set_len(1 << 30).expect("sparse");
    let foreign = Place::open(dir.path(), "pi-1", false).expect_err("1 GiB");
    assert!(foreign.to_string().contains("too large"), "{foreign}");
}
