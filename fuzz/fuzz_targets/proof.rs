//! Any bytes as what somebody shows: a token, a JWT, user and password, a signed address, a gateway's word for somebody else; and as
//! a set of keys. Whoever holds no key proves nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use livetape_access::{
    Access, Actor, Grants, JwtAlgorithm, Secret, Shown, TokenHash, UrlKey, Way, hash_password, mint_token, pair,
};
use livetape_audio::WallTime;
use std::sync::{Arc, LazyLock};
use tokio::runtime::Runtime;

/// An access file with keys of each kind that nobody was given.
struct House {
    access: Arc<Access>,
    /// With users, whose passwords are checked slowly: for what begins with a U.
    users: Arc<Access>,
    runtime: Runtime,
}

static HOUSE: LazyLock<House> = LazyLock::new(|| make().expect("the house is made"));

fn make() -> Result<House, Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("livetape-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("url.key"), UrlKey::mint()?.reveal())?;
    std::fs::write(folder.join("jwt.key"), mint_token()?.reveal())?;
    let mut keys = vec!["{ algorithm = \"HS256\", file = \"jwt.key\" }".to_owned()];
    let mut set = vec![format!("{{\"kty\":\"oct\",\"kid\":\"oct\",\"k\":\"{}\"}}", URL_SAFE_NO_PAD.encode(mint_token()?.reveal()))];
    for algorithm in [JwtAlgorithm::EdDSA, JwtAlgorithm::ES256, JwtAlgorithm::RS256] {
        let public = pair(algorithm)?.ok_or("it has a pair")?.public;
        std::fs::write(folder.join(format!("{algorithm:?}.pub")), &public)?;
        keys.push(format!("{{ algorithm = \"{algorithm:?}\", file = \"{algorithm:?}.pub\" }}"));
        let der = STANDARD.decode(public.lines().filter(|line| !line.starts_with('-')).collect::<String>())?;
        let end = |from: usize, to: usize| URL_SAFE_NO_PAD.encode(&der[der.len() - from..der.len() - to]);
        match algorithm {
            JwtAlgorithm::EdDSA => set.push(format!("{{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"{}\"}}", end(32, 0))),
            JwtAlgorithm::ES256 => {
                let (x, y) = (end(64, 32), end(32, 0));
                set.push(format!("{{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"ec\",\"x\":\"{x}\",\"y\":\"{y}\"}}"));
            }
            // 2048 bits, and the exponent after them.
            _ => set.push(format!("{{\"kty\":\"RSA\",\"n\":\"{}\",\"e\":\"AQAB\"}}", end(261, 5))),
        }
    }
    std::fs::write(folder.join("jwks.json"), format!("{{\"keys\":[{}]}}", set.join(",")))?;
    let file = format!(
        "[[token]]\nname = \"a\"\nsha256 = \"{}\"\ngrants = [\"listen:*\"]\n\
         [[url_key]]\nid = \"k\"\nfile = \"url.key\"\ngrants = [\"listen:*\"]\n\
         [jwt]\nkey = [{}]\njwks = \"jwks.json\"\n",
        TokenHash::of(&mint_token()?),
        keys.join(", ")
    );
    let access = folder.join("access.toml");
    std::fs::write(&access, &file)?;
    let without = Access::load(&access, Grants::default())?;
    let password = hash_password(&mint_token()?)?;
    let user = format!("[[user]]\nname = \"dj\"\npassword = \"{password}\"\ngrants = [\"listen:*\"]\n");
    std::fs::write(&access, user + &file)?;
    let users = Access::load(&access, Grants::default())?;
    std::fs::remove_dir_all(folder)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    Ok(House { access: without, users, runtime })
}

fuzz_target!(|data: &[u8]| {
    if let Some(actor) = Actor::from_bytes(data) {
        assert!(!actor.to_string().chars().any(char::is_control) && actor.to_string().len() < 1_000);
    }
    let text = String::from_utf8_lossy(data);
    assert!(livetape_access::fuzzing::key_set(&text).is_none_or(|keys| keys <= 64));
    let (access, text) = match text.strip_prefix('U') {
        Some(rest) => (&HOUSE.users, rest),
        None => (&HOUSE.access, &*text),
    };
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let shown = [
        Shown::authorization(first).ok(),
        Some(Shown::Bearer(Secret::new(first))),
        Some(Shown::Url { path: first.to_owned(), signature: Secret::new(rest) }),
        Some(Shown::Certificate { names: vec![first.to_owned()], until: None }),
    ];
    let now = WallTime::from_unix_nanos(1_763_649_000_000_000_000);
    for shown in shown.into_iter().flatten() {
        if let Ok(who) = HOUSE.runtime.block_on(access.identify(&shown, now)) {
            assert_eq!(who.way(), Way::Anonymous, "{data:?} proves something");
        }
    }
});
