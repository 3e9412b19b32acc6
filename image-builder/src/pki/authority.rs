//! One authority: a certificate and its key, as texts that K3s and openssl read.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyUsagePurpose,
    PublicKeyData as _, SerialNumber,
};
use ssh_key::rand_core::CryptoRngCore;
use time::{Duration, OffsetDateTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::Pem;

use super::PkiError;
use super::key::Pair;
use crate::secret::{Secret, short_sha256};

/// A node's clock may be behind that of the machine which makes the certificates,
/// and a Pi 5 without a battery starts in the past.
const EARLIER: Duration = Duration::DAY;

/// A certificate authority. `Debug` does not show the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// The certificate alone, as PEM.
    pub certificate: String,
    /// Its key: P-256 in SEC 1 form (`EC PRIVATE KEY`), as K3s writes its own.
    pub key: Secret,
}

/// An authority at work: its key parsed.
pub(super) struct Signer {
    issuer: Issuer<'static, Pair>,
}

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
        let (pair, key) = Pair::new(rng)?;
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
        let pair = Pair::parse(&self.key, what)?;
        let issuer = Issuer::from_ca_cert_pem(&self.certificate, pair);
        let issuer =
            issuer.map_err(|_| PkiError::damaged(what, "its certificate cannot be read"))?;
        Ok(Signer { issuer })
    }

    pub(super) fn check(&self, what: &str, issuer: &Self) -> Result<(), PkiError> {
        let der = self.der(what)?;
        let certificate = parse(&der, what)?;
        let signed_by = issuer.der(what)?;
        let issuer = parse(&signed_by, what)?;
        let pair = Pair::parse(&self.key, what)?;
        if certificate.public_key().raw != pair.subject_public_key_info() {
            return Err(PkiError::damaged(
                what,
                "its key is not that of its certificate",
            ));
        }
        if !certificate.is_ca() {
            return Err(PkiError::damaged(
                what,
                "its certificate is not an authority's",
            ));
        }
        let signed = certificate.verify_signature(Some(issuer.public_key()));
        if certificate.issuer() != issuer.subject() || signed.is_err() {
            return Err(PkiError::damaged(what, "another authority signed it"));
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
        let pair = Pair::parse(&self.key, "the key")?;
        Ok(short_sha256(&pair.subject_public_key_info()))
    }

    fn der(&self, what: &str) -> Result<Vec<u8>, PkiError> {
        let mut found = Pem::iter_from_buffer(self.certificate.as_bytes());
        match (found.next(), found.next()) {
            (Some(Ok(pem)), None) if pem.label == "CERTIFICATE" => Ok(pem.contents),
            _ => Err(PkiError::damaged(
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
        let (pair, key) = Pair::new(rng)?;
        let signed = params.signed_by(&pair, &self.issuer);
        let certificate = signed.map_err(refused(name))?.pem();
        Ok(Authority { certificate, key })
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

fn parse<'a>(der: &'a [u8], what: &str) -> Result<X509Certificate<'a>, PkiError> {
    match x509_parser::parse_x509_certificate(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(PkiError::damaged(what, "its certificate cannot be read")),
    }
}

fn refused(name: &str) -> impl FnOnce(rcgen::Error) -> PkiError + '_ {
    move |source| PkiError::Certificate {
        name: name.to_owned(),
        source,
    }
}
