//! JSON Web Tokens (RFC 7519), signed by somebody else's keys: who, for how long, and what they may.
//!
//! The key decides the algorithm, never the token (RFC 8725, section 3.1): a public key cannot be taken for a shared secret,
//! and `none` is no algorithm here. A token without an end is refused. The claim `livetape` holds the grants.

use crate::grant::Grants;
use crate::identity::{Identity, Proof, plain};
use crate::secret::Secret;
use crate::token::sha256;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use livetape_audio::WallTime;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Longest token, in bytes.
const MAX_TOKEN: usize = 8 << 10;
/// Most keys.
pub(crate) const MAX_KEYS: usize = 64;
/// Fewest bytes of a shared secret (RFC 7518, section 3.2) and of an RSA modulus (section 3.3).
const MIN_SECRET: usize = 32;
const MIN_MODULUS: usize = 256;
/// Signatures that are checked for anybody; a token that more keys may have signed takes too long for that.
const FEW: usize = 4;

/// How tokens may be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum JwtAlgorithm {
    /// HMAC with SHA-256: a shared secret.
    HS256,
    /// RSA PKCS #1 v1.5 with SHA-256.
    RS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// Ed25519.
    EdDSA,
}

impl JwtAlgorithm {
    const fn of_library(self) -> Algorithm {
        match self {
            Self::HS256 => Algorithm::HS256,
            Self::RS256 => Algorithm::RS256,
            Self::ES256 => Algorithm::ES256,
            Self::EdDSA => Algorithm::EdDSA,
        }
    }
}

/// What a token says, of what matters here.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Claims {
    /// Who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// By whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// For whom: one name or several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aud: Option<serde_json::Value>,
    /// Its id, by which it can be revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// Until when: seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<serde_json::Number>,
    /// From when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<serde_json::Number>,
    /// What for.
    #[serde(default)]
    pub livetape: Grants,
}

/// A key that checks tokens.
#[derive(Clone)]
pub(crate) struct JwtKey {
    pub(crate) id: Option<String>,
    algorithm: JwtAlgorithm,
    key: DecodingKey,
    pub(crate) fingerprint: [u8; 32],
}

impl fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JwtKey({:?}, {:?})", self.id, self.algorithm)
    }
}

impl JwtKey {
    /// Reads a key: PEM of a public key; a shared secret as it stands there, without the space around it.
    pub(crate) fn read(algorithm: JwtAlgorithm, id: Option<String>, text: &str) -> Result<Self, String> {
        let bytes = text.trim().as_bytes();
        let is_pem = text.contains("-----BEGIN");
        let not_pem = |_| format!("not a public key for {algorithm:?} in PEM");
        let key = match algorithm {
            // Else everybody who has the public key could sign.
            JwtAlgorithm::HS256 if is_pem => return Err("HS256 takes a shared secret, and this is PEM".into()),
            JwtAlgorithm::HS256 if bytes.len() < MIN_SECRET => {
                return Err(format!("the shared secret is shorter than {MIN_SECRET} bytes"));
            }
            JwtAlgorithm::HS256 => DecodingKey::from_secret(bytes),
            _ if text.contains("PRIVATE KEY") => {
                return Err("this is a private key: give the public one, and keep the private one elsewhere".into());
            }
            JwtAlgorithm::RS256 => DecodingKey::from_rsa_pem(bytes).map_err(not_pem)?,
            JwtAlgorithm::ES256 => DecodingKey::from_ec_pem(bytes).map_err(not_pem)?,
            JwtAlgorithm::EdDSA => DecodingKey::from_ed_pem(bytes).map_err(not_pem)?,
        };
        if algorithm == JwtAlgorithm::RS256 && key.try_get_as_bytes().is_ok_and(|der| der.len() < MIN_MODULUS) {
            return Err("the RSA key is shorter than 2048 bits".into());
        }
        let fingerprint = sha256(format!("{algorithm:?}\n{}", text.trim()).as_bytes());
        Ok(Self { id, algorithm, key, fingerprint })
    }

    /// Reads a set of keys (RFC 7517); what is not for checking signatures in a way known here is left out.
    pub(crate) fn read_set(text: &str) -> Result<Vec<Self>, String> {
        let set: JwkSet = serde_json::from_str(text).map_err(|e| format!("not a set of keys (JWKS): {e}"))?;
        if set.keys.len() > MAX_KEYS {
            return Err(format!("{} keys; at most {MAX_KEYS} are possible", set.keys.len()));
        }
        let keys = set.keys.iter().filter(|jwk| jwk.common.public_key_use != Some(PublicKeyUse::Encryption));
        keys.filter_map(|jwk| Some((jwk, kind(jwk)?))).map(|(jwk, algorithm)| Self::of_set(jwk, algorithm)).collect()
    }

