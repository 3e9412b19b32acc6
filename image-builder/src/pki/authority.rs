//! One authority: a certificate and its key, as texts that K3s and openssl read.

use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use p256::pkcs8::{AssociatedOid as _, EncodePrivateKey as _};
use p256::{NistP256, SecretKey};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SerialNumber, SignatureAlgorithm,
    SigningKey,
};
use rsa::RsaPrivateKey;
use rsa::pkcs1::{DecodeRsaPrivateKey as _, EncodeRsaPrivateKey as _, LineEnding};
use rsa::traits::PublicKeyParts as _;
use sec1::der::SecretDocument;
use sec1::der::pem::PemLabel as _;
use sec1::{EcParameters, EcPrivateKey};
use ssh_key::rand_core::CryptoRngCore;
use time::{Duration, OffsetDateTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::Pem;
use zeroize::{Zeroize as _, Zeroizing};

use super::PkiError;
use crate::secret::{Secret, short_sha256};

/// A node's clock may be behind that of the machine which makes the certificates,
/// and a Pi 5 without a battery starts in the past.
const EARLIER: Duration = Duration::DAY;

/// What K3s' own key for service accounts has.
const SERVICE_BITS: usize = 2048;

/// A certificate authority. `Debug` does not show the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// The certificate alone, as PEM.
    pub certificate: String,
    /// Its key: P-256 in SEC 1 form (`EC PRIVATE KEY`), as K3s writes its own.
    pub key: Secret,
}

/// The key that signs service accounts' tokens: RSA in PKCS#1 form, as K3s writes
/// its own. One key: to K3s a second one in the file is an older one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceKey(pub Secret);

/// An authority at work: its key parsed.
pub(super) struct Signer {
    issuer: Issuer<'static, Pair>,
}

/// rcgen's key pair, which is overwritten only when told to.
struct Pair(KeyPair);

/// What a certificate is for.
pub(super) struct Subject<'a> {
    pub(super) common_name: &'a str,
    pub(super) organisation: Option<&'a str>,
}

impl Authority {
    pub(super) fn root(
        rng: &mut impl CryptoRngCore,
        name: &str,
        at: OffsetDateTime,
        days: i64,
    ) -> Result<Self, PkiError> {
        let (pair, key) = new_key(rng)?;
        let subject = Subject {
            common_name: name,
            organisation: None,
        };
        let mut params = params(rng, &subject, at, days);
        for_authority(&mut params);
        // By its absence K3s knows a root (hashCA in pkg/clientaccess/token.go).
        params.use_authority_key_identifier_extension = false;
        let certificate = params.self_signed(&pair).map_err(refused(name))?.pem();
        Ok(Self { certificate, key })
    }

    /// Makes it ready to sign; `what` names it in the error.
    pub(super) fn signer(&self, what: &str) -> Result<Signer, PkiError> {
        let pair = pair(&parse_key(&self.key, what)?)?;
        let issuer = Issuer::from_ca_cert_pem(&self.certificate, pair);
        let issuer = issuer.map_err(|_| damaged(what, "its certificate cannot be read"))?;
        Ok(Signer { issuer })
    }

    pub(super) fn check(&self, what: &str, issuer: &Self) -> Result<(), PkiError> {
        let der = self.der(what)?;
        let certificate = parse(&der, what)?;
        let signed_by = issuer.der(what)?;
        let issuer = parse(&signed_by, what)?;
        let pair = pair(&parse_key(&self.key, what)?)?;
        if certificate.public_key().raw != pair.subject_public_key_info() {
            return Err(damaged(what, "its key is not that of its certificate"));
        }
        if !certificate.is_ca() {
            return Err(damaged(what, "its certificate is not an authority's"));
        }
        let signed = certificate.verify_signature(Some(issuer.public_key()));
        if certificate.issuer() != issuer.subject() || signed.is_err() {
            return Err(damaged(what, "another authority signed it"));
        }
        Ok(())
    }

    /// When it ends.
    ///
    /// # Errors
    /// When the certificate is damaged.
    pub fn not_after(&self) -> Result<OffsetDateTime, PkiError> {
        let der = self.der("the certificate")?;
        Ok(parse(&der, "the certificate")?
            .validity()
            .not_after
            .to_datetime())
    }

    /// The beginning of the certificate's sha256, of the DER as `openssl x509
    /// -fingerprint -sha256` takes it.
    ///
    /// # Errors
    /// When the certificate is damaged.
    pub fn fingerprint(&self) -> Result<String, PkiError> {
        Ok(short_sha256(&self.der("the certificate")?))
    }

