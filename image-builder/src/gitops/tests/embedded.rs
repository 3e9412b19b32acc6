//! The schemas that come with imgbuild, and what they were made from.

use sha2::{Digest as _, Sha256};

use super::*;

#[test]
fn the_embedded_schemas_are_those_of_the_upstream_files() {
    let mut files = Vec::new();
    collect(&repository().join("ci/upstream/crds"), "crds", &mut files);
    files.sort();
    let texts = files
        .iter()
        .map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned());
    let texts: Vec<String> = texts.collect();
    let made = Known::from_definitions(texts.iter().map(String::as_str)).to_json();
    assert!(made.as_object().is_some_and(|kinds| kinds.len() > 30));
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        let packed = zstd::encode_all(made.to_string().as_bytes(), 19).expect("packed");
        let path = repository().join("image-builder/src/gitops/kinds/schemas.json.zst");
        std::fs::write(path, packed).expect("written");
        return;
    }
    assert!(
        made == Known::embedded().to_json(),
        "the embedded schemas are not those of ci/upstream/crds; run UPDATE_SCHEMAS=1 cargo test \
         -p image-builder --lib gitops"
    );
}

#[test]
fn every_schema_is_one_that_can_be_checked_against() {
    let known = Known::embedded().to_json();
    for (name, kind) in known.as_object().expect("kinds") {
        let schema = kinds::schema::Schema::draft7(&kind["schema"]);
        assert!(schema.is_ok(), "{name}: {schema:?}");
    }
}

#[test]
fn the_upstream_files_are_what_they_were() {
    let folder = repository().join("ci/upstream");
    let sums = std::fs::read_to_string(folder.join("SHA256SUMS")).expect("SHA256SUMS");
    let mut listed = BTreeSet::new();
    for line in sums.lines() {
        let (sum, path) = line.split_once("  ").expect("sum and path");
        let bytes = std::fs::read(folder.join(path)).expect(path);
        let actual = base16ct::lower::encode_string(&Sha256::digest(&bytes));
        assert_eq!(actual, sum, "{path}");
        listed.insert(format!("upstream/{path}"));
    }
    let mut files = Vec::new();
    collect(&folder, "upstream", &mut files);
    let unlisted: Vec<_> = files
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| {
            !listed.contains(path) && !path.ends_with("README.md") && !path.ends_with("SHA256SUMS")
        })
        .collect();
    assert_eq!(unlisted, [] as [&str; 0]);
}
