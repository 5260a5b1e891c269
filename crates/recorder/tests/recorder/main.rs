//! The recorder as its callers see it, over gRPC: what it keeps, refuses, tells and forgets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says by panicking what is wrong")]

mod access;
mod catalogue;
mod common;
mod deadlines;
mod demand;
mod ingest;
mod limits;
mod metrics;
mod operations;
mod peaks;
mod refusals;
mod retention;
mod server;
mod tapes;
mod tls;
mod unread;
