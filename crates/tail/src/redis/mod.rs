//! The length store in Redis, for roles in separate processes. Only this module knows Redis; what stands there and how
//! to run it is in docs/redis.md.
//!
//! The recorder has a [`RedisPublisher`], each gateway a [`RedisFollower`] that fills its [`MemoryTails`](crate::MemoryTails).
//! Redis may be away, empty, paused, full or somebody else's at any time: recordings are never delayed, watchers never
//! see a wrong tail, and [`RedisFollower::silent`] says when to ask the recorder itself.

mod believed;
mod board;
mod config;
mod follower;
mod link;
mod publisher;
mod trouble;
mod wire;

pub use believed::Believed;
pub use config::{RedisConfig, RedisConfigError};
pub use follower::{RedisFollower, SILENCE};
pub use publisher::RedisPublisher;
