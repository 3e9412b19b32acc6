use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::system::fake::{Fake, Fault};
use crate::system::host::Host;
use crate::tests::dpkg::{self as model, CARRIED, file, set_state, state};
use crate::tests::machine;

fn look(fake: &Fake) -> Look {
    Packages.look(&machine::node(), fake).expect("looks")
}

fn todo(fake: &Fake) -> String {
    match look(fake) {
        Look::ToDo(todo) => todo,
        Look::Done(done) => panic!("done: {done}"),
    }
}

fn apply(fake: &Fake) -> Result<(), StageError> {
    Packages.apply(&machine::node(), fake, &|_| ())
}

fn assert_done(fake: &Fake) {
    assert_eq!(look(fake), Look::Done("all 3 are installed".into()));
    for (name, _) in CARRIED {
        assert!(!fake.files().contains_key(&file(name)), "{name}");
    }
}

/// All on record as installed, by the agent or with the base.
fn installed() -> Fake {
    let fake = machine::healthy();
    for (name, version) in CARRIED {
        set_state(&fake, name, version, "ok installed");
    }
    fake
}

#[test]
fn without_packages_nothing_is_asked() {
    let fake = Fake::new();
    let node = model::without_packages(machine::node());
    assert_eq!(
        Packages.look(&node, &fake),
        Ok(Look::Done("the image carries none".into()))
    );
    assert_eq!(fake.calls(), 0);
}

#[test]
fn all_are_installed_and_their_files_removed() {
    let fake = machine::healthy();
    assert_eq!(
        todo(&fake),
        "3 of 3 packages are not installed: library, open-iscsi, needs-library"
    );
    let told = RefCell::new(Vec::new());
    let tell = |words: &str| told.borrow_mut().push(words.to_string());
    Packages
        .apply(&machine::node(), &fake, &tell)
        .expect("applies");
    assert_eq!(
        told.take(),
        [
            "unpacking 1/3 library",
            "unpacking 2/3 open-iscsi",
            "setting up 1/3 library",
            "setting up 2/3 open-iscsi",
            // Left out the first time: it needs the first one set up.
            "unpacking 1/1 needs-library",
            "setting up 1/1 needs-library",
        ]
    );
    assert_done(&fake);
}

#[test]
fn what_is_there_already_or_newer_is_not_touched() {
    let fake = installed();
    set_state(&fake, "library", "1:0.102-1", "ok installed");
    assert_eq!(todo(&fake), "all are installed, their files are left");
    apply(&fake).expect("applies");
    assert_done(&fake);
    assert!(!fake.files().contains_key("/usr/lib/library"));
}

#[test]
fn without_its_file_a_package_is_not_missed_once_it_is_there() {
    let fake = installed();
    for (name, _) in CARRIED {
        fake.remove(&file(name)).expect("removes");
    }
    assert_done(&fake);
}

#[test]
fn states_a_cut_leaves_are_mended() {
    for left in [
        "ok unpacked",
        "ok half-configured",
        "reinstreq half-installed",
        "ok not-installed",
        "ok config-files",
    ] {
        let fake = machine::healthy();
        set_state(&fake, "open-iscsi", "2.1.11-1", left);
        apply(&fake).expect(left);
        assert_eq!(state(&fake, "open-iscsi"), "ok installed", "{left}");
        assert_done(&fake);
    }
}

#[test]
fn a_package_of_the_base_that_was_cut_is_finished_too() {
    let fake = installed();
    set_state(&fake, "base-files", "13.8", "ok half-configured");
    assert!(todo(&fake).starts_with("dpkg has unfinished work: base-files"));
    apply(&fake).expect("applies");
    assert_done(&fake);
}

/// The stage, on a machine that is spoilt in one way.
fn trouble(spoil: impl Fn(&Fake)) -> (Fake, StageError) {
    let fake = machine::healthy();
    spoil(&fake);
    let error = match Packages.look(&machine::node(), &fake) {
        Ok(_) => apply(&fake).expect_err("trouble"),
        Err(error) => error,
    };
    // Nothing of what it takes to try again is gone.
    assert!(fake.files().contains_key(&file("needs-library")));
    (fake, error)
}

