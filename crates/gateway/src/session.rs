//! The page's session: a token shown once becomes a cookie, because a browser's players and event streams can send no headers.
//!
//! The cookie is the token itself, so that nothing has to be remembered here and any gateway takes it. No script can read it, no
//! other site's page has it sent, and it is forgotten with the browser's session.

use crate::context::Context;
use crate::gate::{COOKIE, Guesses, Offered, is_browser, refuse};
use crate::problem::Problem;
use crate::query::{Plain, Query};
use crate::reached::ReachedBy;
use crate::reply::{Reply, empty, json};
use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue, SET_COOKIE};
use livetape_access::{Grant, Identity, Right, Shown, Unproven, wall_clock};
use livetape_audio::WallTime;
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;

/// Most bytes of a cookie's name and value (RFC 6265, section 6.1): browsers drop a longer one without a word.
const LONGEST: usize = 4096;

type Here = State<Arc<Context>>;
type Shows = Extension<Offered>;

/// `GET /session`: who one is, whatever that allows.
pub(crate) async fn who(
    State(context): Here,
    _: Query<Plain>,
    ReachedBy(reached): ReachedBy,
    Extension(Offered(shown)): Shows,
) -> Reply {
    let guesses = Guesses { context: &context, client: reached.client };
    match context.access.identify_by(&shown, &guesses, wall_clock()).await {
        Ok(identity) => json(&described(&identity)),
        Err(why @ Unproven::TooOften { .. }) => Ok(refuse(&context, true, why.into())),
        // A cookie that counts no more is no reason to show nothing to whoever may see something without.
        Err(_) => {
            let nobody = context.access.nobody(reached.client.is_loopback());
            Ok(forgotten(json(&described(&nobody))?))
        }
    }
}

/// `POST /session`: from now on the browser shows it by itself.
pub(crate) async fn begin(
    State(context): Here,
    _: Query<Plain>,
    ReachedBy(reached): ReachedBy,
    headers: HeaderMap,
    Extension(Offered(shown)): Shows,
) -> Reply {
    let (Shown::Bearer(token) | Shown::Basic { password: token, .. }) = &shown else {
        return Err(Problem::bad_request("no token is shown", "send it as Authorization: Bearer TOKEN"));
    };
    if COOKIE.len() + 1 + token.reveal().len() > LONGEST {
        let error = format!("the token is longer than the {LONGEST} bytes that browsers keep as a cookie");
        return Err(Problem::bad_request(
            error,
            "log in with a shorter one: with fewer grants, or signed with another algorithm",
        ));
    }
    let guesses = Guesses { context: &context, client: reached.client };
    let identity = match context.access.identify_by(&shown, &guesses, wall_clock()).await {
        Ok(identity) => identity,
        Err(why) => return Ok(refuse(&context, is_browser(&headers), why.into())),
    };
    if matches!(identity.way(), livetape_access::Way::Password) {
        return Err(Problem::bad_request("a password is not kept in a cookie", "log in with a token"));
    }
    let mut reply = json(&described(&identity))?;
    let cookie = format!(
        "{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict{}",
        token.reveal(),
        if reached.is_https { "; Secure" } else { "" }
    );
    let mut cookie = HeaderValue::from_str(&cookie).map_err(|error| Problem::internal(&error))?;
    cookie.set_sensitive(true);
    reply.headers_mut().insert(SET_COOKIE, cookie);
    Ok(reply)
}

/// `DELETE /session`: the browser forgets it.
pub(crate) async fn end(_: Query<Plain>) -> Reply {
    Ok(forgotten((StatusCode::NO_CONTENT, [(CACHE_CONTROL, "no-store")], empty()).into_response()))
}

fn forgotten(mut reply: Response) -> Response {
    let gone = HeaderValue::from_static("livetape=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    reply.headers_mut().insert(SET_COOKIE, gone);
    reply
}

/// Who somebody is, and what that allows.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Session")]
pub(crate) struct Known {
    name: String,
    /// How it was proved: `anonymous`, `token`, `jwt`, `password`, `url`, `certificate`.
    way: &'static str,
    /// `publish`, `listen`, `export`, `manage`: those that there are on some stream.
    rights: Vec<&'static str>,
    /// Which rights there are on which streams: `listen,export:studio-*`.
    grants: Vec<String>,
    /// When it ends; null if it does not.
    until: Option<WallTime>,
}

fn described(identity: &Identity) -> Known {
    let rights = Right::ALL.into_iter().filter(|right| identity.grants().allow(*right, None));
    Known {
        name: identity.name().to_owned(),
        way: identity.way().word(),
        rights: rights.map(Right::word).collect(),
        grants: Vec::<Grant>::from(identity.grants().clone()).iter().map(Grant::to_string).collect(),
        until: identity.until(),
    }
}
