//! A gateway over a recorder elsewhere: both ways to read it, and what happens when the recorder comes and goes. The
//! recorder of most of these tests keeps real tapes in a real folder and speaks real gRPC; it has no sources, so that
//! they decide what happens when. Those of `real` and `real_library` are the real one.

#![allow(unreachable_pub, reason = "modules of one test program")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that unwraps says all there is to say"
)]

mod access;
#[path = "../http/client.rs"]
#[allow(dead_code, reason = "shared with the tests over HTTP")]
mod client;
mod conformance;
mod gateway;
mod operations;
mod peer;
mod real;
mod real_library;
mod recorder;
mod redis;
mod services;
mod versions;
