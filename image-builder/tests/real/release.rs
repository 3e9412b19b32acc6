//! A release of a real system: judged by the programs others will use on it, then
//! damaged in every way, then made a node: in an image, and by seed on a disk.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use imgbuild::cmd::Cmd;
use node_config::Report;

use crate::canary::Canaries;
use crate::k3s::lab_with_k3s;
use crate::lab::{Lab, NODE, stderr};
use crate::seed;

const NAME: &str = "imgbuild-lab-1.2";

struct Publisher {
    lab: Lab,
    /// The public key's line.
    public: String,
}

impl Publisher {
    /// A lab whose cluster uses the releases that it signs itself.
    fn new() -> Option<Self> {
        let lab = lab_with_k3s()?;
        let mut keygen = lab.imgbuild();
        keygen
            .arg("keygen")
            .arg(lab.path("signing"))
            .arg("--no-password");
        let public = good(&mut keygen);
        let public = public.trim().to_owned();
        let cluster = lab.path("cluster.toml");
        let text = fs::read_to_string(&cluster).expect("cluster.toml");
        let release = format!(
            "[release]\nkeys = [\"{public}\"]\naddress = \"https://example.org/r/\"\n\n[[users]]"
        );
        fs::write(&cluster, text.replacen("[[users]]", &release, 1)).expect("cluster.toml");
        Some(Self { lab, public })
    }

    fn release(&self, folder: &str) -> Command {
        let mut command = self.lab.imgbuild();
        command.args(["release", "lab", "--version", "1.2", "--key"]);
        command
            .arg(self.lab.path("signing"))
            .arg("--output")
            .arg(self.lab.path(folder));
        command
    }

    fn verify(&self, what: &Path, more: &[&str]) -> Output {
        let mut command = self.lab.imgbuild();
        command.arg("verify").arg(what).args(more);
        command.output().expect("imgbuild")
    }
}

fn good(command: &mut Command) -> String {
    let output = command.output().expect("started");
    assert!(output.status.success(), "{command:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).expect("text")
}

fn tool(dir: &Path, program: &str, args: &[&str]) {
    let mut command = Command::new(program);
    good(command.current_dir(dir).args(args));
}

#[test]
fn a_release_is_what_others_can_check_and_becomes_a_node() {
    let Some(publisher) = Publisher::new() else {
        return;
    };
    let lab = &publisher.lab;
    good(&mut publisher.release("release"));
    let dir = lab.path("release");

    // Who writes an image uses these.
    tool(
        &dir,
        "sha256sum",
        &["--check", "--strict", "--quiet", "SHA256SUMS"],
    );
    tool(
        &dir,
        "minisign",
        &["-V", "-q", "-P", &publisher.public, "-m", "SHA256SUMS"],
    );
    for (program, end) in [("xz", "xz"), ("zstd", "zst")] {
        tool(&dir, program, &["-tq", &format!("{NAME}.img.{end}")]);
    }
    let image = lab.path("image");
    let mut zstd = Command::new("zstd");
    good(
        zstd.arg("-dq")
            .arg(dir.join(format!("{NAME}.img.zst")))
            .arg("-o")
            .arg(&image),
    );
    let copy = lab.path("copy");
    let map = format!("{NAME}.bmap");
    let packed = format!("{NAME}.img.xz");
    let copied = copy.to_str().expect("UTF-8");
    tool(
        &dir,
        "bmaptool",
        &["-q", "copy", "--bmap", &map, &packed, copied],
    );
    tool(lab.dir.path(), "cmp", &["image", "copy"]);
    judge_file_systems(lab, &image);

    // Nothing of the cluster is in it.
    let canaries = Canaries::of(lab);
    for entry in fs::read_dir(&dir).expect("the release") {
        let path = entry.expect("entry").path();
        canaries.absent(
            &path.display().to_string(),
            fs::File::open(&path).expect("file"),
        );
    }
    canaries.absent("the image", fs::File::open(&image).expect("image"));
    let secret = fs::read_to_string(lab.path("signing")).expect("the signing key");
    let secret = secret.lines().last().expect("a line").as_bytes().to_vec();
    let everything = Cmd::new("grep", "")
        .arg("-rqF")
        .arg(String::from_utf8(secret).expect("text"));
    everything.arg(&dir).run(&[1]).expect("not there");

    // The same from elsewhere, by somebody else's habits. On all cores, for packing takes
    // the longest of all: that their number does not show is in release/pack/tests.rs.
    let mut other = lab.imgbuild();
    other
        .arg("rebuild")
        .arg(&dir)
        .arg("--output")
        .arg(lab.path("again"));
    other
        .env("TZ", "Pacific/Auckland")
        .env("LANG", "tr_TR.UTF-8")
        .env("HOME", "/nowhere")
        .current_dir("/");
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 077; exec \"$@\"", "sh"]);
    shell
        .arg(other.get_program())
        .args(other.get_args())
        .current_dir("/");
    for (name, value) in other.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    good(&mut shell);
    let [one, two] =
        ["release", "again"].map(|name| fs::read(lab.path(name).join("SHA256SUMS")).expect("sums"));
    assert_eq!(String::from_utf8_lossy(&one), String::from_utf8_lossy(&two));
    let modes = Cmd::new("find", "")
        .arg(lab.path("again"))
        .arg("-type")
        .arg("f");
    let modes = modes
        .arg("!")
        .arg("-perm")
        .arg("644")
        .run(&[0])
        .expect("find")
        .stdout;
    assert_eq!(String::from_utf8_lossy(&modes), "");
    fs::remove_dir_all(lab.path("again")).expect("removed");

    refuse_what_is_not_right(&publisher, &dir);

    // A node of the cluster, from what was published.
    let release = dir.join(format!("{NAME}.img.zst"));
    let node = lab.path("pi-1.img");
    let mut build = lab.imgbuild();
    build
        .args(["build", NODE, "--identity"])
        .arg(lab.path("key"));
    build
        .arg("--release")
        .arg(&release)
        .arg("--output")
        .arg(&node);
    good(&mut build);
    let record = fs::read_to_string(lab.path("releases.toml")).expect("a record");
    assert!(record.ends_with("imgbuild-lab = \"1.2\"\n"), "{record}");
    judge_file_systems(lab, &node);

    // The same by seed, on a disk with the release: this one is booted.
    let report = seed::becomes_the_node(lab, &release, &image, &node, &canaries);
    attest(&publisher, &dir, &report);
}

