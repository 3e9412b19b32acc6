//! Keys, in the forms that K3s writes its own in.

use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use p256::pkcs8::{AssociatedOid as _, EncodePrivateKey as _};
use p256::{NistP256, SecretKey};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm, SigningKey};
use rsa::RsaPrivateKey;
use rsa::pkcs1::{DecodeRsaPrivateKey as _, EncodeRsaPrivateKey as _, LineEnding};
use rsa::traits::PublicKeyParts as _;
use sec1::der::SecretDocument;
use sec1::der::pem::PemLabel as _;
use sec1::{EcParameters, EcPrivateKey};
use ssh_key::rand_core::CryptoRngCore;
use zeroize::{Zeroize as _, Zeroizing};

use super::PkiError;
use crate::secret::{Secret, short_sha256};

/// What K3s' own key for service accounts has.
const SERVICE_BITS: usize = 2048;

/// The key that signs service accounts' tokens: RSA in PKCS#1 form, as K3s writes
/// its own. One key: to K3s a second one in the file is an older one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceKey(pub Secret);

/// rcgen's key pair, which is overwritten only when told to.
pub(super) struct Pair(KeyPair);

impl Pair {
    /// A new P-256 key, and its text.
    pub(super) fn new(rng: &mut impl CryptoRngCore) -> Result<(Self, Secret), PkiError> {
        let key = SecretKey::random(rng);
        let text = sec1(&key).map_err(|_| PkiError::Key("a key"))?;
        Ok((Self::of(&key)?, text))
    }

    /// The key of a text; `what` names whose it is in the error.
    pub(super) fn parse(text: &Secret, what: &str) -> Result<Self, PkiError> {
        let key = SecretKey::from_sec1_pem(text.expose());
        let wrong = "its key is no P-256 key in SEC 1 form";
        Self::of(&key.map_err(|_| PkiError::damaged(what, wrong))?)
    }

    fn of(key: &SecretKey) -> Result<Self, PkiError> {
        let failed = || PkiError::Key("a key");
        let der = key.to_pkcs8_der().map_err(|_| failed())?;
        let der = der.as_bytes().into();
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256);
        Ok(Self(pair.map_err(|_| failed())?))
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl PublicKeyData for Pair {
    fn der_bytes(&self) -> &[u8] {
        self.0.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        PublicKeyData::algorithm(&self.0)
    }
}

impl SigningKey for Pair {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.0.sign(message)
    }
}

impl ServiceKey {
    pub(super) fn new(rng: &mut impl CryptoRngCore) -> Result<Self, PkiError> {
        let failed = || PkiError::Key("the service accounts' key");
        let key = RsaPrivateKey::new(rng, SERVICE_BITS).map_err(|_| failed())?;
        let text = key.to_pkcs1_pem(LineEnding::LF).map_err(|_| failed())?;
        Ok(Self(Secret::from(text.as_str())))
    }

    pub(super) fn check(&self) -> Result<(), PkiError> {
        let what = "the service accounts' key";
        let key = self.parse()?;
        match key.size() * 8 >= SERVICE_BITS {
            true => Ok(()),
            false => Err(PkiError::damaged(what, "it is too short")),
        }
    }

    /// The beginning of the public modulus' sha256.
    ///
    /// # Errors
    /// When the key is damaged.
    pub fn fingerprint(&self) -> Result<String, PkiError> {
        Ok(short_sha256(&self.parse()?.n().to_bytes_be()))
    }

    fn parse(&self) -> Result<RsaPrivateKey, PkiError> {
        RsaPrivateKey::from_pkcs1_pem(self.0.expose()).map_err(|_| {
            PkiError::damaged(
                "the service accounts' key",
                "it is no RSA key in PKCS#1 form",
            )
        })
    }
}

/// `EC PRIVATE KEY` as openssl writes it (RFC 5915): with the name of the curve.
/// Without it, which the RFC forbids and some libraries do, neither openssl nor Go,
/// and so K3s, read it.
fn sec1(key: &SecretKey) -> Result<Secret, sec1::der::Error> {
    let private = Zeroizing::new(key.to_bytes());
    let public = key.public_key().to_encoded_point(false);
    let form = EcPrivateKey {
        private_key: &private,
        parameters: Some(EcParameters::NamedCurve(NistP256::OID)),
        public_key: Some(public.as_bytes()),
    };
    let der = SecretDocument::encode_msg(&form)?;
    let text = der.to_pem(EcPrivateKey::PEM_LABEL, LineEnding::LF)?;
    Ok(Secret::from(text.as_str()))
}
