//! Talks to a Git server: which commit a revision is, and that commit with its files
//! and without its past. The protocol is gitoxide's; here is what is asked for.

use std::io::{self, BufRead, Read};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use gix_error::{Error, Result};
use gix_hash::{Kind, ObjectId};
use gix_object::find::Never;
use gix_pack::Bundle;
use gix_pack::bundle::write::Options as Writing;
use gix_protocol::command::Feature;
use gix_protocol::fetch::negotiate::{Action, Round, one_round::State};
use gix_protocol::fetch::{Arguments, Context, Negotiate, Options, Response, Shallow, Tags};
use gix_protocol::handshake::Ref;
use gix_protocol::ls_refs::RefPrefixes;
use gix_protocol::{LsRefsCommand, agent};
use gix_transport::Service;
use gix_transport::client::blocking_io::Transport;
use gix_utils::progress::Discard;

use super::objects::Objects;

/// Of one commit's files, packed, in bytes. More is no cluster's folder.
const LONGEST_PACK: u64 = 128 << 20;

/// Of one object, while it is unpacked.
const LARGEST_OBJECT: usize = 64 << 20;

/// Larger files are not sent, where the server can do that.
const FILTER: &str = "blob:limit=2m";

/// What came.
pub(super) struct Fetched {
    /// The commit.
    pub(super) commit: ObjectId,
    /// It and its files.
    pub(super) objects: Objects,
}

/// Fetches one commit into a folder. `revision` is its full name, or that of a branch
/// or tag.
pub(super) fn fetch(
    mut transport: &mut dyn Transport,
    revision: &str,
    dir: &Path,
) -> Result<Fetched> {
    let name: Feature = ("agent", Some(agent("firstboot-agent")));
    // The login is sent with the first question: one that is refused stays so.
    let no_other_login = |_| Ok(None);
    let mut handshake = gix_protocol::handshake(
        &mut transport,
        Service::UploadPack,
        no_other_login,
        Vec::new(),
        &mut Discard,
    )?;
    let commit = match ObjectId::from_hex(revision.as_bytes()) {
        Ok(commit) => commit,
        Err(_) => {
            let refs = match handshake.refs.take() {
                // Before version 2 of the protocol they come unasked.
                Some(refs) => refs,
                None => {
                    let mut prefixes = RefPrefixes::new();
                    prefixes.extend(names(revision).map(Into::into));
                    LsRefsCommand::new(Some(prefixes), &handshake.capabilities, name.clone())
                        .invoke_blocking(&mut transport, &mut Discard, false)?
                }
            };
            let missing = || io::Error::other(format!("it has no branch or tag {revision}"));
            find(&refs, revision).ok_or_else(|| Error::from_error(missing()))?
        }
    };
    let mut bundle = None;
    gix_protocol::fetch(
        &mut Wanted(commit),
        |pack, progress, interrupt| {
            let mut pack = Limited {
                inner: pack,
                left: LONGEST_PACK,
            };
            let options = Writing {
                thread_limit: Some(1),
                alloc_limit_bytes: Some(LARGEST_OBJECT),
                ..Writing::default()
            };
            let written = Bundle::write_to_directory(
                &mut pack,
                Some(dir),
                progress,
                interrupt,
                None::<Never>,
                Kind::Sha1,
                options,
            )?;
            bundle = written.to_bundle().transpose()?;
            Ok(true)
        },
        Discard,
        &AtomicBool::new(false),
        Context {
            handshake: &mut handshake,
            transport: &mut transport,
            user_agent: name,
            trace_packetlines: false,
        },
        Options {
            shallow_file: dir.join("shallow"),
            shallow: &Shallow::DepthAtRemote(NonZeroU32::MIN),
            tags: Tags::None,
            reject_shallow_remote: false,
        },
    )?;
    let empty = || Error::from_error(io::Error::other("it sent no objects"));
    Ok(Fetched {
        commit,
        objects: Objects(bundle.ok_or_else(empty)?),
    })
}

/// What is at the bottom of it.
pub(super) fn cause(error: &Error) -> String {
    let mut cause = error.probable_cause();
    while let Some(below) = cause.source() {
        cause = below;
    }
    cause.to_string()
}

/// As git looks for them (gitrevisions(7)).
fn names(revision: &str) -> [String; 4] {
    ["", "refs/", "refs/tags/", "refs/heads/"].map(|before| format!("{before}{revision}"))
}

/// The commit, and not the tag that leads to it.
fn find(refs: &[Ref], revision: &str) -> Option<ObjectId> {
    let object = |name: &str| {
        refs.iter().find_map(|found| match found {
            Ref::Peeled {
                full_ref_name,
                object,
                ..
            }
            | Ref::Direct {
                full_ref_name,
                object,
            }
            | Ref::Symbolic {
                full_ref_name,
                object,
                ..
            } if full_ref_name == name => Some(*object),
            _ => None,
        })
    };
    names(revision).iter().find_map(|name| object(name))
}

/// Nothing is here yet, and one commit is wanted.
struct Wanted(ObjectId);

impl Negotiate for Wanted {
    fn mark_complete_and_common_ref(&mut self) -> Result<Action> {
        Ok(Action::MustNegotiate {
            remote_ref_target_known: vec![false],
        })
    }

    fn add_wants(&mut self, arguments: &mut Arguments, _: &[bool]) -> bool {
        arguments.want(self.0);
        if arguments.can_use_filter() {
            arguments.filter(FILTER);
        }
        true
    }

    fn one_round(
        &mut self,
        _: &mut State,
        _: &mut Arguments,
        _: Option<&Response>,
    ) -> Result<(Round, bool)> {
        let round = Round {
            haves_sent: 0,
            in_vain: 0,
            haves_to_send: 0,
            previous_response_had_at_least_one_in_common: false,
        };
        Ok((round, true))
    }
}

/// Ends with an error rather than too late.
struct Limited<'a> {
    inner: &'a mut dyn BufRead,
    left: u64,
}

impl Read for Limited<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut ready = self.fill_buf()?;
        let len = ready.read(buffer)?;
        self.consume(len);
        Ok(len)
    }
}

impl BufRead for Limited<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.left {
            0 => Err(io::Error::other(format!(
                "the commit's files are more than {} MiB",
                LONGEST_PACK >> 20
            ))),
            _ => self.inner.fill_buf(),
        }
    }

    fn consume(&mut self, len: usize) {
        self.left = self.left.saturating_sub(len as u64);
        self.inner.consume(len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pack_without_an_end_has_one() {
        let mut endless = io::BufReader::new(io::repeat(0));
        let mut pack = Limited {
            inner: &mut endless,
            left: 20_000,
        };
        let error = io::copy(&mut pack, &mut io::sink()).expect_err("no end");
        assert!(error.to_string().contains("are more than"), "{error}");
    }

    #[test]
    fn a_tag_goes_before_a_branch_and_leads_to_its_commit() {
        let id = |digit: u8| ObjectId::from_bytes_or_panic(&[digit; 20]);
        let branch = Ref::Direct {
            full_ref_name: "refs/heads/v1".into(),
            object: id(1),
        };
        let tag = Ref::Peeled {
            full_ref_name: "refs/tags/v1".into(),
            tag: id(2),
            object: id(3),
        };
        assert_eq!(find(&[branch.clone(), tag], "v1"), Some(id(3)));
        assert_eq!(find(std::slice::from_ref(&branch), "v1"), Some(id(1)));
        assert_eq!(find(&[branch], "v"), None);
    }
}
