//! K3s' supervisor on another server: who it is, and whether it lets this node in.
//!
//! Asked in the order in which K3s asks (`getCACerts` in `pkg/clientaccess/token.go`),
//! each rung only after the one below it: whether somebody listens, whether that is
//! K3s, whose CA it names, whether it can prove that, and only then, with the
//! token, whether it is ready for us. A stranger is never shown the token.

pub(crate) mod authority;
pub(crate) mod token;

use std::net::{Ipv4Addr, SocketAddrV4};

use node_config::Role;

use self::token::Token;
use crate::stages::StageError;
use crate::system::https::{Get, NoAnswer, Trust};
use crate::system::{System, read_text};

/// The supervisor and the API (docs: K3s, "Requirements", networking).
pub(crate) const PORT: u16 = 6443;

/// As the builder's K3s configuration names it.
pub(crate) const TOKEN: &str = "/etc/rancher/k3s/token";

/// What this node knows of its cluster.
pub(crate) struct Visitor {
    /// Hash of the CA, 64 hex digits.
    pub(crate) ca_hash: String,
    /// The header that lets it in.
    pub(crate) authorization: String,
}

impl Visitor {
    /// With the token that was baked.
    ///
    /// # Errors
    /// Fatal without one: nothing brings it.
    pub(crate) fn of(ca_hash: &str, role: Role, sys: &dyn System) -> Result<Self, StageError> {
        let token = Token::parse(&read_text(sys, TOKEN)?).map_err(|why| {
            StageError::Fatal(format!(
                "{TOKEN} holds no token, {why}: write this disk again"
            ))
        })?;
        Ok(Self {
            ca_hash: ca_hash.to_owned(),
            authorization: token.authorization(role),
        })
    }

    /// Climbs as far as this server lets us.
    pub(crate) fn climb(&self, server: SocketAddrV4, sys: &dyn System) -> Rung {
        match self.climb_to_the_top(server, sys) {
            Ok(rung) | Err(rung) => rung,
        }
    }

    /// `Err` is where it ended.
    fn climb_to_the_top(&self, server: SocketAddrV4, sys: &dyn System) -> Result<Rung, Rung> {
        let get = |path, trust, authorization| {
            let request = Get {
                server,
                path,
                trust,
                authorization,
            };
            sys.get(&request)
        };
        let ping = get("/ping", Trust::Anybody, None).map_err(unproved)?;
        if ping.status != 200 || ping.body.trim_ascii() != b"pong" {
            return Err(Rung::Unclear(format!(
                "answers /ping with {}: that is not K3s, or not yet",
                ping.status
            )));
        }
        let bundle = get("/cacerts", Trust::Anybody, None).map_err(unproved)?;
        if bundle.status != 200 {
            return Err(Rung::Unclear(format!(
                "answers /cacerts with {}",
                bundle.status
            )));
        }
        let trusted = authority::pinned(&bundle.body, &self.ca_hash).ok_or(Rung::OtherCa)?;
        get("/cacerts", Trust::Only(&trusted), None).map_err(unproved)?;
        let answer = get(
            "/v1-k3s/readyz",
            Trust::Only(&trusted),
            Some(&self.authorization),
        )
        .map_err(unproved)?;
        Ok(match answer.status {
            200 => Rung::Ready,
            status @ (401 | 403) => Rung::Refused(status),
            status => Rung::Busy(status),
        })
    }
}

/// What time it is by a server, in seconds since 1970; `None` where it does not say, or
/// cannot prove to be of the cluster whose CA has this hash.
///
/// A certificate is valid for a time, and the time is the question: so the proof is
/// judged at the time that the server says it is. Nobody gives it who has no key that
/// the CA signed.
pub(crate) fn time_of(server: SocketAddrV4, ca_hash: &str, sys: &dyn System) -> Option<u64> {
    let get = |trust| {
        let request = Get {
            server,
            path: "/cacerts",
            trust,
            authorization: None,
        };
        sys.get(&request).ok()
    };
    let bundle = get(Trust::Anybody)?;
    let trusted = authority::pinned(&bundle.body, ca_hash)?;
    get(Trust::OnlyThen(&trusted, bundle.date?))?.date
}

/// How far a server lets this node climb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rung {
    /// Nobody listens.
    Silent,
    /// Somebody does, and it is not known who; how that shows.
    Unclear(String),
    /// Another cluster, or somebody who only says to be ours.
    OtherCa,
    /// Ours by name, and by this node's clock its certificate is not valid.
    Clock,
    /// Ours, and the token is not good enough; the status.
    Refused(u16),
    /// Ours, and not ready for us; the status.
    Busy(u16),
    /// Ours, and ready.
    Ready,
}

impl Rung {
    /// Whether it is a server of this node's cluster.
    pub(crate) fn is_ours(&self) -> bool {
        match self {
            Rung::Clock | Rung::Refused(_) | Rung::Busy(_) | Rung::Ready => true,
            Rung::Silent | Rung::Unclear(_) | Rung::OtherCa => false,
        }
    }

    /// What there is to say of that server, with the cure where there is one.
    pub(crate) fn words(&self, server: Ipv4Addr) -> String {
        match self {
            Rung::Silent => format!(
                "no server answers at port {PORT} of {server}: switch it on, or look at its network"
            ),
            Rung::Unclear(how) => format!("{server} {how}"),
            Rung::OtherCa => format!(
                "{server} belongs to another cluster: look at the addresses in the cluster file, \
                 or for a second cluster in this network"
            ),
            Rung::Clock => format!(
                "the certificate of {server} is not valid by this node's clock: give the network \
                 a time server, or name one as `ntp` in the cluster file"
            ),
            Rung::Refused(status) => format!(
                "{server} refuses this node's token ({status}): it expired, or the secrets were \
                 rotated after this disk was written; write it again"
            ),
            Rung::Busy(status) => {
                format!("{server} is of this cluster and not ready yet ({status})")
            }
            Rung::Ready => format!("{server} is ready"),
        }
    }
}

/// Where a climb ends without an answer.
fn unproved(why: NoAnswer) -> Rung {
    match why {
        NoAnswer::Silent => Rung::Silent,
        NoAnswer::Clock => Rung::Clock,
        NoAnswer::Stranger => Rung::OtherCa,
        NoAnswer::Broken(why) => Rung::Unclear(format!("listens and does not answer: {why}")),
    }
}

/// The server that K3s was told to join, from its drop-in.
pub(crate) fn told(drop_in: &str) -> Option<Ipv4Addr> {
    let url = drop_in.trim().strip_prefix("server: ")?.trim_matches('"');
    let host = url.strip_prefix("https://")?.split(':').next()?;
    host.parse().ok()
}

#[cfg(test)]
mod tests;
