//! New keys for JWTs, in PEM: what signs and what checks.

use crate::jwt::JwtAlgorithm;
use crate::secret::Secret;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Two halves.
pub struct KeyPair {
    /// Signs. PKCS #8 in PEM.
    pub private: Secret,
    /// Checks. SubjectPublicKeyInfo in PEM.
    pub public: String,
}

/// Draws a pair of keys; `None` for HS256, whose one key both sides know.
///
/// # Errors
/// When the system has no random bytes.
pub fn pair(algorithm: JwtAlgorithm) -> std::io::Result<Option<KeyPair>> {
    let drawn = match algorithm {
        JwtAlgorithm::HS256 => return Ok(None),
        JwtAlgorithm::EdDSA => ed25519(),
        JwtAlgorithm::ES256 => p256(),
        JwtAlgorithm::RS256 => rsa(),
    };
    let (private, public) = drawn.map_err(|_| std::io::Error::other("a key could not be drawn"))?;
    let private = Secret::new(pem("PRIVATE KEY", &private));
    Ok(Some(KeyPair { private, public: pem("PUBLIC KEY", &public) }))
}

type Ders = (Vec<u8>, Vec<u8>);

fn ed25519() -> Result<Ders, Unspecified> {
    let pair = Ed25519KeyPair::generate()?;
    let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair)?;
    let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key())?;
    Ok((private.as_ref().to_vec(), public.as_ref().to_vec()))
}

fn p256() -> Result<Ders, Unspecified> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    let private = pair.to_pkcs8v1()?;
    let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key())?;
    Ok((private.as_ref().to_vec(), public.as_ref().to_vec()))
}

fn rsa() -> Result<Ders, Unspecified> {
    let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048)?;
    let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair)?;
    let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key())?;
    Ok((private.as_ref().to_vec(), public.as_ref().to_vec()))
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