/// How it went is signed beside the release.
fn attest(publisher: &Publisher, dir: &Path, report: &Report) {
    let lab = &publisher.lab;
    let path = lab.path("report.json");
    fs::write(&path, report.render()).expect("written");
    let mut attest = lab.imgbuild();
    attest.arg("attest").arg(dir).arg("--report").arg(&path);
    attest
        .args(["--test", "seed", "--key"])
        .arg(lab.path("signing"));
    good(&mut attest);
    let statement = format!("{NAME}.boot.json");
    tool(
        dir,
        "minisign",
        &["-V", "-q", "-P", &publisher.public, "-m", &statement],
    );
    let output = publisher.verify(dir, &["--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let verified: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(verified["booted"][0], "seed/identity");
}

pub(crate) fn judge_file_systems(lab: &Lab, image: &Path) {
    let judge = |program: &str| Cmd::new(program, "run ci/setup");
    judge("sgdisk")
        .arg("-v")
        .arg(image)
        .run(&[0])
        .expect("sgdisk");
    let sfdisk = judge("sfdisk")
        .arg("--json")
        .arg(image)
        .run(&[0])
        .expect("sfdisk")
        .stdout;
    let table: serde_json::Value = serde_json::from_slice(&sfdisk).expect("JSON");
    let partitions = table["partitiontable"]["partitions"]
        .as_array()
        .expect("partitions");
    for (partition, fsck, args) in [
        (&partitions[0], "fsck.vfat", &["-n"][..]),
        (&partitions[1], "e2fsck", &["-f", "-n"][..]),
    ] {
        let part = lab.path("part");
        let [start, size] = ["start", "size"].map(|key| partition[key].as_u64().expect("sectors"));
        judge("dd")
            .arg(format!("if={}", image.display()))
            .arg(format!("of={}", part.display()))
            .arg("bs=1M")
            .arg("iflag=skip_bytes,count_bytes")
            .arg("conv=sparse")
            .arg(format!("skip={}", start * 512))
            .arg(format!("count={}", size * 512))
            .run(&[0])
            .expect("dd");
        let cmd = args.iter().fold(judge(fsck), |cmd, arg| cmd.arg(*arg));
        cmd.arg(&part).run(&[0]).expect(fsck);
        fs::remove_file(part).expect("removed");
    }
}

/// Each kind of damage, one at a time, on a folder of links to the release's files.
fn refuse_what_is_not_right(publisher: &Publisher, dir: &Path) {
    let lab = &publisher.lab;
    let output = publisher.verify(dir, &["--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let names: Vec<String> = fs::read_dir(dir)
        .expect("the release")
        .map(|entry| {
            entry
                .expect("entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    assert_eq!(names.len(), 10, "{names:?}");
    let refused = |why: &str, damage: &dyn Fn(&Path), more: &[&str], words: &str| {
        let bad = lab.path("bad");
        fs::create_dir(&bad).expect("directory");
        for name in &names {
            fs::hard_link(dir.join(name), bad.join(name)).expect("link");
        }
        damage(&bad);
        let output = publisher.verify(&bad, more);
        assert_eq!(output.status.code(), Some(8), "{why}: {}", stderr(&output));
        assert!(
            stderr(&output).contains(words),
            "{why}: {}",
            stderr(&output)
        );
        fs::remove_dir_all(&bad).expect("removed");
    };
    let nothing = |_: &Path| {};
    for name in &names {
        let path = |bad: &Path| bad.join(name);
        let is_list = name.starts_with("SHA256SUMS");
        refused(
            &format!("{name} is gone"),
            &|bad| fs::remove_file(path(bad)).expect("removed"),
            &[],
            if is_list {
                "not signed, or not all"
            } else {
                "is missing"
            },
        );
        let words = if is_list {
            ""
        } else {
            "was signed; download it again"
        };
        refused(
            &format!("{name} is changed"),
            &|bad| {
                change(&path(bad), |bytes| {
                    let middle = bytes.len() / 2;
                    bytes[middle] ^= 1;
                })
            },
            &[],
            words,
        );
        refused(
            &format!("{name} is cut"),
            &|bad| change(&path(bad), |bytes| bytes.truncate(bytes.len() / 2)),
            &[],
            words,
        );
    }
    refused(
        "one file more",
        &|bad| fs::write(bad.join("more"), "").expect("written"),
        &[],
        "is in the folder and not in the release",
    );
    refused(
        "too old",
        &nothing,
        &["--min-version", "1.10"],
        "1.10 is the least",
    );
    assert!(
        publisher
            .verify(dir, &["--min-version", "1.2"])
            .status
            .success()
    );
    // A newer one was used.
    let record = lab.path("releases.toml");
    let text = "version = 1\n[newest]\nimgbuild-lab = \"1.10\"\n";
    fs::write(&record, text).expect("written");
    refused("replayed", &nothing, &[], "and 1.10 was used here before");
    fs::remove_file(&record).expect("removed");
    // A good signature on another release's list.
    let other = "timestamp:1 name:imgbuild-lab-2.0 version:2.0 files:imgbuild-lab-2.0.img.xz";
    refused(
        "two releases, mixed",
        &|bad| {
            fs::remove_file(bad.join("SHA256SUMS.minisig")).expect("removed");
            tool(
                bad,
                "minisign",
                &[
                    "-S",
                    "-W",
                    "-s",
                    lab.path("signing").to_str().expect("UTF-8"),
                    "-m",
                    "SHA256SUMS",
                    "-t",
                    other,
                ],
            );
        },
        &[],
        "and what was signed is the release imgbuild-lab-2.0",
    );
    refused(
        "signed by somebody else",
        &|bad| {
            fs::remove_file(bad.join("SHA256SUMS.minisig")).expect("removed");
            let theirs = lab.path("theirs");
            let theirs = theirs.to_str().expect("UTF-8");
            tool(
                bad,
                "minisign",
                &["-G", "-f", "-W", "-p", "/dev/null", "-s", theirs],
            );
            tool(
                bad,
                "minisign",
                &["-S", "-W", "-s", theirs, "-m", "SHA256SUMS"],
            );
        },
        &[],
        "and the keys that are trusted are",
    );
    // Without its list, an image is not used either.
    let alone = lab.path("alone.img.zst");
    fs::hard_link(dir.join(format!("{NAME}.img.zst")), &alone).expect("link");
    let mut build = lab.imgbuild();
    build.args(["build", NODE, "--release"]).arg(&alone);
    build
        .arg("--output")
        .arg(lab.path("none.img"))
        .arg("--identity")
        .arg(lab.path("key"));
    let output = build.output().expect("imgbuild");
    assert_eq!(output.status.code(), Some(8), "{}", stderr(&output));
    assert!(!lab.path("none.img").exists());
    let left: BTreeSet<PathBuf> = fs::read_dir(dir)
        .expect("the release")
        .map(|entry| entry.expect("entry").path())
        .collect();
    assert_eq!(left.len(), names.len(), "the release itself is as it was");
}

/// Changes a file that others have a link to.
fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("file");
    change(&mut bytes);
    fs::remove_file(path).expect("removed");
    fs::write(path, bytes).expect("written");
}