#[test]
fn what_only_a_new_image_heals_is_fatal() {
    type Spoil = fn(&Fake);
    let cases: [(Spoil, &str); 4] = [
        (
            |fake| fake.remove(&file("open-iscsi")).expect("removes"),
            "open-iscsi cannot be installed, /var/lib/imgbuild/packages/open-iscsi.deb is missing: \
             write the image again",
        ),
        (
            |fake| fake.put(&file("library"), 0o644, "\0\0\0\0"),
            "library cannot be installed, /var/lib/imgbuild/packages/library.deb is not the file \
             that was baked in",
        ),
        (
            |fake| set_state(fake, "open-iscsi", "2.1.12-1", "ok installed"),
            "open-iscsi 2.1.12 cannot attach Longhorn's volumes",
        ),
        (
            |fake| fake.uninstall("dpkg-query"),
            "dpkg-query is not installed",
        ),
    ];
    for (spoil, words) in cases {
        let (_, error) = trouble(spoil);
        assert!(matches!(error, StageError::Fatal(_)), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_package_that_needs_what_the_image_lacks_is_fatal() {
    let mut node = machine::node();
    node.packages.remove(0);
    let fake = machine::healthy();
    let error = Packages.apply(&node, &fake, &|_| ()).expect_err("library");
    assert!(matches!(error, StageError::Fatal(_)), "{error}");
    let words = "needs-library.deb: pre-dependency problem - not installing needs-library: the \
                 image lacks what it depends on";
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn what_may_pass_is_tried_again() {
    let (fake, error) = trouble(|fake| model::lock_until(fake, 5));
    assert!(matches!(error, StageError::Retry(_)), "{error}");
    assert!(
        error
            .to_string()
            .starts_with("apt-get process with pid 531 is at work with dpkg"),
        "{error}"
    );
    model::lock_until(&fake, 0);
    apply(&fake).expect("the lock is free");
    assert_done(&fake);

    let (fake, error) = trouble(|fake| model::set_full(fake, true));
    assert!(matches!(error, StageError::Retry(_)), "{error}");
    assert!(error.to_string().starts_with("the disk is full"), "{error}");
    model::set_full(&fake, false);
    apply(&fake).expect("there is room");
    assert_done(&fake);

    let (fake, error) = trouble(|fake| fake.put("/run/open-iscsi-fails", 0o644, "for ever"));
    assert!(matches!(error, StageError::Retry(_)), "{error}");
    assert!(
        error
            .to_string()
            .starts_with("open-iscsi: its script failed"),
        "{error}"
    );
    fake.put("/run/open-iscsi-fails", 0o644, "");
    apply(&fake).expect("the script works");
    assert_done(&fake);

    // Its dependant is left out first, and is not to blame.
    let (_, error) = trouble(|fake| fake.put("/run/library-fails", 0o644, "for ever"));
    assert!(matches!(error, StageError::Retry(_)), "{error}");
    assert!(
        error.to_string().starts_with("library: its script failed"),
        "{error}"
    );
}

/// The real dpkg, in a directory of its own: a package whose script prints, and
/// one whose script fails.
#[test]
fn scripts_of_packages_may_print() {
    let root = tempfile::tempdir().expect("directory");
    let at = |name: &str| format!("{}/{name}", root.path().display());
    for directory in [
        "p/DEBIAN",
        "root/var/lib/dpkg/info",
        "root/var/lib/dpkg/updates",
    ] {
        fs::create_dir_all(at(directory)).expect("directories");
    }
    fs::write(at("root/var/lib/dpkg/status"), "").expect("an empty record");
    let control =
        "Package: p\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b>\nDescription: p\n";
    fs::write(at("p/DEBIAN/control"), control).expect("control");
    for (script, works) in [("echo hello", true), ("echo no >&2; false", false)] {
        let path = at("p/DEBIAN/postinst");
        fs::write(&path, format!("#!/bin/sh -e\n{script}\n")).expect("script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("mode");
        let build = Command::new("dpkg-deb", &["--build", &at("p"), &at("p.deb")]);
        let host = Host::new("/");
        host.run(&build).expect("dpkg-deb, as on every Debian");

        let told = RefCell::new(Vec::new());
        let tell = |words: &str| told.borrow_mut().push(words.to_string());
        let (here, file) = (format!("--root={}", at("root")), at("p.deb"));
        // What lets it work for anyone, and without a system in that root.
        let alone = [
            "--force-not-root",
            "--force-script-chrootless",
            "--log=/dev/null",
        ];
        let args = [&[&here[..]], &alone[..], &["--install", &file]].concat();
        let result = dpkg(&host, &args, Progress::new(&tell, Some(1)));
        assert_eq!(result.is_ok(), works, "{result:?}");
        assert_eq!(told.take(), ["unpacking 1/1 p", "setting up 1/1 p"]);
        if let Err(error) = result {
            let words = error.to_string();
            assert!(
                words.starts_with("p: installed p package post-inst"),
                "{words}"
            );
            assert!(words.contains(": no\n"), "{words}");
        }
    }
}

/// What a package's script wrote is in the page cache when dpkg has the package
/// on record as installed. Nobody can close that gap from outside; but with the
/// file gone, nobody could even install the package again.
#[test]
fn no_file_goes_before_what_it_brought_is_on_the_disk() {
    let calls = {
        let fake = machine::healthy();
        fake.power_on(None, |fake| apply(fake).expect("applies"));
        fake.calls()
    };
    let mut removed = 0;
    for call in 0..calls {
        let fake = machine::healthy();
        fake.power_on(Some(Fault::CutBefore(call)), apply);
        if !fake.files().contains_key(&file("library")) {
            removed += 1;
            for (name, _) in CARRIED {
                let path = model::written_by_script(name);
                assert_eq!(fake.text(&path), "set up", "cut before {call}");
            }
        }
    }
    assert!(removed > 1, "{removed} cuts between the removals");
}
