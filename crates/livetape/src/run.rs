//! `livetape run`: all roles in one process, joined by a length store in memory.

mod settings;

pub use settings::RunArgs;

use anyhow::Context;
use livetape_capture::{Capture, CaptureConfig};
use livetape_gateway::{DirLibrary, Gateway, GatewayConfig};
use livetape_recorder::{Recorder, RecorderConfig};
use livetape_service::{Tasks, signals};
use livetape_tail::MemoryTails;
use settings::{Anonymous, Settings};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Records and serves until a signal asks to stop.
pub(crate) fn run(args: RunArgs) -> anyhow::Result<()> {
    let settings = Settings::new(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(serve(settings));
    // A read from standard input may block for ever; nothing else is left by now.
    runtime.shutdown_background();
    outcome
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    // Each role stops by its own token, so that the last frame still reaches the disk and the last listener hears it.
    let [stop, stop_capture, stop_recorder, stop_gateway] = std::array::from_fn(|_| CancellationToken::new());
    signals::watch(stop.clone())?;

    let tails = Arc::new(MemoryTails::default());
    let recorder = Recorder::bind(recorder_config(&settings), Arc::clone(&tails) as _).await.context("recorder")?;
    let library = DirLibrary::new(recorder.data_dir(), recorder.catalogue(), tails);
    let gateway = Gateway::bind(gateway_config(&settings), Arc::new(library)).await.context("gateway")?;
    let recorder_url = format!("http://{}", reachable(recorder.local_addr()));
    let capture = CaptureConfig::new(recorder_url.clone(), settings.sources);
    let capture = Capture::bind(capture).await.context("capture")?;
    announce(gateway.local_addr(), &recorder_url)?;

    let tasks = Tasks::new(stop.clone());
    // A source that ends by itself is no reason to stop serving what it brought.
    let sources = tokio::spawn(capture.run(stop_capture.clone()));
    let (recorded, served) = (stop_recorder.clone(), stop_gateway.clone());
    let role = |stop: &CancellationToken| {
        let stop = stop.clone();
        async move {
            stop.cancelled().await;
            anyhow::Ok(())
        }
    };
    drop(role);
    tasks.spawn("recorder", recorder.run(recorded));
    tasks.spawn("gateway", gateway.run(served));

    stop.cancelled().await;
    stop_capture.cancel();
    let sources = sources.await.context("capture")?;
    stop_recorder.cancel();
    stop_gateway.cancel();
    tasks.finish().await?;
    sources
}
