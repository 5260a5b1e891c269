//! The file: what it may say, and what its changes do to what is in progress.

use super::*;
use crate::grant::Rights;
use crate::identity::Way;
use crate::jwt::{Claims, JwtAlgorithm, issue};
use crate::signed::UrlKey;
use std::fs;
use tempfile::TempDir;

mod jwts;

const SECRET: &str = "a shared secret of thirty-two bytes or more";

struct House {
    dir: TempDir,
    access: Arc<Access>,
    token: Secret,
    hash: TokenHash,
    url_key: Secret,
    password: String,
}

fn toml(hash: TokenHash, password: &str, more: &str) -> String {
    format!(
        "{more}\n[[token]]\nname = \"t\"\nsha256 = \"{hash}\"\ngrants = [\"listen:a\"]\n\
         [[user]]\nname = \"u\"\npassword = \"{password}\"\ngrants = [\"publish:*\"]\n\
         [[certificate]]\nname = \"gateway\"\ngrants = [\"listen:*\"]\n\
         [[url_key]]\nid = \"k\"\nfile = \"k.key\"\ngrants = [\"listen:a\", \"manage:*\"]\n\
         [jwt]\nkey = [{{ algorithm = \"HS256\", file = \"jwt.key\" }}]\n"
    )
}

fn house() -> House {
    let dir = TempDir::new().unwrap();
    let (token, url_key) = (mint().unwrap(), UrlKey::mint().unwrap());
    let (hash, password) = (TokenHash::of(&token), crate::hash_password(&Secret::new("password")).unwrap());
    fs::write(dir.path().join("k.key"), url_key.reveal()).unwrap();
    fs::write(dir.path().join("jwt.key"), SECRET).unwrap();
    fs::write(dir.path().join("access.toml"), toml(hash, &password, "")).unwrap();
    let access = Access::load(&dir.path().join("access.toml"), Grants::default()).unwrap();
    House { dir, access, token, hash, url_key, password }
}

impl House {
    fn write(&self, text: &str) {
        // Another file each time, as editors and mounted secrets make it.
        let new = self.dir.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.dir.path().join("access.toml")).unwrap();
    }
    async fn who(&self, shown: Shown) -> Result<Identity, Unproven> {
        self.access.identify(&shown, wall_clock()).await
    }
    fn jwt(&self, seconds: u64, id: &str) -> Secret {
        let exp = wall_clock().unix_millis() / 1000 + seconds;
        let livetape = serde_json::from_str(r#"["listen:a"]"#).unwrap();
        let claims = Claims { exp: Some(exp.into()), jti: Some(id.into()), livetape, ..Claims::default() };
        issue(JwtAlgorithm::HS256, &Secret::new(SECRET), None, &claims).unwrap()
    }
    async fn permit(&self, shown: Shown) -> Permit {
        let who = self.who(shown).await.unwrap();
        self.access.permit(who, Right::Listen, Some("a".parse().unwrap()), wall_clock()).unwrap()
    }
}

fn certificate(names: &[&str], until: Option<WallTime>) -> Shown {
    Shown::Certificate { names: names.iter().map(|&name| name.into()).collect(), until }
}

fn soon() -> WallTime {
    wall_clock().later(Duration::from_secs(3600))
}

