//! What the first server finds in `server/tls` before its first start.

use super::{Authorities, Authority};
use crate::secret::Secret;

/// Where K3s keeps them, with its default data directory.
pub const TLS_DIR: &str = "/var/lib/rancher/k3s/server/tls";

/// One file below [`TLS_DIR`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFile {
    /// Path below the directory, `etcd/peer-ca.crt`.
    pub path: &'static str,
    /// Permissions, as K3s gives its own.
    pub mode: u16,
    /// What it holds: certificates or a key.
    pub content: Secret,
}

/// Certificates, which every client is shown anyway.
const PUBLIC: u16 = 0o644;

/// Keys.
const PRIVATE: u16 = 0o600;

impl Authorities {
    /// The whole list, sorted by path: an authority's chain and its key each, and
    /// the service accounts' key. The keys of root and intermediate are not in it:
    /// K3s does not need them, so no node has them.
    ///
    /// Only the first server needs these files; the others get them from the
    /// datastore when they join. The directories are K3s' own, mode 0700.
    pub fn files(&self) -> Vec<TlsFile> {
        let mut files = vec![TlsFile {
            path: "service.key",
            mode: PRIVATE,
            content: self.service.0.clone(),
        }];
        for ([crt, key], authority) in self.in_tls() {
            files.push(TlsFile {
                path: crt,
                mode: PUBLIC,
                content: Secret::new(self.chain(authority)),
            });
            files.push(TlsFile {
                path: key,
                mode: PRIVATE,
                content: authority.key.clone(),
            });
        }
        files.sort_by_key(|file| file.path);
        files
    }

    /// The authorities that K3s uses, each with the names of its two files.
    pub(crate) fn in_tls(&self) -> [([&'static str; 2], &Authority); 5] {
        [
            (["server-ca.crt", "server-ca.key"], &self.server),
            (["client-ca.crt", "client-ca.key"], &self.client),
            (
                ["request-header-ca.crt", "request-header-ca.key"],
                &self.request_header,
            ),
            (["etcd/peer-ca.crt", "etcd/peer-ca.key"], &self.etcd_peer),
            (
                ["etcd/server-ca.crt", "etcd/server-ca.key"],
                &self.etcd_server,
            ),
        ]
    }
}
