//! Any bytes as what somebody shows: a token, a JWT, user and password, a signed address, a gateway's word for somebody else.
//! Whoever holds no key proves nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use livetape_access::{
    Access, Actor, Grants, JwtAlgorithm, Secret, Shown, TokenHash, UrlKey, Way, mint_token, pair,
};
use livetape_audio::WallTime;
use std::sync::{Arc, LazyLock};
use tokio::runtime::Runtime;

/// An access file with keys of each kind that nobody was given.
struct House {
    access: Arc<Access>,
    runtime: Runtime,
}

static HOUSE: LazyLock<House> = LazyLock::new(|| make().expect("the house is made"));

fn make() -> Result<House, Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("livetape-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("url.key"), UrlKey::mint()?.reveal())?;
    std::fs::write(folder.join("jwt.key"), mint_token()?.reveal())?;
    let eddsa = pair(JwtAlgorithm::EdDSA)?.ok_or("it has a pair")?;
    std::fs::write(folder.join("jwt.pub"), eddsa.public)?;
    let file = format!(
        "[[token]]\nname = \"a\"\nsha256 = \"{}\"\ngrants = [\"listen:*\"]\n\
         [[url_key]]\nid = \"k\"\nfile = \"url.key\"\ngrants = [\"listen:*\"]\n\
         [jwt]\nkey = [{{ algorithm = \"HS256\", file = \"jwt.key\" }}, {{ algorithm = \"EdDSA\", file = \"jwt.pub\" }}]\n",
        TokenHash::of(&mint_token()?)
    );
    std::fs::write(folder.join("access.toml"), file)?;
    let access = Access::load(&folder.join("access.toml"), Grants::default())?;
    std::fs::remove_dir_all(folder)?;
    Ok(House { access, runtime: tokio::runtime::Builder::new_current_thread().build()? })
}

fuzz_target!(|data: &[u8]| {
    if let Some(actor) = Actor::from_bytes(data) {
        assert!(!actor.to_string().chars().any(char::is_control) && actor.to_string().len() < 1_000);
    }
    let text = String::from_utf8_lossy(data);
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let shown = [
        Shown::authorization(first).ok(),
        Some(Shown::Bearer(Secret::new(first))),
        Some(Shown::Url { path: first.to_owned(), signature: rest.to_owned() }),
        Some(Shown::Certificate(vec![first.to_owned()])),
    ];
    let now = WallTime::from_unix_nanos(1_763_649_000_000_000_000);
    for shown in shown.into_iter().flatten() {
        if let Ok(who) = HOUSE.runtime.block_on(HOUSE.access.identify(&shown, now)) {
            assert_eq!(who.way(), Way::Anonymous, "{data:?} proves something");
        }
    }
});