#[tokio::test]
async fn each_way_proves_who_one_is() {
    let house = house();
    let key = UrlKey::new("k", house.url_key.reveal()).unwrap();
    let signature = key.sign("/x", Rights::of([Right::Listen]), soon(), soon()).unwrap().to_string();
    let basic = |user: &str, password: &str| Shown::Basic { user: user.into(), password: Secret::new(password) };
    let url = |path: &str| Shown::Url { path: path.into(), signature: Secret::new(&signature) };
    for (shown, way, grants) in [
        (Shown::Nothing, Way::Anonymous, ""),
        (Shown::Bearer(house.token.clone()), Way::Token, "listen:a"),
        (basic("whoever", house.token.reveal()), Way::Token, "listen:a"),
        (basic("u", "password"), Way::Password, "publish:*"),
        (Shown::Bearer(house.jwt(60, "1")), Way::Jwt, "listen:a"),
        (url("/x"), Way::Url, "listen:a"),
        (certificate(&["other", "gateway"], None), Way::Certificate, "listen:*"),
        (Shown::Bearer(house.access.insider().clone()), Way::Insider, "publish,listen,export,manage:*"),
    ] {
        let who = house.who(shown).await.unwrap();
        assert_eq!((who.way(), who.grants().to_string().as_str()), (way, grants));
    }
    for (shown, why) in [
        (Shown::Bearer(mint().unwrap()), Unproven::Token),
        (basic("u", "passwort"), Unproven::Password),
        (basic("v", "password"), Unproven::Password),
        (url("/y"), Unproven::Url),
        (certificate(&["other"], None), Unproven::Certificate),
    ] {
        assert_eq!(house.who(shown).await.unwrap_err(), why);
    }
    let late = key.sign("/x", Rights::of([Right::Listen]), wall_clock(), soon()).unwrap().to_string();
    let late = house.who(Shown::Url { path: "/x".into(), signature: Secret::new(late) }).await;
    assert!(matches!(late, Err(Unproven::Late(_))), "{late:?}");
}

#[tokio::test]
async fn a_certificate_ends_itself_or_with_what_the_file_says() {
    let house = house();
    let ended = house.who(certificate(&["gateway"], Some(wall_clock()))).await;
    assert!(matches!(ended, Err(Unproven::Expired(_))), "{ended:?}");
    let until = wall_clock().later(Duration::from_secs(2));
    let open = house.permit(certificate(&["gateway"], Some(until))).await;
    // The file is read again, and does not lengthen it.
    house.write(&toml(house.hash, &house.password, "revoked = []"));
    assert!(house.access.look());
    let expired = tokio::time::timeout(Duration::from_secs(60), open.ended()).await;
    assert_eq!(expired, Ok(Ended::Expired));
    let file = toml(house.hash, &house.password, "")
        .replace("[\"listen:*\"]", "[\"listen:*\"]\nuntil = \"2020-01-01T00:00:00Z\"");
    house.write(&file);
    assert!(house.access.look());
    let ended = house.who(certificate(&["gateway"], Some(soon()))).await;
    assert!(matches!(ended, Err(Unproven::Expired(_))), "{ended:?}");
}

#[tokio::test]
async fn a_file_that_is_wrong_says_where() {
    let house = house();
    let path = house.dir.path().join("access.toml");
    let good = toml(house.hash, &house.password, "");
    for (from, to, part) in [
        ("[[token]]", "[[tokens]]", "line 2: unknown field `tokens`"),
        ("listen:a", "hear:a", "\"hear\" is no right"),
        (&house.hash.to_string(), "12", "64 hexadecimal"),
        (&house.password, "hunter22", "argon2id"),
        ("k.key", "no.key", "no.key"),
        ("jwt.key", "k.key2", "k.key2"),
        ("\"k\"", "\"K\"", "id of a key"),
    ] {
        house.write(&good.replacen(from, to, 1));
        let error = Access::load(&path, Grants::default()).unwrap_err().to_string();
        assert!(error.contains(part), "{to}: {error}");
        assert!(!error.contains("hunter22"), "{error}");
    }
    let twice = format!("{good}[[token]]\nname = \"t2\"\nsha256 = \"{}\"\ngrants = []\n", house.hash);
    house.write(&twice.replace("[jwt]\nkey", "[jwt]\n#"));
    assert!(Access::load(&path, Grants::default()).unwrap_err().to_string().contains("twice"));
    assert!(Access::load(&house.dir.path().join("none"), Grants::default()).is_err());
}

