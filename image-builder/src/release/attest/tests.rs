use std::fs;

use node_config::report::{StageReport, VERSION};
use uuid::Uuid;

use super::*;
use crate::release::facts::{File as Named, Input};
use crate::release::sign::generate;

fn key() -> SigningKey {
    let (secret, _) = generate(None).expect("a key");
    SigningKey::open(&secret, || None).expect("opens")
}

fn manifest() -> Manifest {
    let input = |name: &str| Input {
        name: name.into(),
        sha256: "0b".repeat(32),
    };
    Manifest {
        format: manifest::VERSION,
        name: "imgbuild-lab-1.2".into(),
        version: "1.2".into(),
        profile: "lab".into(),
        builder: "imgbuild 0".into(),
        date: "2026-11-27T00:00:00Z".into(),
        image: Named {
            name: "imgbuild-lab-1.2.img".into(),
            size: 1,
            sha256: "0a".repeat(32),
        },
        partitions: Vec::new(),
        base: input("base"),
        agent: input("firstboot-agent"),
        k3s: None,
        packages: Vec::new(),
    }
}

fn report(outcome: Outcome, state: State) -> Report {
    let stage = |name: &str, outcome| StageReport {
        name: name.into(),
        outcome,
        message: "of one node, and nobody's business".into(),
        attempts: 1,
        seconds: 1,
    };
    Report {
        version: VERSION,
        node: "pi-1".into(),
        image_id: Uuid::nil(),
        state,
        stages: vec![stage("identity", Outcome::Done), stage("finish", outcome)],
    }
}

/// A folder with as much of a release as a statement looks at.
fn release() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("folder");
    let text = manifest().render();
    let name = "imgbuild-lab-1.2.release.json";
    fs::write(dir.path().join(name), &text).expect("written");
    let sum = crate::overlay::Content::from(text).sha256();
    fs::write(dir.path().join("SHA256SUMS"), format!("{sum}  {name}\n")).expect("written");
    dir
}

fn refused(dir: &Path, release: &Manifest, key: &SigningKey) -> String {
    let error = check(dir, release, &[key.public().expect("public")]).expect_err("refused");
    format!("{error:#}")
}

#[test]
fn what_is_attested_is_read_back_and_is_what_in_toto_says() {
    let (dir, key) = (release(), key());
    let keys = [key.public().expect("public")];
    assert!(
        check(dir.path(), &manifest(), &keys)
            .expect("none")
            .is_none()
    );
    let done = report(Outcome::Done, State::Done);
    let statement = attest(dir.path(), &done, "first-boot", &key).expect("attested");
    let (file, read) = check(dir.path(), &manifest(), &keys)
        .expect("good")
        .expect("there");
    assert_eq!(read, statement);
    assert_eq!(read.passed(), ["first-boot/identity", "first-boot/finish"]);
    // in-toto/attestation, spec/predicates/test-result.md: these fields, spelled so.
    let value: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(file).expect("reads")).expect("JSON");
    let expected = serde_json::json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": "imgbuild-lab-1.2.img", "digest": { "sha256": "0a".repeat(32) } }],
        "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
        "predicate": {
            "result": "PASSED",
            "configuration": [
                { "name": "firstboot-agent", "digest": { "sha256": "0b".repeat(32) } },
            ],
            "passedTests": ["first-boot/identity", "first-boot/finish"],
            "warnedTests": [],
            "failedTests": [],
        },
    });
    assert_eq!(value, expected);
    let again = attest(dir.path(), &done, "first-boot", &key).expect_err("there already");
    assert!(again.is::<SinkError>(), "{again:#}");
}

#[test]
fn a_boot_that_did_not_end_well_is_not_attested() {
    let (dir, key) = (release(), key());
    for (outcome, state) in [
        (Outcome::Failed, State::Failed),
        (Outcome::Retrying, State::Running),
        (Outcome::Pending, State::Done),
        (Outcome::Done, State::Running),
    ] {
        let report = report(outcome, state);
        attest(dir.path(), &report, "first-boot", &key).expect_err("not done");
    }
    let mut none = report(Outcome::Done, State::Done);
    none.stages.clear();
    attest(dir.path(), &none, "first-boot", &key).expect_err("nothing done");
    assert_eq!(fs::read_dir(dir.path()).expect("folder").count(), 2);
}

#[test]
fn a_statement_that_is_not_this_releases_is_refused() {
    let (dir, key) = (release(), key());
    let done = report(Outcome::Done, State::Done);
    attest(dir.path(), &done, "first-boot", &key).expect("attested");
    let [name, signature] = names("imgbuild-lab-1.2").map(|name| dir.path().join(name));

    let mut other = manifest();
    other.image.sha256 = "0c".repeat(32);
    let words = refused(dir.path(), &other, &key);
    assert!(words.contains("it is of another image"), "{words}");
    let words = refused(dir.path(), &manifest(), &self::key());
    assert!(
        words.contains("and the keys that are trusted are"),
        "{words}"
    );

    let good = fs::read_to_string(&name).expect("reads");
    fs::write(&name, good.replace("PASSED", "FAILED")).expect("changed");
    let words = refused(dir.path(), &manifest(), &key);
    assert!(words.contains("was changed"), "{words}");
    fs::write(&name, &good).expect("as it was");

    // Signed by us, and not as a statement: the release's own signature, perhaps.
    let comment = |files: &[&str]| {
        let own = "imgbuild-lab-1.2.release.json";
        let files = files.iter().chain([&own]).map(|file| (*file).to_owned());
        seal::comment(&manifest(), files.collect()).expect("a comment")
    };
    let sign = |text: &str, files: &[&str]| {
        let signed = key.sign(text.as_bytes(), &comment(files)).expect("signed");
        fs::write(&signature, signed).expect("written");
        fs::write(&name, text).expect("written");
    };
    sign(&good, &["imgbuild-lab-1.2.img.xz"]);
    let words = refused(dir.path(), &manifest(), &key);
    assert!(words.contains("of something else"), "{words}");
    for (of, to, expected) in [
        ("PASSED", "FAILED", "did not end well"),
        ("test-result/v0.1", "test-result/v9", "it is no test result"),
    ] {
        sign(&good.replace(of, to), &["imgbuild-lab-1.2.boot.json"]);
        let words = refused(dir.path(), &manifest(), &key);
        assert!(words.contains(expected), "{words}");
    }
    fs::remove_file(&signature).expect("removed");
    let words = refused(dir.path(), &manifest(), &key);
    assert!(words.contains("is not signed"), "{words}");
}