    /// The beginning of the public key's sha256 (of the SubjectPublicKeyInfo).
    ///
    /// # Errors
    /// When the key is damaged.
    pub fn key_fingerprint(&self) -> Result<String, PkiError> {
        let pair = pair(&parse_key(&self.key, "the key")?)?;
        Ok(short_sha256(&pair.subject_public_key_info()))
    }

    fn der(&self, what: &str) -> Result<Vec<u8>, PkiError> {
        let mut found = Pem::iter_from_buffer(self.certificate.as_bytes());
        match (found.next(), found.next()) {
            (Some(Ok(pem)), None) if pem.label == "CERTIFICATE" => Ok(pem.contents),
            _ => Err(damaged(
                what,
                "its certificate is not one certificate as PEM",
            )),
        }
    }
}

impl Signer {
    /// An authority below this one.
    pub(super) fn authority(
        &self,
        rng: &mut impl CryptoRngCore,
        name: &str,
        at: OffsetDateTime,
        days: i64,
    ) -> Result<Authority, PkiError> {
        let subject = Subject {
            common_name: name,
            organisation: None,
        };
        let mut params = params(rng, &subject, at, days);
        for_authority(&mut params);
        self.sign(rng, name, &params)
    }

    /// A certificate below this authority, with a new key.
    pub(super) fn sign(
        &self,
        rng: &mut impl CryptoRngCore,
        name: &str,
        params: &CertificateParams,
    ) -> Result<Authority, PkiError> {
        let (pair, key) = new_key(rng)?;
        let signed = params.signed_by(&pair, &self.issuer);
        let certificate = signed.map_err(refused(name))?.pem();
        Ok(Authority { certificate, key })
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
            false => Err(damaged(what, "it is too short")),
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
            damaged(
                "the service accounts' key",
                "it is no RSA key in PKCS#1 form",
            )
        })
    }
}

/// What all our certificates have. A serial number of 16 bytes from the random
/// source, positive and without a leading zero (RFC 5280, section 4.1.2.2).
pub(super) fn params(
    rng: &mut impl CryptoRngCore,
    subject: &Subject<'_>,
    at: OffsetDateTime,
    days: i64,
) -> CertificateParams {
    let mut serial = [0; 16];
    rng.fill_bytes(&mut serial);
    serial[0] = serial[0] & 0x7f | 0x40;
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.not_before = at - EARLIER;
    params.not_after = at + Duration::days(days);
    params.use_authority_key_identifier_extension = true;
    params.distinguished_name = DistinguishedName::new();
    if let Some(name) = subject.organisation {
        params
            .distinguished_name
            .push(DnType::OrganizationName, name);
    }
    params
        .distinguished_name
        .push(DnType::CommonName, subject.common_name);
    params
}

/// The extensions of K3s' script, `v3_ca`.
fn for_authority(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
        KeyUsagePurpose::KeyCertSign,
    ];
}

fn new_key(rng: &mut impl CryptoRngCore) -> Result<(Pair, Secret), PkiError> {
    let key = SecretKey::random(rng);
    let text = sec1(&key).map_err(|_| PkiError::Key("a key"))?;
    Ok((pair(&key)?, text))
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

fn parse_key(key: &Secret, what: &str) -> Result<SecretKey, PkiError> {
    SecretKey::from_sec1_pem(key.expose())
        .map_err(|_| damaged(what, "its key is no P-256 key in SEC 1 form"))
}

fn pair(key: &SecretKey) -> Result<Pair, PkiError> {
    let failed = || PkiError::Key("a key");
    let der = key.to_pkcs8_der().map_err(|_| failed())?;
    let pair =
        KeyPair::from_pkcs8_der_and_sign_algo(&der.as_bytes().into(), &PKCS_ECDSA_P256_SHA256);
    Ok(Pair(pair.map_err(|_| failed())?))
}

fn parse<'a>(der: &'a [u8], what: &str) -> Result<X509Certificate<'a>, PkiError> {
    match x509_parser::parse_x509_certificate(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(damaged(what, "its certificate cannot be read")),
    }
}

fn damaged(what: &str, why: &'static str) -> PkiError {
    PkiError::Damaged {
        what: what.to_owned(),
        why,
    }
}

fn refused(name: &str) -> impl FnOnce(rcgen::Error) -> PkiError + '_ {
    move |source| PkiError::Certificate {
        name: name.to_owned(),
        source,
    }
}