#[tokio::test]
async fn a_right_that_is_revoked_ends_what_is_in_progress() {
    let house = house();
    let key = UrlKey::new("k", house.url_key.reveal()).unwrap();
    let signature = key.sign("/x", Rights::of([Right::Listen]), soon(), soon()).unwrap().to_string();
    let token = tokio::spawn(house.permit(Shown::Bearer(house.token.clone())).await.ended());
    let jwt = tokio::spawn(house.permit(Shown::Bearer(house.jwt(600, "x"))).await.ended());
    let other = tokio::spawn(house.permit(Shown::Bearer(house.jwt(600, "y"))).await.ended());
    let url =
        tokio::spawn(house.permit(Shown::Url { path: "/x".into(), signature: Secret::new(signature) }).await.ended());
    assert!(!house.access.look(), "nothing changed");

    let good = toml(house.hash, &house.password, "revoked = [\"x\"]");
    house.write(&good);
    assert!(house.access.look());
    assert_eq!(jwt.await.unwrap(), Ended::Revoked);
    assert_eq!(house.who(Shown::Bearer(house.jwt(60, "x"))).await.unwrap_err(), Unproven::Revoked);

    house.write(&good.replacen("grants = [\"listen:a\"]", "grants = [\"listen:b\"]", 1));
    assert!(house.access.look());
    assert_eq!(token.await.unwrap(), Ended::Revoked, "the token may still something, but not this");

    fs::write(house.dir.path().join("k.key"), UrlKey::mint().unwrap().reveal()).unwrap();
    assert!(house.access.look());
    assert_eq!(url.await.unwrap(), Ended::Revoked);

    house.write("nonsense");
    assert!(house.access.look() && !house.access.look(), "said once");
    assert!(!other.is_finished(), "a slip of the pen ends nothing");
    assert!(house.who(Shown::Bearer(house.jwt(60, "y"))).await.is_ok());
    other.abort();
}

#[tokio::test]
async fn a_right_that_expires_ends_what_is_in_progress() {
    let house = house();
    let until = wall_clock().later(Duration::from_millis(300));
    let text = toml(house.hash, &house.password, "").replacen(
        "grants = [\"listen:a\"]",
        &format!("grants = [\"listen:a\"]\nuntil = \"{until}\""),
        1,
    );
    house.write(&text);
    assert!(house.access.look());
    let permit = house.permit(Shown::Bearer(house.token.clone())).await;
    assert_eq!(permit.ended().await, Ended::Expired);
    assert!(wall_clock() >= until);
    assert!(matches!(house.who(Shown::Bearer(house.token.clone())).await, Err(Unproven::Expired(_))));
}

#[tokio::test]
async fn without_a_file_everybody_is_anonymous() {
    let access = Access::open(Grants::everywhere(Rights::of([Right::Listen]))).unwrap();
    let who = access.identify(&Shown::Nothing, wall_clock()).await.unwrap();
    assert!(access.permit(who.clone(), Right::Listen, None, wall_clock()).is_ok());
    assert_eq!(
        access.permit(who, Right::Manage, None, wall_clock()).unwrap_err(),
        Refusal::Unproven { right: Right::Manage }
    );
    assert!(!access.is_configured() && !access.look());
    assert!(!format!("{access:?}").contains(access.insider().reveal()));
}

#[tokio::test]
async fn what_is_this_machines_is_nobodys_elsewhere() {
    let listen = Grants::everywhere(Rights::of([Right::Listen]));
    let access = Access::of_this_machine(Grants::default()).unwrap();
    let may = async |tries: i32| {
        let who = access.identify_by(&Shown::Nothing, &Few(tries.into()), wall_clock()).await.unwrap();
        assert_eq!(who.way(), Way::Anonymous);
        who.grants().clone()
    };
    assert_eq!((may(101).await, may(3).await), (Grants::all(), Grants::default()));
    assert!(access.identify(&Shown::Nothing, wall_clock()).await.unwrap().grants().is_empty(), "not known to be here");
    assert!(!access.lets_somebody_in(), "where others reach it");
    let access = Access::of_this_machine(listen.clone()).unwrap();
    assert_eq!((access.nobody(true).grants(), access.nobody(false).grants()), (&Grants::all(), &listen));
}