    fn of_set(jwk: &Jwk, algorithm: JwtAlgorithm) -> Result<Self, String> {
        let id = jwk.common.key_id.clone();
        let name = || id.as_deref().unwrap_or("without an id");
        let wrong = |why: &str| format!("key {:?}: {why}", name());
        let size = |text: &str| URL_SAFE_NO_PAD.decode(text).map(|b| b.len()).unwrap_or(0);
        match &jwk.algorithm {
            AlgorithmParameters::RSA(rsa) if size(&rsa.n) < MIN_MODULUS => return Err(wrong("shorter than 2048 bits")),
            AlgorithmParameters::OctetKey(key) if size(&key.value) < MIN_SECRET => {
                return Err(wrong("the shared secret is shorter than 32 bytes"));
            }
            _ => {}
        }
        let key = DecodingKey::from_jwk(jwk).map_err(|_| wrong("cannot be read"))?;
        let text = serde_json::to_string(&jwk.algorithm).unwrap_or_default();
        let fingerprint = sha256(format!("{algorithm:?}\n{text}").as_bytes());
        Ok(Self { id, algorithm, key, fingerprint })
    }
}

/// For which algorithm a key of a set is: what it says and what it is have to agree.
fn kind(jwk: &Jwk) -> Option<JwtAlgorithm> {
    let (algorithm, said) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (JwtAlgorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::OctetKey(_) => (JwtAlgorithm::HS256, KeyAlgorithm::HS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (JwtAlgorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (JwtAlgorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        _ => return None,
    };
    jwk.common.key_algorithm.is_none_or(|named| named == said).then_some(algorithm)
}

/// Whose tokens are taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct JwtRules {
    pub(crate) keys: Vec<JwtKey>,
    pub(crate) issuer: Option<String>,
    pub(crate) audience: Option<String>,
    pub(crate) leeway: Duration,
}

/// Why a token does not count. Says nothing of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JwtError {
    #[error("the JWT cannot be read")]
    Form,
    #[error("the JWT was not signed by a key that is known here, in that key's way")]
    Signature,
    #[error("the JWT says no end (exp), or times that are none")]
    Times,
    #[error("the JWT has expired")]
    Expired,
    #[error("the JWT is not valid yet")]
    NotYet,
    #[error("the JWT is by another issuer, or for another audience")]
    NotOurs,
}

impl JwtError {
    /// Whether the token may be made up: not if one of these keys signed it.
    pub(crate) const fn is_guess(self) -> bool {
        matches!(self, Self::Form | Self::Signature)
    }
}

/// What of a signed token has to hold for as long as it counts.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct JwtProof {
    /// The key that signed.
    key: [u8; 32],
    /// Its id, by which it can be revoked.
    pub(crate) id: Option<String>,
    issuer: Option<String>,
    audience: Option<serde_json::Value>,
}

impl JwtRules {
    /// Whether it takes long to find out who signed this: it names no key, and there are many.
    pub(crate) fn is_slow(&self, token: &Secret) -> bool {
        let token = token.reveal();
        self.keys.len() > FEW
            && token.len() <= MAX_TOKEN
            && jsonwebtoken::decode_header(token).is_ok_and(|header| self.fitting(&header).count() > FEW)
    }

    /// Whether what was proved before still is, by these keys and names.
    pub(crate) fn still(&self, proof: &JwtProof) -> bool {
        self.keys.iter().any(|key| key.fingerprint == proof.key)
            && self.ours(proof.issuer.as_ref(), proof.audience.as_ref())
    }

