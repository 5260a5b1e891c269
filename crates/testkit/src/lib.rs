//! For tests: sound cards without hardware, counting PCM, files of every format, time-signal decoder, real processes, a proxy that cuts, Redis, a WebDriver client.
//!
//! Everything that waits has a limit and says for what it waited. Nothing here is used outside tests.

// A test helper that cannot do its work has to stop the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "used in tests only")]

pub mod alsa;
pub mod card;
pub mod certificates;
pub mod counting;
pub mod ffmpeg;
pub mod grpc_source;
pub mod http;
pub mod otlp;
pub mod process;
pub mod proxy;
pub mod pusher;
pub mod redis;
pub mod spawn;
pub mod time_signal;
pub mod tone;
pub mod wait;
pub mod webdriver;

/// The runtime on which the background tasks of this crate run, so that tests themselves can be plain functions.
pub fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: std::sync::OnceLock<tokio::runtime::Runtime> = std::sync::OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime starts")
    })
}
