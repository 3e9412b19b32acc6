//! Files of a commit, out of the pack they came in. Every object is seen to have the
//! name by which it was asked for.

use gix_hash::{Kind, ObjectId};
use gix_object::{CommitRefIter, Kind as Is, TreeRefIter};
use gix_pack::Bundle;
use gix_pack::cache::Never;
use gix_zlib::Inflate;

/// What came of a repository.
pub(super) struct Objects(pub(super) Bundle);

impl Objects {
    /// A commit.
    pub(super) fn commit(&self, id: &ObjectId) -> Result<Vec<u8>, String> {
        self.object(id, Is::Commit)
    }

    /// A text by its path in a commit.
    pub(super) fn text(&self, commit: &[u8], path: &str, longest: u64) -> Result<String, String> {
        let damaged = |what: &dyn std::fmt::Display| format!("reading {path}: {what}");
        let mut id = CommitRefIter::from_bytes(commit, Kind::Sha1)
            .tree_id()
            .map_err(|error| damaged(&error))?;
        let mut is = Is::Tree;
        for part in path.split('/') {
            // Of a file that has something below it the object is no tree.
            let tree = self.object(&id, Is::Tree)?;
            let mut found = None;
            for entry in TreeRefIter::from_bytes(&tree, Kind::Sha1) {
                let entry = entry.map_err(|error| damaged(&error))?;
                if entry.filename == part {
                    found = Some((entry.oid.to_owned(), entry.mode));
                }
            }
            let (next, mode) = found.ok_or_else(|| format!("{path} is not in the commit"))?;
            is = match (mode.is_tree(), mode.is_blob()) {
                (true, _) => Is::Tree,
                (_, true) => Is::Blob,
                _ => return Err(format!("{path} is neither a file nor a folder")),
            };
            id = next;
        }
        if is != Is::Blob {
            return Err(format!("{path} is a folder"));
        }
        let bytes = self.object(&id, Is::Blob)?;
        if bytes.len() as u64 > longest {
            return Err(format!("{path} is larger than {} KiB", longest >> 10));
        }
        String::from_utf8(bytes).map_err(|_| format!("{path} is not UTF-8"))
    }

    fn object(&self, id: &ObjectId, is: Is) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let found = self
            .0
            .find(id, &mut bytes, &mut Inflate::default(), &mut Never);
        let found = found.map_err(|error| format!("the object {id} is damaged: {error}"))?;
        let (object, _) = found.ok_or_else(|| format!("the server left out the object {id}"))?;
        if object.kind != is {
            return Err(format!("the object {id} is a {}, not a {is}", object.kind));
        }
        let named = object.verify_checksum(id);
        named.map_err(|error| format!("the object {id} is damaged: {error}"))?;
        Ok(bytes)
    }
}
