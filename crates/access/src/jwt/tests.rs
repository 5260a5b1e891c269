//! Tokens of every algorithm, and those that try something.

use super::*;
use crate::keys::pair;

const SECRET: &str = "a shared secret of thirty-two bytes or more";

fn at(seconds: i64) -> WallTime {
    WallTime::from_unix_nanos(seconds * 1_000_000_000)
}

fn claims(exp: i64) -> Claims {
    let livetape = serde_json::from_str(r#"["listen:studio-*"]"#).unwrap();
    Claims { sub: Some("ann".into()), exp: Some(exp.into()), livetape, ..Claims::default() }
}

fn rules(keys: Vec<JwtKey>) -> JwtRules {
    JwtRules { keys, leeway: Duration::from_secs(30), ..JwtRules::default() }
}

fn shared() -> JwtRules {
    rules(vec![JwtKey::read(JwtAlgorithm::HS256, None, SECRET).unwrap()])
}

/// A token signed with the shared secret.
fn signed(header: &str, claims: &str) -> Secret {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let mac = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    Secret::new(format!("{message}.{mac}"))
}

#[test]
fn every_algorithm_checks_what_it_signed_and_nothing_else() {
    let mut all = vec![(JwtAlgorithm::HS256, Secret::new(SECRET), SECRET.to_owned())];
    for algorithm in [JwtAlgorithm::RS256, JwtAlgorithm::ES256, JwtAlgorithm::EdDSA] {
        let keys = pair(algorithm).unwrap().unwrap();
        all.push((algorithm, keys.private, keys.public));
    }
    for (algorithm, private, _) in &all {
        let token = issue(*algorithm, private, None, &claims(100)).unwrap();
        for (other, _, public) in &all {
            let rules = rules(vec![JwtKey::read(*other, None, public).unwrap()]);
            let checked = rules.check(&token, at(50));
            if other == algorithm {
                let who = checked.unwrap();
                assert_eq!((who.name(), who.until()), ("ann", Some(at(130))), "{algorithm:?}");
            } else {
                assert_eq!(checked.unwrap_err(), JwtError::Signature, "{algorithm:?} by {other:?}");
            }
        }
    }
}

#[test]
fn a_public_key_is_no_shared_secret() {
    let keys = pair(JwtAlgorithm::RS256).unwrap().unwrap();
    let rules = rules(vec![JwtKey::read(JwtAlgorithm::RS256, None, &keys.public).unwrap()]);
    // Signed with the text of the public key, which everybody may have.
    let key = EncodingKey::from_secret(keys.public.as_bytes());
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims(100), &key).unwrap();
    assert_eq!(rules.check(&Secret::new(token), at(50)).unwrap_err(), JwtError::Signature);
    assert!(JwtKey::read(JwtAlgorithm::HS256, None, &keys.public).unwrap_err().contains("PEM"));
    assert!(JwtKey::read(JwtAlgorithm::RS256, None, keys.private.reveal()).unwrap_err().contains("private"));
    assert!(JwtKey::read(JwtAlgorithm::HS256, None, "short").unwrap_err().contains("shorter"));
    assert!(JwtKey::read(JwtAlgorithm::EdDSA, None, &keys.public).is_err());
    assert_eq!(issue(JwtAlgorithm::HS256, &keys.private, None, &claims(1)).unwrap_err(), IssueError::Key);
}

#[test]
fn unsigned_and_half_signed_tokens_are_nothing() {
    let claims = r#"{"exp":100}"#;
    let good = signed(r#"{"alg":"HS256"}"#, claims);
    assert!(shared().check(&good, at(50)).is_ok());
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"NONE"}"#,
        r#"{"alg":"HS384"}"#,
        r#"{"alg":"RS256"}"#,
        r#"{}"#,
        r#"{"alg":"HS256","crit":["exp"]}"#,
        "not json",
    ] {
        assert!(shared().check(&signed(header, claims), at(50)).is_err(), "{header}");
    }
    let text = good.reveal();
    let (message, _) = text.rsplit_once('.').unwrap();
    for bad in
        [format!("{message}."), message.into(), format!("{text}x"), format!("{text}."), "..".into(), String::new()]
    {
        assert!(shared().check(&Secret::new(bad.clone()), at(50)).is_err(), "{bad}");
    }
    assert_eq!(shared().check(&Secret::new("a.".repeat(5_000)), at(50)).unwrap_err(), JwtError::Form);
}

