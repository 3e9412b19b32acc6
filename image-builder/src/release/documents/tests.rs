//! Judged by the schemas of those who read the documents, which lie in
//! `ci/upstream`; and the schemas are judged by samples, good and bad.

use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::{Registry, Validator};
use serde_json::{Value, json};

use super::*;
use crate::debian::InstalledPackage;
use crate::lock::{Deb, Download};
use crate::release::facts::{Crate, File, Input};

fn schemas() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../ci/upstream/schemas")
}

fn load(name: &str) -> Value {
    let path = schemas().join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|_| panic!("{}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

/// A schema; the others that CycloneDX' refers to are found by their file's name.
fn validator(name: &str) -> Validator {
    let mut registry = Registry::new();
    for other in ["spdx.schema.json", "jsf-0.82.schema.json"] {
        let id = format!("http://cyclonedx.org/schema/{other}");
        registry = registry.add(id, load(other)).expect("a schema");
    }
    let registry = registry.prepare().expect("schemas");
    jsonschema::options()
        .with_registry(&registry)
        .should_validate_formats(true)
        .build(&load(name))
        .expect("a schema")
}

fn digest(digit: char) -> String {
    digit.to_string().repeat(64)
}

fn facts() -> Facts {
    let file = |name: &str| File {
        name: name.into(),
        size: 4096,
        sha256: digest('1'),
    };
    let download = |url: &str| Download {
        url: url.into(),
        size: 7,
        sha256: digest('2'),
        signer: None,
        digest_from: "a test".into(),
    };
    Facts {
        name: "imgbuild-pi5-ssd-1.2".into(),
        version: "1.2".into(),
        profile: "pi5-ssd".into(),
        epoch: 1_795_000_000,
        image: file("imgbuild-pi5-ssd-1.2.img"),
        files: vec![
            file("imgbuild-pi5-ssd-1.2.img.xz"),
            file("imgbuild-pi5-ssd-1.2.img.zst"),
        ],
        base: Input {
            name: "2026-09-15-raspios-trixie-arm64-lite.img.xz".into(),
            sha256: digest('3'),
        },
        agent: Input {
            name: "firstboot-agent".into(),
            sha256: digest('4'),
        },
        crates: Crate::parse_list("anyhow v1.0.100\nfirstboot-agent v0.1.0\nanyhow v1.0.100\n")
            .expect("crates"),
        k3s: vec![download("https://example.org/v1.35.7%2Bk3s1/k3s-arm64")],
        k3s_version: Some("v1.35.7+k3s1".into()),
        artifacts: vec![download("https://example.org/tool")],
        debs: vec![Deb {
            name: "open-iscsi".into(),
            version: "2.1.11-1".into(),
            architecture: "arm64".into(),
            url: "https://example.org/open-iscsi.deb".into(),
            size: 9,
            sha256: digest('5'),
        }],
        installed: vec![InstalledPackage {
            name: "libstdc++6".into(),
            version: "1:14.2.0-19~deb13u1".into(),
            architecture: "arm64".into(),
            source: ("gcc-14".into(), "14.2.0-19".into()),
        }],
    }
}

fn document(end: &str) -> Value {
    let all = all(&facts(), "https://example.org/releases/").expect("documents");
    let found = all
        .iter()
        .find(|(name, _)| *name == end)
        .expect("the document");
    serde_json::from_str(&found.1).expect("JSON")
}

#[track_caller]
fn assert_valid(schema: &str, document: &Value) {
    let schema = validator(schema);
    let errors: Vec<_> = schema
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{document:#}");
}

/// What this change makes of a document is noticed.
#[track_caller]
fn assert_noticed(schema: &str, document: &Value, change: impl FnOnce(&mut Value)) {
    let mut bad = document.clone();
    change(&mut bad);
    assert!(!validator(schema).is_valid(&bad));
}

#[test]
fn spdx() {
    const SCHEMA: &str = "spdx-schema-2.3.json";
    let document = document("spdx.json");
    assert_valid(SCHEMA, &document);
    assert_valid(SCHEMA, &load("SPDXJSONExample-v2.3.spdx.json"));
    assert_noticed(SCHEMA, &document, |bad| {
        bad["packages"][0]["nam"] = json!("x")
    });
    assert_noticed(SCHEMA, &document, |bad| {
        bad.as_object_mut()
            .expect("an object")
            .remove("dataLicense");
    });
    // What the schema cannot see: every reference is to something, and ids differ.
    let mut ids: Vec<&str> = document["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .map(|package| package["SPDXID"].as_str().expect("an id"))
        .collect();
    ids.push("SPDXRef-DOCUMENT");
    let mut distinct = ids.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), ids.len());
    for id in &ids {
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        assert!(id.chars().all(fine), "{id}");
    }
    for relation in document["relationships"].as_array().expect("relationships") {
        for end in ["spdxElementId", "relatedSpdxElement"] {
            assert!(
                ids.contains(&relation[end].as_str().expect("an id")),
                "{relation}"
            );
        }
    }
    let purl =
        "pkg:deb/debian/libstdc%2B%2B6@1:14.2.0-19~deb13u1?arch=arm64&upstream=gcc-14%4014.2.0-19";
    assert!(document.to_string().contains(purl), "{document:#}");
}

#[test]
fn cyclonedx() {
    const SCHEMA: &str = "bom-1.6.schema.json";
    let document = document("cdx.json");
    assert_valid(SCHEMA, &document);
    assert_valid(SCHEMA, &load("valid-bom-1.6.json"));
    assert!(!validator(SCHEMA).is_valid(&load("invalid-component-type-1.6.json")));
    assert_noticed(SCHEMA, &document, |bad| {
        bad["components"][0]["type"] = json!("disk")
    });
    assert_noticed(SCHEMA, &document, |bad| bad["serialNumber"] = json!("1"));
    assert_noticed(SCHEMA, &document, |bad| bad["colour"] = json!("red"));
}

#[test]
fn provenance() {
    const SCHEMA: &str = "slsa_provenance_v1.json";
    let document = document("provenance.json");
    assert_valid(SCHEMA, &document);
    assert_eq!(document["predicateType"], "https://slsa.dev/provenance/v1");
    assert_noticed(SCHEMA, &document, |bad| bad["subject"] = json!([]));
    assert_noticed(SCHEMA, &document, |bad| {
        bad["predicate"]["runDetails"] = json!({});
    });
}

#[test]
fn imager() {
    const SCHEMA: &str = "os-list-schema.json";
    let document = document("rpi-imager-manifest");
    assert_valid(SCHEMA, &document);
    assert_valid(SCHEMA, &load("os-sublist-example.json"));
    let system = &document["os_list"][0];
    assert_eq!(system["init_format"], "none");
    assert_eq!(system["devices"], json!(["pi5-64bit"]));
    assert_eq!(
        system["url"],
        "https://example.org/releases/imgbuild-pi5-ssd-1.2.img.xz"
    );
    assert_noticed(SCHEMA, &document, |bad| {
        bad["os_list"][0]["init_format"] = json!("cron")
    });
    assert_noticed(SCHEMA, &document, |bad| {
        bad["os_list"][0]["extract_size"] = json!("7")
    });
}

#[test]
fn the_same_facts_give_the_same_documents() {
    let once = all(&facts(), "").expect("documents");
    assert_eq!(all(&facts(), "").expect("documents"), once);
    let mut other = facts();
    other.image.sha256 = digest('9');
    let other = all(&other, "").expect("documents");
    assert!(once.iter().zip(&other).all(|(one, other)| one != other));
}
