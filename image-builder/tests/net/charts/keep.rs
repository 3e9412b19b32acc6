//! What becomes of folders that are there already.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use imgbuild::charts::{Edited, Outcome};

use super::shop::{Shop, chart, entry, index, names, server};
use crate::server::Server;

/// A repository with `a` in two versions and `b` in one.
fn repository() -> Server {
    let (old, new, b) = (
        chart("a", "1.0.0"),
        chart("a", "1.1.0"),
        chart("b", "1.0.0"),
    );
    let a = [
        entry("1.1.0", "new.tgz", &new),
        entry("1.0.0", "old.tgz", &old),
    ];
    let index = index(&[("a", &a), ("b", &[entry("1.0.0", "b.tgz", &b)])]);
    server(&[
        ("/index.yaml", index.into_bytes()),
        ("/old.tgz", old),
        ("/new.tgz", new),
        ("/b.tgz", b),
    ])
}

/// A shop that has both.
fn stocked(server: &Server) -> Shop {
    let mut shop = Shop::new();
    let at = server.url("");
    shop.want(&[("a", &at, "1.0.0", ""), ("b", &at, "1.0.0", "")]);
    shop.vendor().expect("vendored");
    shop
}

#[test]
fn a_folder_is_replaced_as_a_whole() {
    let server = repository();
    let mut shop = stocked(&server);
    let at = server.url("");
    shop.want(&[("a", &at, "1.1.0", ""), ("b", &at, "1.0.0", "")]);
    let findings = shop.check();
    assert_eq!(findings.len(), 1);
    assert!(
        findings[0].starts_with("a: is 1.0.0, wanted is 1.1.0"),
        "{findings:?}"
    );
    let outcomes = shop.vendor().expect("vendored");
    assert!(
        matches!(&outcomes[..], [Outcome::Changed(name, ..)] if name == "a"),
        "{outcomes:?}"
    );
    assert!(
        fs::read_to_string(shop.at("a/Chart.yaml"))
            .expect("file")
            .contains("1.1.0")
    );
    assert_eq!(shop.names(), ["a", "b"]);
    let mode = fs::metadata(shop.at("a"))
        .expect("folder")
        .permissions()
        .mode();
    assert_eq!(mode & 0o700, 0o700);
    assert_eq!(shop.check(), [] as [&str; 0]);
}

#[test]
fn what_somebody_edited_is_told_and_kept() {
    let server = repository();
    let mut shop = stocked(&server);
    let file = shop.at("a/values.yaml");
    for edit in [
        &|| fs::write(&file, "replicas: 3\n").expect("edited") as (),
        &|| fs::write(shop.at("a/extra.yaml"), "x: 1\n").expect("added"),
        &|| fs::remove_file(shop.at("a/templates/all.yaml")).expect("removed"),
        &|| symlink("values.yaml", shop.at("a/link.yaml")).expect("linked"),
    ] as [&dyn Fn(); 4]
    {
        edit();
    }
    let findings = shop.check();
    assert_eq!(findings.len(), 1);
    let files = "extra.yaml, link.yaml, templates/all.yaml, values.yaml;";
    assert!(findings[0].contains(files), "{findings:?}");
    let error = shop.vendor().expect_err("edited").to_string();
    assert!(error.contains("was edited"), "{error}");
    assert_eq!(fs::read_to_string(&file).expect("file"), "replicas: 3\n");
    assert_eq!(shop.names(), ["a", "b"]);
    shop.vendor_as(Edited::Replace).expect("replaced");
    assert_eq!(
        names(&shop.at("a")),
        ["Chart.yaml", "templates", "values.yaml"]
    );
    assert_eq!(shop.check(), [] as [&str; 0]);
}

#[test]
fn an_own_chart_is_nobodys_but_its_owners() {
    let server = repository();
    let mut shop = stocked(&server);
    fs::create_dir_all(shop.at("own")).expect("folder");
    fs::write(shop.at("own/Chart.yaml"), "name: own\nversion: 0.1.0\n").expect("chart");
    assert_eq!(shop.check(), [] as [&str; 0]);
    let at = server.url("");
    shop.want(&[("b", &at, "1.0.0", "")]);
    assert!(shop.check()[0].contains("no longer in charts.toml"));
    assert_eq!(
        shop.vendor().expect("vendored"),
        [Outcome::Removed("a".into())]
    );
    assert_eq!(shop.names(), ["b", "own"]);
    // One of that name that is not ours stays, whatever is said.
    fs::create_dir_all(shop.at("a")).expect("folder");
    fs::write(shop.at("a/Chart.yaml"), "name: a\nversion: 0.1.0\n").expect("chart");
    shop.want(&[("a", &at, "1.0.0", ""), ("b", &at, "1.0.0", "")]);
    let error = shop
        .vendor_as(Edited::Replace)
        .expect_err("own")
        .to_string();
    assert!(error.contains("was not put there by imgbuild"), "{error}");
    assert_eq!(names(&shop.at("a")), ["Chart.yaml"]);
}

#[test]
fn what_is_not_wanted_any_more_goes_unless_it_was_edited() {
    let server = repository();
    let mut shop = stocked(&server);
    fs::write(shop.at("a/values.yaml"), "replicas: 3\n").expect("edited");
    shop.want(&[]);
    let outcomes = shop.vendor().expect("vendored");
    assert_eq!(
        outcomes,
        [Outcome::Kept("a".into()), Outcome::Removed("b".into())]
    );
    assert_eq!(shop.names(), ["a"]);
    assert!(shop.lock().charts.is_empty());
    assert_eq!(shop.check(), [] as [&str; 0]);
}

#[test]
fn a_killed_run_is_made_good_without_a_network() {
    let server = repository();
    let mut shop = stocked(&server);
    // Between the two renames: the folder is away, the new one not yet there.
    let aside = shop.at(".imgbuild-x1y2.partial");
    fs::create_dir(&aside).expect("folder");
    fs::rename(shop.at("a"), aside.join("a")).expect("moved");
    let findings = shop.check().join("\n");
    assert!(
        findings.contains("is not there") && findings.contains("killed"),
        "{findings}"
    );
    shop.go_offline();
    let outcomes = shop.vendor().expect("vendored");
    assert_eq!(outcomes.len(), 1);
    assert_eq!(shop.names(), ["a", "b"]);
    assert_eq!(shop.check(), [] as [&str; 0]);
}

#[test]
fn a_clone_without_the_folders_gets_the_same_ones() {
    let server = repository();
    let mut shop = stocked(&server);
    let lock = fs::read(shop.places().lock).expect("lock");
    fs::remove_dir_all(shop.places().charts).expect("removed");
    shop.vendor().expect("vendored");
    assert_eq!(fs::read(shop.places().lock).expect("lock"), lock);
    // The index was not asked again: it may say something else by now.
    let indexes = server
        .requests()
        .iter()
        .filter(|request| request.line.contains("index"))
        .count();
    assert_eq!(indexes, 1);
}

#[test]
fn a_lost_lock_is_made_again() {
    let server = repository();
    let mut shop = stocked(&server);
    let lock = fs::read(shop.places().lock).expect("lock");
    fs::remove_file(shop.places().lock).expect("removed");
    assert_eq!(shop.check().len(), 2);
    shop.vendor()
        .expect("the folders are what the archives hold");
    assert_eq!(fs::read(shop.places().lock).expect("lock"), lock);
}
