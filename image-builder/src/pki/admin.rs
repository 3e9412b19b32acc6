//! The administrator's way in: a client certificate, and the kubeconfig around it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::{ExtendedKeyUsagePurpose, KeyUsagePurpose};
use ssh_key::rand_core::CryptoRngCore;
use time::OffsetDateTime;

use super::authority::{Subject, params};
use super::{Authorities, PkiError};
use crate::secret::Secret;

/// The group that may do everything, whatever the roles say (Kubernetes' RBAC
/// documentation, "superuser").
const MASTERS: &str = "system:masters";

/// The user K3s' own kubeconfig has.
const USER: &str = "system:admin";

/// How long K3s' own client certificates last. No longer: Kubernetes cannot revoke
/// one.
const DAYS: i64 = 365;

/// A client certificate of an administrator. `Debug` does not show the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// The certificate and what signed it, as PEM.
    pub chain: String,
    /// Its key.
    pub key: Secret,
}

impl Authorities {
    /// A new client certificate for an administrator, valid for a year from a day
    /// before `at`.
    ///
    /// # Errors
    /// When the client CA is damaged, or the certificate cannot be made.
    pub fn admin(
        &self,
        rng: &mut impl CryptoRngCore,
        at: OffsetDateTime,
    ) -> Result<Admin, PkiError> {
        let subject = Subject {
            common_name: USER,
            organisation: Some(MASTERS),
        };
        let mut params = params(rng, &subject, at, DAYS);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let made = self
            .client
            .signer("the client CA")?
            .sign(rng, USER, &params)?;
        // As K3s writes client-admin.crt: what signed it comes along.
        let chain = made.certificate + &self.chain(&self.client);
        Ok(Admin {
            chain,
            key: made.key,
        })
    }
}

/// A kubeconfig for `kubectl`: `cluster` names everything in it, `server` is the
/// API's URL. Whoever holds it is the cluster's administrator.
pub fn kubeconfig(authorities: &Authorities, admin: &Admin, cluster: &str, server: &str) -> Secret {
    let data = |text: &str| BASE64_STANDARD.encode(text);
    let ca = data(&authorities.chain(&authorities.server));
    let certificate = data(&admin.chain);
    let key = Secret::new(data(admin.key.expose()));
    let key = key.expose();
    // Quoted: a name may be one that YAML takes for something else, such as `no`.
    Secret::new(format!(
        "\
apiVersion: v1
kind: Config
preferences: {{}}
clusters:
- name: \"{cluster}\"
  cluster:
    server: \"{server}\"
    certificate-authority-data: {ca}
contexts:
- name: \"{cluster}\"
  context:
    cluster: \"{cluster}\"
    user: \"{cluster}-admin\"
current-context: \"{cluster}\"
users:
- name: \"{cluster}-admin\"
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
"
    ))
}
