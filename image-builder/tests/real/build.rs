//! Building: the same bytes everywhere, no privilege, nothing half-written.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use imgbuild::cmd::Cmd;

use crate::lab::{IMGBUILD, Lab, NODE, count, is_root, stderr};

const HINT: &str = "run ci/setup";

/// Whether two files hold the same bytes.
fn same(one: &Path, other: &Path) -> bool {
    Cmd::new("cmp", HINT)
        .arg("--quiet")
        .arg(one)
        .arg(other)
        .run(&[0, 1])
        .expect("cmp")
        .status
        .success()
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("directory");
    let mut names: Vec<_> = entries
        .map(|entry| {
            entry
                .expect("entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

/// Copies what makes a lab's bytes what they are into a new folder.
fn copy_lab(lab: &Lab, to: &Path) {
    Cmd::new("cp", HINT)
        .arg("-r")
        .arg(lab.path("cluster.toml"))
        .arg(lab.path("profiles"))
        .arg(lab.path("secrets"))
        .arg(lab.path("key.pub"))
        .arg(to)
        .run(&[0])
        .expect("cp");
}

#[test]
fn foreign_tools_find_no_fault() {
    let Some(lab) = Lab::new() else { return };
    let image = lab.build("pi-1.img");
    let verify = Cmd::new("sgdisk", HINT)
        .arg("-v")
        .arg(&image)
        .run(&[0])
        .expect("sgdisk");
    let text = String::from_utf8_lossy(&verify.stdout);
    assert!(text.contains("No problems found"), "{text}");
    Cmd::new("e2fsck", HINT)
        .arg("-fn")
        .arg(format!("{}?offset={}", image.display(), 520 << 20))
        .run(&[0])
        .expect("e2fsck");
    let boot = lab.path("boot.fat");
    let copy = format!(
        "dd if='{}' of='{}' bs=1M skip=8 count=512 conv=sparse status=none",
        image.display(),
        boot.display()
    );
    Cmd::new("sh", HINT)
        .arg("-c")
        .arg(copy)
        .run(&[0])
        .expect("dd");
    let fsck = Cmd::new("fsck.vfat", HINT)
        .arg("-n")
        .arg(&boot)
        .run(&[0])
        .expect("fsck.vfat");
    let text = String::from_utf8_lossy(&fsck.stdout);
    assert!(
        !text.contains("ifferen") && !text.contains("wrong") && !text.contains("Dirty"),
        "{text}"
    );
    let text = Cmd::new("mtype", HINT)
        .arg("-i")
        .arg(&boot)
        .arg("::lab.txt")
        .run(&[0])
        .expect("mtype");
    assert_eq!(text.stdout, b"on the boot partition\n");
    assert_eq!(
        fs::metadata(&image).expect("image").permissions().mode() & 0o777,
        0o600
    );

    let inspect = lab
        .imgbuild()
        .arg("inspect")
        .arg(&image)
        .arg("--json")
        .output()
        .expect("inspect");
    let summary: serde_json::Value = serde_json::from_slice(&inspect.stdout).expect("JSON");
    assert_eq!(summary["manifest"]["node"]["address"], "192.168.4.11/24");
    assert_eq!(summary["partitions"][1]["filesystem"]["kind"], "ext4");
    let cat = lab
        .imgbuild()
        .arg("inspect")
        .arg(&image)
        .args(["cat", "/etc/motd"])
        .output()
        .expect("inspect");
    assert_eq!(cat.stdout, b"a node of the lab\n");
    let ls = lab
        .imgbuild()
        .arg("inspect")
        .arg(&image)
        .args(["ls", "/home/admin/.ssh"])
        .output()
        .expect("inspect");
    assert_eq!(
        String::from_utf8_lossy(&ls.stdout).trim_end(),
        "file  0600 1000:1000          85 authorized_keys"
    );
}

#[test]
fn the_same_inputs_give_the_same_bytes_anywhere() {
    let Some(lab) = Lab::new() else { return };
    let first = lab.build("first.img");
    // Another folder, cache, user mask, language, time zone and working directory,
    // and an output that is relative to that.
    let elsewhere = tempfile::tempdir_in(lab.dir.path()).expect("directory");
    copy_lab(&lab, elsewhere.path());
    let script = format!(
        "umask 077; mkdir {0}/here; cd {0}/here; exec '{IMGBUILD}' --cluster {0}/cluster.toml \
         --profiles {0}/profiles --cache {0}/cache build {NODE} --output ../made/second.img",
        elsewhere.path().display()
    );
    let mut other = Command::new("sh");
    other
        .args(["-c", &script])
        .env("IMGBUILD_AGENT", &lab.agent)
        .env("TZ", "Asia/Tokyo")
        .env("LC_ALL", "tr_TR.UTF-8");
    let output = other.output().expect("imgbuild");
    assert!(output.status.success(), "{}", stderr(&output));
    let second = elsewhere.path().join("made/second.img");
    assert!(same(&second, &first));
    assert_eq!(names(&elsewhere.path().join("here")), [""; 0]);
    // ssh reads it from wherever it is called.
    let config = fs::read_to_string(second.with_extension("ssh_config")).expect("ssh_config");
    let known_hosts = fs::canonicalize(second.with_extension("known_hosts")).expect("known_hosts");
    assert!(
        config.contains(known_hosts.to_str().expect("UTF-8")),
        "{config}"
    );
    // And the time that is baked in is asked for, not looked up.
    let third = lab.path("third.img");
    let dated = lab
        .imgbuild()
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .args(["build", NODE, "--output"])
        .arg(&third)
        .output();
    assert!(dated.expect("imgbuild").status.success());
    assert!(!same(&third, &first));
}

/// As nobody, with no capability, no network, no /dev but /dev/null: no loop
/// device, no mount, no chroot, no emulator can have been used. Where the test
/// itself has no privilege, as itself in a user namespace.
#[test]
fn an_unprivileged_user_builds_the_same_image() {
    let Some(lab) = Lab::new() else { return };
    let ours = lab.build("ours.img");
    let theirs = tempfile::tempdir().expect("directory");
    copy_lab(&lab, theirs.path());
    // What nobody may read: the program and its inputs, in a folder of theirs.
    let place = |from: &Path, name: &str| {
        fs::copy(from, theirs.path().join(name)).expect("copy");
    };
    place(Path::new(IMGBUILD), "imgbuild");
    place(&lab.agent, "firstboot-agent");
    let profile = theirs.path().join("profiles/lab.toml");
    let text = fs::read_to_string(&profile).expect("profile");
    let base = text
        .lines()
        .find_map(|line| line.strip_prefix("file = "))
        .expect("file")
        .trim_matches('"')
        .to_owned();
    let copy = Cmd::new("cp", HINT)
        .arg("--sparse=always")
        .arg(&base)
        .arg(theirs.path().join("base.img"));
    copy.run(&[0]).expect("cp");
    fs::write(&profile, text.replace(&base, "../base.img")).expect("profile");
    fs::set_permissions(theirs.path(), fs::Permissions::from_mode(0o755)).expect("mode");
    let (namespaces, become_nobody) = if is_root(&lab) {
        let chown = Cmd::new("chown", HINT)
            .arg("-R")
            .arg("65534:65534")
            .arg(theirs.path());
        chown.run(&[0]).expect("chown");
        let setpriv = "setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all \
            --bounding-set=-all --no-new-privs";
        (&["--mount", "--net"][..], setpriv)
    } else {
        (&["--user", "--map-root-user", "--mount", "--net"][..], "")
    };
    let script = format!(
        "cd \"$1\" && touch null && mount --bind /dev/null null && mount -t tmpfs none /dev && \
         touch /dev/null && mount --bind null /dev/null && \
         exec {become_nobody} ./imgbuild --cluster cluster.toml --profiles profiles --cache cache \
         build {NODE} --output pi-1.img"
    );
    let output = Command::new("unshare")
        .args(namespaces)
        .args(["sh", "-c", &script, "sh"])
        .arg(theirs.path())
        .env("PATH", "/usr/bin:/bin")
        .env_remove("IMGBUILD_AGENT")
        .output()
        .expect("unshare");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(same(&theirs.path().join("pi-1.img"), &ours));
}

#[test]
fn a_killed_build_leaves_nothing_that_looks_finished() {
    let Some(lab) = Lab::new() else { return };
    let began = Instant::now();
    let whole_image = lab.build("whole.img");
    let whole = began.elapsed();
    for round in 0..count("IMGBUILD_SOAK_KILLS", 5) {
        let out = tempfile::tempdir_in(lab.dir.path()).expect("directory");
        let image = out.path().join("pi-1.img");
        let mut build = lab
            .imgbuild()
            .args(["build", NODE, "--output"])
            .arg(&image)
            .spawn()
            .expect("imgbuild");
        thread::sleep(whole.mul_f64(random_fraction()));
        build.kill().expect("kill -9");
        build.wait().expect("wait");
        // The kill may come after the last step: then it is whole.
        assert!(
            !image.exists() || same(&image, &whole_image),
            "round {round}: half an image"
        );
        for name in names(out.path())
            .iter()
            .filter(|name| !name.starts_with("pi-1."))
        {
            assert!(
                name.starts_with(".imgbuild-") && name.ends_with(".partial"),
                "round {round}: {name}"
            );
        }
    }
    let after = lab.build("after.img");
    assert!(same(&after, &whole_image), "another image after the kills");
}

#[test]
fn failures_have_their_exit_codes_and_write_nothing() {
    let Some(lab) = Lab::new() else { return };
    let run = |change: &dyn Fn(&mut Command)| {
        let mut command = lab.imgbuild();
        change(&mut command);
        let output = command.output().expect("imgbuild");
        (output.status.code(), stderr(&output))
    };
    let image = lab.path("pi-1.img");
    let check = |code: i32, words: &str, change: &dyn Fn(&mut Command)| {
        let (status, text) = run(change);
        assert_eq!(status, Some(code), "{text}");
        assert!(text.contains(words), "{words:?} is not in {text}");
        assert!(!image.exists(), "an image in spite of: {text}");
    };
    let build = |command: &mut Command| {
        command.args(["build", NODE, "--output"]).arg(&image);
    };
    check(2, "Usage", &|command| {
        command.arg("bild");
    });
    check(3, "did you mean `pi-1`", &|command| {
        command.args(["build", "pi1"]);
    });
    check(4, "cannot be opened", &|command| {
        build(command);
        command.args(["--base", "/nowhere.img"]);
    });
    check(4, "no partition table", &|command| {
        build(command);
        command.arg("--base").arg(IMGBUILD);
    });
    check(1, "not a program for 64-bit ARM", &|command| {
        build(command);
        command.arg("--agent").arg(IMGBUILD);
    });
    check(6, "not a regular file", &|command| {
        command.args(["build", NODE, "--output", "/dev/null"]);
    });
    check(6, "cannot be written", &|command| {
        command.args(["build", NODE, "--output", "/proc/no/pi-1.img"]);
    });
    check(1, "no image", &|command| {
        command.args(["try", "pi-9"]);
    });

    check(6, "does not end in .img", &|command| {
        command
            .args(["build", NODE, "--output"])
            .arg(lab.path("pi-1.known_hosts"));
    });
    // Files beside the image are the user's until they are ours.
    fs::write(lab.path("pi-1.known_hosts"), "precious").expect("write");
    check(6, "pi-1.known_hosts exists", &build);
    assert_eq!(
        fs::read(lab.path("pi-1.known_hosts")).expect("read"),
        b"precious"
    );

    fs::write(&image, "precious").expect("write");
    let (status, text) = run(&build);
    assert_eq!(
        (status, text.contains("--force")),
        (Some(6), true),
        "{text}"
    );
    assert_eq!(fs::read(&image).expect("read"), b"precious");

    let broken = fs::read_to_string(lab.path("cluster.toml"))
        .expect("cluster")
        .replace("192.168.4.12", "10.0.0.12");
    fs::write(
        lab.path("broken.toml"),
        broken.replace("role = \"agent\"", "rolle = \"agent\""),
    )
    .expect("write");
    let mut check = Command::new(IMGBUILD);
    check
        .arg("--cluster")
        .arg(lab.path("broken.toml"))
        .arg("--profiles")
        .arg(lab.path("profiles"))
        .arg("check");
    let output = check.output().expect("imgbuild");
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(
        text.matches("broken.toml:").count() >= 2,
        "both problems at once: {text}"
    );
}

#[test]
fn of_several_nodes_those_before_a_failure_are_built_and_it_is_named() {
    let Some(lab) = Lab::new() else { return };
    let out = lab.path("out");
    fs::create_dir(&out).expect("directory");
    fs::write(out.join("pi-2.img"), "precious").expect("write");
    let mut build = lab.imgbuild();
    build
        .args(["build", "--all", "--json"])
        .current_dir(lab.dir.path());
    let output = build.output().expect("imgbuild");
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(6), "{text}");
    assert!(
        text.contains("building pi-2: out/pi-2.img exists"),
        "{text}"
    );
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one line");
    assert_eq!(line["node"], NODE);
    let built = [
        "pi-1.img",
        "pi-1.known_hosts",
        "pi-1.ssh_config",
        "pi-2.img",
    ];
    assert_eq!(names(&out), built);
    assert!(same(&out.join("pi-1.img"), &lab.build("alone.img")));
    let kept = fs::read(out.join("pi-2.img")).expect("read");
    assert_eq!(kept, b"precious");
}

#[test]
fn too_little_room_is_seen_before_the_first_byte() {
    let Some(lab) = Lab::new() else { return };
    lab.build("warm-the-cache.img");
    let small = lab.path("small");
    fs::create_dir(&small).expect("directory");
    let script = "mount -t tmpfs -o size=64m none \"$1\" && shift && \"$@\"; code=$?; ls -A \"$0\"; exit $code";
    let mut command = Command::new("unshare");
    // A user namespace of its own, so that no privilege is needed for the mount.
    command
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .arg(&small)
        .arg(&small);
    let build = lab.imgbuild();
    command.arg(build.get_program()).args(build.get_args());
    command
        .args(["build", NODE, "--output"])
        .arg(small.join("pi-1.img"))
        .env("IMGBUILD_AGENT", &lab.agent);
    let output = command.output().expect("unshare");
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(6), "{text}");
    assert!(text.contains("MiB free and the image needs"), "{text}");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "",
        "something was left"
    );
}

/// Ctrl-C once: the program ends by itself, with nothing left behind.
#[test]
fn an_interrupted_build_cleans_up() {
    let Some(lab) = Lab::new() else { return };
    let began = Instant::now();
    lab.build("warm-the-cache.img");
    let whole = began.elapsed();
    for _ in 0..5 {
        let out = tempfile::tempdir_in(lab.dir.path()).expect("directory");
        let build = lab
            .imgbuild()
            .args(["build", NODE, "--output"])
            .arg(out.path().join("pi-1.img"))
            .spawn();
        let mut build = build.expect("imgbuild");
        thread::sleep(Duration::from_millis(20) + whole.mul_f64(random_fraction()));
        Cmd::new("kill", HINT)
            .arg("-INT")
            .arg(build.id().to_string())
            .run(&[0, 1])
            .expect("kill");
        match build.wait().expect("wait").code() {
            Some(0) => {}
            // The texts beside the image come first, and are whole.
            Some(130) => {
                let left = names(out.path());
                assert!(
                    left.iter()
                        .all(|name| name == "pi-1.known_hosts" || name == "pi-1.ssh_config"),
                    "{left:?}"
                );
            }
            other => panic!("ended with {other:?}"),
        }
    }
}

/// Between 0 and 1. Tests that cut at random moments want other ones each run.
fn random_fraction() -> f64 {
    let mut bytes = [0; 4];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .expect("urandom");
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}
