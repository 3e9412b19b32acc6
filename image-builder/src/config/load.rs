//! From files to a workspace: the one place that knows which file leads to
//! which.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use super::check::{Checker, Findings, position};
use super::cluster::{self, ClusterFile};
use super::field::Span;
use super::files::{Disk, Files, why};
use super::nearest::nearest;
use super::problem::{Problems, Wrong, listed, quoted, shown};
use super::schema::SchemaKind;
use super::workspace::Workspace;
use super::{document, neighbours, profile, written};
use crate::plan::Profile;

/// More than any file written by hand.
pub(super) const LIMIT: u64 = 1 << 20;

/// Reads a cluster file, the profiles its nodes name and the files all of these
/// refer to.
///
/// # Errors
/// With everything that is wrong in any of the files.
pub fn load(cluster_file: &Path, profiles_dir: &Path) -> Result<Workspace, Problems> {
    load_from(cluster_file, profiles_dir, &Disk)
}

/// As [`load`], from files anywhere.
///
/// # Errors
/// With everything that is wrong in any of the files.
pub fn load_from(
    cluster_file: &Path,
    profiles_dir: &Path,
    files: &dyn Files,
) -> Result<Workspace, Problems> {
    let mut found = Findings::default();
    let read = text_of(cluster_file, files.read(cluster_file, LIMIT), &mut found)
        .and_then(|text| read_cluster(&text, cluster_file, Some(profiles_dir), files, &mut found));
    let warnings = std::mem::take(&mut found.warnings);
    let (cluster, profiles, taken) = found.settle(read)?;
    let dir = match cluster_file.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let dir = dir.to_owned();
    Ok(Workspace {
        dir,
        cluster,
        profiles,
        taken,
        warnings,
    })
}

/// Reads a cluster file's text; profiles are not looked for.
///
/// # Errors
/// With everything that is wrong.
pub fn parse_cluster(text: &str, path: &Path, files: &dyn Files) -> Result<ClusterFile, Problems> {
    let mut found = Findings::default();
    let read = read_cluster(text, path, None, files, &mut found);
    found.settle(read).map(|(cluster, ..)| cluster)
}

/// Reads a profile's text; its name is the path's stem.
///
/// # Errors
/// With everything that is wrong.
pub fn parse_profile(text: &str, path: &Path, files: &dyn Files) -> Result<Profile, Problems> {
    let mut found = Findings::default();
    let read = read_profile(text, path, files, &mut found);
    found.settle(read)
}

/// Where a cluster file's profiles are unless the user says otherwise:
/// `profiles/` beside the cluster file's directory.
pub fn default_profiles_dir(cluster_file: &Path) -> PathBuf {
    let dir = cluster_file.parent().unwrap_or(Path::new(""));
    match (dir.file_name(), dir.parent()) {
        (Some(_), Some(above)) => above.join("profiles"),
        _ => dir.join("../profiles"),
    }
}

/// A cluster file, the profiles it leads to, and what its neighbours claim.
type Read = (
    ClusterFile,
    BTreeMap<String, Profile>,
    BTreeMap<Ipv4Addr, PathBuf>,
);

fn read_cluster(
    text: &str,
    path: &Path,
    profiles_dir: Option<&Path>,
    files: &dyn Files,
    found: &mut Findings,
) -> Option<Read> {
    let mut check = Checker::new(path, text);
    let written: Option<written::ClusterFile> = document::read(SchemaKind::Cluster, &mut check);
    let mut profiles = BTreeMap::new();
    // Also when the cluster file is wrong: all mistakes in one run.
    if let (Some(dir), Some(written)) = (profiles_dir, &written) {
        for (name, places) in named_profiles(written) {
            let path = dir.join(format!("{name}.toml"));
            match files.read(&path, LIMIT) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let wrong = no_such_profile(&name, dir, files);
                    places
                        .iter()
                        .for_each(|place| check.wrong(place, wrong.clone()));
                }
                read => {
                    let profile = text_of(&path, read, found)
                        .and_then(|text| read_profile(&text, &path, files, found));
                    profiles.extend(profile.map(|profile| (name, profile)));
                }
            }
        }
    }
    // Where profiles are not looked for, the folder is not either.
    let taken = match (profiles_dir, &written) {
        (Some(_), Some(written)) => neighbours::check(written, &mut check, files),
        _ => BTreeMap::new(),
    };
    let cluster = written.and_then(|written| cluster::check(&written, &mut check, files));
    let cluster = found.add(check, cluster)?;
    Some((cluster, profiles, taken))
}

fn read_profile(
    text: &str,
    path: &Path,
    files: &dyn Files,
    found: &mut Findings,
) -> Option<Profile> {
    let mut check = Checker::new(path, text);
    let written: Option<written::ProfileFile> = document::read(SchemaKind::Profile, &mut check);
    let profile = written.and_then(|written| profile::check(&written, &mut check, files));
    found.add(check, profile)
}

/// The profiles that nodes name, and where; names that are none are complained
/// about elsewhere.
fn named_profiles(written: &written::ClusterFile) -> BTreeMap<String, Vec<Span>> {
    let mut named: BTreeMap<String, Vec<Span>> = BTreeMap::new();
    for node in written.nodes.items().iter().filter_map(|node| node.get()) {
        if let Some(Ok(name)) = node.profile.get().map(|name| cluster::profile_name(name)) {
            named.entry(name).or_default().push(node.profile.span());
        }
    }
    named
}

fn no_such_profile(name: &str, dir: &Path, files: &dyn Files) -> Wrong {
    let names = files.list(dir).unwrap_or_default();
    let known = || names.iter().filter_map(|name| name.strip_suffix(".toml"));
    let hint = match nearest(name, known()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None if known().next().is_none() => format!("there are no profiles in {}", shown(dir)),
        None => format!("the profiles in {} are {}", shown(dir), listed(known())),
    };
    Wrong::new(format!("there is no profile {}", quoted(name)), hint)
}

/// A file's content as text; the first byte that is not UTF-8 has a place too.
fn text_of(path: &Path, read: io::Result<Vec<u8>>, found: &mut Findings) -> Option<String> {
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(error) => {
            let message = format!("the file cannot be read: {}", why(&error));
            let hint = match error.kind() {
                io::ErrorKind::NotFound => "name an existing one, or make it after docs/CONFIG.md",
                _ => "put that right, or name another file",
            };
            let wrong = Wrong::new(message, hint);
            found.problems.push(wrong.at(path, (1, 1)));
            return None;
        }
    };
    String::from_utf8(bytes)
        .map_err(|error| {
            let (good, _) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
            let good = String::from_utf8_lossy(good);
            let wrong = Wrong::new("this is not UTF-8 text", "save the file as UTF-8");
            found
                .problems
                .push(wrong.at(path, position(&good, good.len())));
        })
        .ok()
}
