//! `livetape capture`: sources that push to a recorder, here or elsewhere.

use crate::role::{self, Role};
use crate::settings::access::AccessFlags;
use crate::settings::capture::{CaptureFlags, IntakeFlags};
use crate::settings::clients::{LimitFlags, ProxyFlags};
use crate::settings::tls::TlsFlags;
use crate::settings::{FileFlag, OpsFlag, RecorderUrlFlag};
use anyhow::Context;
use livetape_capture::Capture;
use livetape_service::OpsListener;
use tokio_util::sync::CancellationToken;

/// Flags of `livetape capture`.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct CaptureArgs {
    #[command(flatten)]
    capture: CaptureFlags,
    #[command(flatten)]
    intake: IntakeFlags,
    #[command(flatten)]
    tls: TlsFlags,
    #[command(flatten)]
    recorder: RecorderUrlFlag,
    #[command(flatten)]
    access: AccessFlags,
    #[command(flatten)]
    ops: OpsFlag,
    #[command(flatten)]
    file: FileFlag,
    #[command(flatten)]
    proxies: ProxyFlags,
    #[command(flatten)]
    limits: LimitFlags,
}

/// Captures until `stop`, or until every source has ended by itself and nobody can push another.
pub(crate) async fn run(args: CaptureArgs, stop: CancellationToken) -> anyhow::Result<()> {
    let file = args.file.load()?;
    let policy = args.access.policy(&file)?;
    let mut config = args.capture.config(args.recorder.address(&file)?, &file)?;
    if args.intake.wanted(&config.sources, &file) {
        // The recorder says which streams it takes; this file may say the same sooner.
        let allowed = file.allow_streams.clone();
        let bounds = (&args.limits, args.proxies.proxies(&file));
        config.intake = Some(args.intake.config(&policy, args.tls.files(&file)?, allowed, bounds, &file)?);
    }
    let to = config.recorder_url.to_string();
    let capture = Capture::bind(config).await.context("capture")?;
    let readiness = capture.readiness();
    role::running(&readiness, &stop);
    let ops = OpsListener::bind(args.ops.config(&policy, args.tls.files(&file)?, &file), readiness, capture.metrics())
        .await?;
    let mut said = vec![("Recorder", to)];
    said.extend(capture.source_addr().map(|addr| ("Sources", role::url(addr))));
    said.push(("Ops", role::url(ops.local_addr())));
    role::announce(&said, &stop)?;

    let ops = Role::ops(ops, &stop);
    let capture = Role::capture(capture, &stop);
    let ended = capture.ended();
    tokio::select! {
        () = stop.cancelled() => {}
        () = ended => {}
    }
    let outcome = capture.stop().await;
    ops.stop().await?;
    outcome
}