#[tokio::test]
async fn what_was_taken_back_between_proof_and_permit_is_not_allowed() {
    let house = house();
    let who = house.who(Shown::Bearer(house.token.clone())).await.unwrap();
    let good = toml(house.hash, &house.password, "");
    let permit = |who: &Identity, stream: Option<&str>| {
        let stream = stream.map(|name| name.parse().unwrap());
        house.access.permit(who.clone(), Right::Listen, stream, wall_clock()).err()
    };
    house.write(&good.replacen("grants = [\"listen:a\"]", "grants = [\"listen:a\", \"export:b\"]", 1));
    assert!(house.access.look());
    assert_eq!(permit(&who, Some("a")), None, "it still may this");
    assert_eq!(permit(&who, None), Some(Refusal::Revoked), "what it sees was chosen by what it might then");
    house.write(&good.replacen("grants = [\"listen:a\"]", "grants = [\"listen:b\"]", 1));
    assert!(house.access.look());
    assert!(matches!(permit(&who, Some("a")), Some(Refusal::NoRight { .. })));
    house.write(&good.replacen(&house.hash.to_string(), &"0".repeat(64), 1));
    assert!(house.access.look());
    assert_eq!(permit(&who, Some("a")), Some(Refusal::Revoked));
}

#[tokio::test]
async fn an_address_allows_what_its_key_allows_now() {
    let house = house();
    let key = UrlKey::new("k", house.url_key.reveal()).unwrap();
    let signature = key.sign("/x", Rights::of([Right::Listen]), soon(), soon()).unwrap().to_string();
    let permit = house.permit(Shown::Url { path: "/x".into(), signature: Secret::new(signature) }).await;
    let account = permit.identity().account().map(|account| format!("{account:?}"));
    assert!(account.is_some_and(|shown| !shown.contains("[")), "says nothing of the signature");
    let ended = tokio::spawn(permit.ended());
    let good = toml(house.hash, &house.password, "");
    house.write(&good.replacen("[\"listen:a\", \"manage:*\"]", "[\"listen:a\"]", 1));
    assert!(house.access.look());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!ended.is_finished(), "the address was not for what is gone");
    house.write(&good.replacen("[\"listen:a\", \"manage:*\"]", "[\"listen:b\", \"manage:*\"]", 1));
    assert!(house.access.look());
    assert_eq!(ended.await.unwrap(), Ended::Revoked);
}

/// So many tries are left.
struct Few(std::sync::atomic::AtomicI32);

impl Tries for Few {
    fn is_here(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::Relaxed) > 100
    }
    fn failed(&self) -> Result<(), Duration> {
        let left = self.0.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        if left > 0 { Ok(()) } else { Err(Duration::from_secs(7)) }
    }
    fn held(&self) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

#[tokio::test]
async fn who_guesses_is_told_to_stop_and_who_is_right_is_let_in() {
    let (house, few) = (house(), Few(3.into()));
    let shows = async |shown: Shown| house.access.identify_by(&shown, &few, wall_clock()).await;
    let basic = |password: &str| Shown::Basic { user: "u".into(), password: Secret::new(password) };
    let again = Duration::from_secs(7);
    assert!(shows(basic("password")).await.is_ok(), "which takes none away");
    assert_eq!(shows(basic("passwort")).await.unwrap_err(), Unproven::Password);
    for _ in 0..2 {
        assert_eq!(shows(Shown::Bearer(mint().unwrap())).await.unwrap_err(), Unproven::Token);
    }
    // What takes long is not looked at any more; what does not is, so that nobody is shut out.
    assert_eq!(shows(basic("passworz")).await.unwrap_err(), Unproven::TooOften { why: None, again });
    let token = shows(Shown::Bearer(mint().unwrap())).await.unwrap_err();
    assert_eq!(token, Unproven::TooOften { why: Some(Box::new(Unproven::Token)), again });
    assert!(token.to_string().starts_with("the token is not known here; and too much"), "{token}");
    assert!(shows(Shown::Bearer(house.token.clone())).await.is_ok());
    assert!(shows(basic("password")).await.is_ok(), "known to be right");
    assert!(shows(Shown::Nothing).await.is_ok());
    assert_eq!(shows(Shown::Bearer(house.jwt(60, "x"))).await.unwrap().way(), Way::Jwt);
}