#[test]
fn times_and_their_leeway() {
    let check = |claims: &str, now| shared().check(&signed(r#"{"alg":"HS256"}"#, claims), at(now)).map(|_| ());
    assert_eq!(check("{}", 50), Err(JwtError::Times), "without an end");
    assert_eq!(check(r#"{"exp":100}"#, 129), Ok(()));
    assert_eq!(check(r#"{"exp":100}"#, 130), Err(JwtError::Expired));
    assert_eq!(check(r#"{"exp":100.5}"#, 129), Ok(()));
    assert_eq!(check(r#"{"exp":100,"nbf":90}"#, 60), Ok(()));
    assert_eq!(check(r#"{"exp":100,"nbf":90}"#, 59), Err(JwtError::NotYet));
    for exp in ["-1", "1e300", "9300000000", "\"100\"", "null", "true"] {
        assert!(check(&format!("{{\"exp\":{exp}}}"), 50).is_err(), "{exp}");
    }
}

#[test]
fn issuer_and_audience_have_to_be_ours() {
    let of = |issuer: Option<&str>, audience: Option<&str>, claims: &str| {
        let rules = JwtRules { issuer: issuer.map(Into::into), audience: audience.map(Into::into), ..shared() };
        rules.check(&signed(r#"{"alg":"HS256"}"#, claims), at(50)).map(|_| ())
    };
    assert_eq!(of(Some("i"), None, r#"{"exp":100,"iss":"i"}"#), Ok(()));
    assert_eq!(of(Some("i"), None, r#"{"exp":100}"#), Err(JwtError::NotOurs));
    assert_eq!(of(Some("i"), None, r#"{"exp":100,"iss":"j"}"#), Err(JwtError::NotOurs));
    assert_eq!(of(None, Some("a"), r#"{"exp":100,"aud":"a"}"#), Ok(()));
    assert_eq!(of(None, Some("a"), r#"{"exp":100,"aud":["b","a"]}"#), Ok(()));
    assert_eq!(of(None, Some("a"), r#"{"exp":100,"aud":["b"]}"#), Err(JwtError::NotOurs));
    assert_eq!(of(None, Some("a"), r#"{"exp":100}"#), Err(JwtError::NotOurs));
    assert_eq!(of(None, None, r#"{"exp":100,"aud":"b"}"#), Err(JwtError::NotOurs), "for somebody else");
}

#[test]
fn a_set_of_keys() {
    let set = |keys: &str| JwtKey::read_set(&format!("{{\"keys\":[{keys}]}}"));
    let oct = format!(r#"{{"kty":"oct","kid":"a","alg":"HS256","k":"{}"}}"#, URL_SAFE_NO_PAD.encode(SECRET));
    let keys = set(&oct).unwrap();
    assert_eq!(keys.len(), 1);
    let rules = rules(keys);
    let claims = r#"{"exp":100}"#;
    assert!(rules.check(&signed(r#"{"alg":"HS256","kid":"a"}"#, claims), at(50)).is_ok());
    assert_eq!(rules.check(&signed(r#"{"alg":"HS256","kid":"b"}"#, claims), at(50)).unwrap_err(), JwtError::Signature);
    assert!(set(r#"{"kty":"oct","k":"c2hvcnQ"}"#).unwrap_err().contains("32 bytes"));
    assert!(set(r#"{"kty":"RSA","n":"c2hvcnQ","e":"AQAB"}"#).unwrap_err().contains("2048"));
    // Not for signatures, or not known here.
    assert!(set(&oct.replace("\"kid\"", "\"use\":\"enc\",\"kid\"")).unwrap().is_empty());
    assert!(set(&oct.replace("HS256", "HS512")).unwrap().is_empty());
    assert!(set(r#"{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}"#).unwrap().is_empty());
    assert!(JwtKey::read_set("[]").is_err());
    assert!(!format!("{rules:?}").contains(SECRET));
}

proptest::proptest! {
    #[test]
    fn anything_is_a_token_or_not(text in "[a-zA-Z0-9._=-]{0,120}") {
        proptest::prop_assert!(shared().check(&Secret::new(text), at(50)).is_err());
    }
}
