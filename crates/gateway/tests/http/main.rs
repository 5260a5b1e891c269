//! The gateway as clients see it: a real server over a real data folder, recordings that grow while requests run,
//! counting PCM so that every byte can be checked.

#![allow(unreachable_pub, reason = "modules of one test program")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that unwraps says all there is to say"
)]

mod access;
mod addresses;
mod client;
mod clips;
mod connections;
mod events;
mod house;
mod icy;
mod limits;
mod listings;
mod live;
mod loudness;
mod marks;
mod metrics;
mod peaks;
mod playlists;
mod proxies;
mod ranges;
mod renditions;
mod sending;
mod tls;
