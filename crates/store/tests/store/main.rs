//! The store on a disk that fails, fills and loses its power: what was said to be kept is kept.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says by panicking what is wrong")]

mod common;
mod damage;
mod faults;
mod keeping;
mod loudness;
mod peaks;
mod random;
mod sparse;
mod tape;