    /// Who holds this token at `now`.
    pub(crate) fn check(&self, token: &Secret, now: WallTime) -> Result<Identity, JwtError> {
        let token = token.reveal();
        if token.len() > MAX_TOKEN {
            return Err(JwtError::Form);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| JwtError::Form)?;
        // RFC 7515, section 4.1.11: none of them is understood here.
        if header.crit.is_some() {
            return Err(JwtError::Form);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(JwtError::Form)?;
        let (_, payload) = message.split_once('.').ok_or(JwtError::Form)?;
        let key = self.signed_by(&header, message, signature).ok_or(JwtError::Signature)?;
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| JwtError::Form)?;
        let claims: Claims = serde_json::from_slice(&payload).map_err(|_| JwtError::Form)?;
        let until = self.valid(&claims, now)?;
        let name = plain(claims.sub.as_deref().or(claims.jti.as_deref()).unwrap_or("somebody"));
        let Claims { jti: id, iss: issuer, aud: audience, .. } = claims;
        let proof = Proof::Jwt(JwtProof { key: key.fingerprint, id, issuer, audience });
        Ok(Identity { name, proof, grants: claims.livetape, until: Some(until) })
    }

    /// The keys that may have signed it.
    fn fitting(&self, header: &Header) -> impl Iterator<Item = &JwtKey> {
        self.keys.iter().filter(|key| {
            key.algorithm.of_library() == header.alg
                && (header.kid.is_none() || key.id.is_none() || key.id == header.kid)
        })
    }

    fn signed_by(&self, header: &Header, message: &str, signature: &str) -> Option<&JwtKey> {
        let is_by = |key: &&JwtKey| {
            jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key.key, key.algorithm.of_library())
                == Ok(true)
        };
        self.fitting(header).find(is_by)
    }

    /// Until when the claims hold, if they do.
    fn valid(&self, claims: &Claims, now: WallTime) -> Result<WallTime, JwtError> {
        let until = claims.exp.as_ref().and_then(time).ok_or(JwtError::Times)?.later(self.leeway);
        if now >= until {
            return Err(JwtError::Expired);
        }
        if let Some(from) = &claims.nbf
            && now < time(from).ok_or(JwtError::Times)?.earlier(self.leeway)
        {
            return Err(JwtError::NotYet);
        }
        if self.ours(claims.iss.as_ref(), claims.aud.as_ref()) { Ok(until) } else { Err(JwtError::NotOurs) }
    }

    /// Whether a token is by the issuer and for the audience that count here.
    fn ours(&self, issuer: Option<&String>, audience: Option<&serde_json::Value>) -> bool {
        let is_for = |ours: &String| match audience {
            Some(serde_json::Value::String(one)) => one == ours,
            Some(serde_json::Value::Array(all)) => all.iter().any(|one| one.as_str() == Some(ours)),
            _ => false,
        };
        let by_issuer = self.issuer.is_none() || issuer == self.issuer.as_ref();
        // RFC 7519, section 4.1.3: who is not named has to refuse.
        by_issuer && self.audience.as_ref().map_or(audience.is_none(), is_for)
    }
}

/// NumericDate: seconds since 1970, with or without a fraction.
fn time(number: &serde_json::Number) -> Option<WallTime> {
    let seconds = number.as_f64().filter(|s| (0.0..9.2e9).contains(s))?;
    Some(WallTime::default().later(Duration::from_secs_f64(seconds)))
}

/// Why a token cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The key.
    #[error(
        "the key does not fit the algorithm: a shared secret of at least 32 bytes for HS256, else a private key in PEM (PKCS #8)"
    )]
    Key,
    /// Signing failed.
    #[error("the token could not be signed with this key")]
    Failed,
}

/// Makes a token.
///
/// # Errors
/// [`IssueError`].
pub fn issue(algorithm: JwtAlgorithm, key: &Secret, id: Option<String>, claims: &Claims) -> Result<Secret, IssueError> {
    let bytes = key.reveal().trim().as_bytes();
    let wrong = |_| IssueError::Key;
    let key = match algorithm {
        JwtAlgorithm::HS256 if bytes.len() < MIN_SECRET || bytes.starts_with(b"-----") => return Err(IssueError::Key),
        JwtAlgorithm::HS256 => EncodingKey::from_secret(bytes),
        JwtAlgorithm::RS256 => EncodingKey::from_rsa_pem(bytes).map_err(wrong)?,
        JwtAlgorithm::ES256 => EncodingKey::from_ec_pem(bytes).map_err(wrong)?,
        JwtAlgorithm::EdDSA => EncodingKey::from_ed_pem(bytes).map_err(wrong)?,
    };
    let header = Header { kid: id, ..Header::new(algorithm.of_library()) };
    jsonwebtoken::encode(&header, claims, &key).map(Secret::new).map_err(|_| IssueError::Failed)
}

#[cfg(test)]
mod tests;
