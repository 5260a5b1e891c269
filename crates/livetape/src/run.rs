//! `livetape run`: all roles in one process, joined by a length store in memory.

mod role;
mod settings;

pub(crate) use settings::RunArgs;

use anyhow::Context;
use livetape_capture::{Capture, CaptureConfig, CaptureError, SessionError};
use livetape_gateway::{DirLibrary, Gateway, GatewayConfig};
use livetape_recorder::{Recorder, RecorderConfig};
use livetape_service::signals;
use livetape_store::Disk;
use livetape_tail::MemoryTails;
use role::Role;
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
    let stop = CancellationToken::new();
    signals::watch(stop.clone())?;

    // Listeners first, sources last: what is captured has a way to go. The recorder comes before the gateway only
    // because it has the lock on the folder that the gateway reads.
    let tails = Arc::new(MemoryTails::default());
    let recorder = Recorder::bind(recorder_config(&settings), Arc::clone(&tails) as _).await.context("recorder")?;
    let library = Arc::new(DirLibrary::new(recorder.data_dir(), recorder.catalogue(), tails));
    let gateway = Gateway::bind(gateway_config(&settings), library).await.context("gateway")?;
    let ingest = url(recorder.local_addr());
    let capture = Capture::bind(CaptureConfig::new(ingest.clone(), settings.sources)).await.context("capture")?;
    announce(&url(gateway.local_addr()), &ingest)?;

    let gateway = Role::start("gateway", &stop, |shutdown| gateway.run(shutdown));
    let recorder = Role::start("recorder", &stop, |shutdown| recorder.run(shutdown));
    let capture =
        Role::start_finite("capture", &stop, |shutdown| async { unless_replaced(capture.run(shutdown).await) });

    stop.cancelled().await;
    // From left to right, so that the last frame still reaches the disk and the last listener hears it.
    let outcomes = [capture.stop().await, recorder.stop().await, gateway.stop().await];
    outcomes.into_iter().collect()
}

fn recorder_config(settings: &Settings) -> RecorderConfig {
    RecorderConfig {
        data_dir: settings.data_dir.clone(),
        grpc_addr: settings.grpc_addr,
        anonymous_publish: settings.anonymous.contains(&Anonymous::Publish),
        sync_interval: settings.sync_interval,
        resume_window: settings.resume_window,
        roll_after: settings.roll_after,
        disk: Disk::default(),
    }
}

fn gateway_config(settings: &Settings) -> GatewayConfig {
    GatewayConfig {
        anonymous_listen: settings.anonymous.contains(&Anonymous::Listen),
        hosts: settings.hosts.clone(),
        cors_origins: settings.cors_origins.clone(),
        drain: settings.drain,
        ..GatewayConfig::new(settings.http_addr)
    }
}

/// Another program that takes a stream over is no reason to stop serving it.
fn unless_replaced(outcome: Result<(), CaptureError>) -> Result<(), CaptureError> {
    match outcome {
        Err(CaptureError::Failed(mut failed)) => {
            failed.retain(|source| !matches!(source.error, Some(SessionError::Superseded(_))));
            if failed.is_empty() { Ok(()) } else { Err(CaptureError::Failed(failed)) }
        }
        outcome => outcome,
    }
}

/// The address as somebody on this machine reaches it.
fn url(addr: SocketAddr) -> String {
    let ip = match addr.ip() {
        ip if !ip.is_unspecified() => ip,
        std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    format!("http://{}", SocketAddr::new(ip, addr.port()))
}

/// Says where to listen, for people and for programs that started this one.
fn announce(listen: &str, ingest: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "Listen: {listen}/")?;
    writeln!(out, "Ingest: {ingest}")?;
    out.flush()
}
