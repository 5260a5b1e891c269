//! JWTs, as the keys and names that count change under them; and what is a guess.

use super::*;
use crate::keys::pair;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

fn claims(seconds: i64) -> Claims {
    let exp = i64::try_from(wall_clock().unix_millis() / 1000).unwrap() + seconds;
    let livetape = serde_json::from_str(r#"["listen:a"]"#).unwrap();
    Claims { exp: Some(exp.into()), iss: Some("us".into()), livetape, ..Claims::default() }
}

fn by(secret: &str, id: Option<&str>, claims: &Claims) -> Shown {
    Shown::Bearer(issue(JwtAlgorithm::HS256, &Secret::new(secret), id.map(Into::into), claims).unwrap())
}

/// One key of a set.
fn oct(id: &str, secret: &str) -> String {
    format!(r#"{{"kty":"oct","kid":"{id}","alg":"HS256","k":"{}"}}"#, URL_SAFE_NO_PAD.encode(secret))
}

impl House {
    /// Has what counts for JWTs stand in the file, and in the set beside it.
    fn jwts(&self, table: &str, set: &[String]) {
        fs::write(self.dir.path().join("jwks.new"), format!("{{\"keys\":[{}]}}", set.join(","))).unwrap();
        fs::rename(self.dir.path().join("jwks.new"), self.dir.path().join("jwks.json")).unwrap();
        self.write(&format!("[jwt]\njwks = \"jwks.json\"\n{table}"));
        assert!(self.access.look());
    }
}

const OTHER: &str = "another secret of thirty-two bytes or more";

#[tokio::test]
async fn keys_of_a_set_come_and_go() {
    let house = house();
    let (old, new) = (by(SECRET, Some("old"), &claims(600)), by(OTHER, Some("new"), &claims(600)));
    house.jwts("", &[oct("old", SECRET)]);
    let going = tokio::spawn(house.permit(old.clone()).await.ended());
    assert!(matches!(house.who(new.clone()).await, Err(Unproven::Jwt(_))));

    // Only the set changes, not the file that names it.
    let set = |keys: &[String]| {
        fs::write(house.dir.path().join("jwks.json"), format!("{{\"keys\":[{}]}}", keys.join(","))).unwrap();
        assert!(house.access.look());
    };
    set(&[oct("old", SECRET), oct("new", OTHER)]);
    assert_eq!(house.who(new.clone()).await.unwrap().way(), Way::Jwt);
    assert!(!going.is_finished());
    set(&[oct("new", OTHER)]);
    assert_eq!(going.await.unwrap(), Ended::Revoked);
    assert!(matches!(house.who(old).await, Err(Unproven::Jwt(_))));
    // A set that cannot be read changes nothing.
    fs::write(house.dir.path().join("jwks.json"), "{").unwrap();
    assert!(house.access.look());
    assert!(house.who(new).await.is_ok());
}

#[tokio::test]
async fn a_key_file_that_is_replaced_counts_and_the_old_key_does_not() {
    let house = house();
    let [first, second] = [pair(JwtAlgorithm::EdDSA), pair(JwtAlgorithm::EdDSA)].map(|keys| keys.unwrap().unwrap());
    let key = |keys: &crate::KeyPair| fs::write(house.dir.path().join("k.pub"), &keys.public).unwrap();
    let signed =
        |keys: &crate::KeyPair| Shown::Bearer(issue(JwtAlgorithm::EdDSA, &keys.private, None, &claims(600)).unwrap());
    key(&first);
    house.write("[jwt]\nkey = [{ algorithm = \"EdDSA\", file = \"k.pub\" }]\n");
    assert!(house.access.look());
    let going = tokio::spawn(house.permit(signed(&first)).await.ended());
    key(&second);
    assert!(house.access.look());
    assert_eq!(going.await.unwrap(), Ended::Revoked);
    assert!(house.who(signed(&first)).await.is_err());
    assert!(house.who(signed(&second)).await.is_ok());
}

#[tokio::test]
async fn issuer_and_audience_count_for_what_is_in_progress() {
    let house = house();
    let of = |audience: &str| Claims { aud: Some(serde_json::json!([audience, "b"])), ..claims(600) };
    house.jwts("issuer = \"us\"\naudience = \"a\"\n", &[oct("k", SECRET)]);
    let shown = by(SECRET, Some("k"), &of("a"));
    let going = tokio::spawn(house.permit(shown.clone()).await.ended());
    house.jwts("issuer = \"us\"\naudience = \"b\"\n", &[oct("k", SECRET)]);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!going.is_finished(), "it is for b, too");
    house.jwts("issuer = \"us\"\naudience = \"c\"\n", &[oct("k", SECRET)]);
    assert_eq!(going.await.unwrap(), Ended::Revoked);

    house.jwts("issuer = \"us\"\naudience = \"a\"\n", &[oct("k", SECRET)]);
    let going = tokio::spawn(house.permit(shown).await.ended());
    house.jwts("issuer = \"them\"\naudience = \"a\"\n", &[oct("k", SECRET)]);
    assert_eq!(going.await.unwrap(), Ended::Revoked);
}

#[tokio::test]
async fn what_was_signed_here_once_is_no_guess() {
    let (house, few) = (house(), Few(2.into()));
    house.jwts("issuer = \"us\"\n", &[oct("k", SECRET)]);
    let shows = async |shown: Shown| house.access.identify_by(&shown, &few, wall_clock()).await.unwrap_err();
    let them = Claims { iss: Some("them".into()), ..claims(600) };
    for _ in 0..5 {
        for claims in [claims(-600), them.clone(), Claims { exp: None, ..claims(600) }] {
            let why = shows(by(SECRET, Some("k"), &claims)).await;
            assert!(matches!(why, Unproven::JwtRefused(_)), "{why:?}");
        }
    }
    let made_up = by(OTHER, Some("k"), &claims(600));
    for _ in 0..2 {
        assert!(matches!(shows(made_up.clone()).await, Unproven::Jwt(_)));
    }
    assert!(matches!(shows(made_up).await, Unproven::TooOften { why: Some(_), .. }));
}

#[tokio::test]
async fn a_jwt_that_any_of_many_keys_may_have_signed_is_not_looked_at_for_ever() {
    let (house, few) = (house(), Few(3.into()));
    let set: Vec<_> = (0..32).map(|n| oct(&format!("k{n}"), &format!("{SECRET}{n}"))).collect();
    house.jwts("", &set);
    let shows = async |shown: Shown| house.access.identify_by(&shown, &few, wall_clock()).await;
    let last = format!("{SECRET}31");
    assert!(shows(by(&last, None, &claims(600))).await.is_ok(), "which takes none away");
    for _ in 0..3 {
        assert!(matches!(shows(by(OTHER, None, &claims(600))).await, Err(Unproven::Jwt(_))));
    }
    let again = Duration::from_secs(7);
    // Not even looked at: it names no key.
    let shut = shows(by(&last, None, &claims(600))).await.unwrap_err();
    assert_eq!(shut, Unproven::TooOften { why: None, again });
    assert!(shows(by(&last, Some("k31"), &claims(600))).await.is_ok(), "who names a key is let in");
}
