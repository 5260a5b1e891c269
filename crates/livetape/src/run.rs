//! `livetape run`: all roles in one process, joined by a length store in memory.

use crate::role::{self, Role};
use crate::settings::access::AccessFlags;
use crate::settings::capture::{CaptureFlags, IntakeFlags};
use crate::settings::clients::{LimitFlags, ProxyFlags};
use crate::settings::gateway::GatewayFlags;
use crate::settings::recorder::RecorderFlags;
use crate::settings::tls::TlsFlags;
use crate::settings::{DataFlag, FileFlag, OpsFlag, RedisFlag};
use anyhow::Context;
use livetape_capture::Capture;
use livetape_gateway::{DirLibrary, Gateway, GatewayConfig};
use livetape_proto::RecorderAddress;
use livetape_recorder::{Recorder, RecorderConfig};
use livetape_service::{Metrics, OpsListener};
use livetape_tail::{MemoryTails, Publisher};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Flags of `livetape run`. Everything but the sources can also stand in the environment and in the file.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    capture: CaptureFlags,
    #[command(flatten)]
    intake: IntakeFlags,
    #[command(flatten)]
    gateway: GatewayFlags,
    #[command(flatten)]
    proxies: ProxyFlags,
    #[command(flatten)]
    recorder: RecorderFlags,
    #[command(flatten)]
    data: DataFlag,
    #[command(flatten)]
    redis: RedisFlag,
    #[command(flatten)]
    access: AccessFlags,
    #[command(flatten)]
    tls: TlsFlags,
    #[command(flatten)]
    ops: OpsFlag,
    #[command(flatten)]
    file: FileFlag,
    #[command(flatten)]
    limits: LimitFlags,
}

/// Records and serves until `stop`.
pub(crate) async fn run(args: RunArgs, stop: CancellationToken) -> anyhow::Result<()> {
    let file = args.file.load()?;
    let policy = args.access.policy(&file)?;
    let (tls, proxies) = (args.tls.mutual(&file)?, args.proxies.proxies(&file));
    let recorder = args.limits.recorder(args.recorder.config(&args.data, &policy, &file)?, &file)?;
    let recorder = RecorderConfig { tls, proxies: proxies.clone(), ..recorder };
    let insider = recorder.access.as_ref().map(|access| access.insider().clone()).context("access")?;
    let gateway = args.limits.gateway(args.gateway.config(&policy, &file)?, &file)?;
    let gateway = GatewayConfig { tls: args.tls.files(&file)?, proxies: proxies.clone(), ..gateway };
    let (allowed, bounds) = (args.recorder.allowed(&file), (&args.limits, proxies));
    let intake = args.intake.config(&policy, args.tls.files(&file)?, allowed, bounds, &file)?;
    let capture = args.capture.config(RecorderAddress::new(""), &file)?;
    let metrics = Metrics::default();
    let redis = role::publish_to(args.redis.config(&file)?, &metrics)?;
    let ops = args.ops.given(&policy, args.tls.files(&file)?, &file);

    // Listeners first, sources last: what is captured has a way to go. The recorder comes before the gateway only
    // because it has the lock on the folder that the gateway reads.
    let tails = Arc::new(MemoryTails::default());
    let publishers: Vec<Arc<dyn Publisher>> =
        redis.iter().map(|redis| Arc::clone(redis) as _).chain([Arc::clone(&tails) as _]).collect();
    let recorder = Recorder::bind(recorder, Arc::new(publishers)).await.context("recorder")?;
    let library = Arc::new(DirLibrary::new(recorder.data_dir(), recorder.catalogue(), tails));
    let ingest = role::url(recorder.local_addr());
    // The parts of this process need not prove who they are to anybody but the recorder.
    let to_recorder = RecorderAddress::new(&*ingest).with_token(insider.reveal())?;
    let gateway = GatewayConfig { operations_url: Some(to_recorder.clone()), ..gateway };
    let gateway = Gateway::bind(gateway, library).await.context("gateway")?;
    let capture = livetape_capture::CaptureConfig { recorder_url: to_recorder, intake: Some(intake), ..capture };
    let capture = Capture::bind(capture).await.context("capture")?;
    // The gateway's listener shows all of the process, too.
    let (readiness, shown) = (gateway.readiness(), gateway.metrics());
    shown.include(metrics);
    readiness.include(&recorder.readiness());
    readiness.include(&capture.readiness());
    role::running(&readiness, &stop);
    role::publishing(&readiness, redis.as_deref());
    shown.include(recorder.metrics());
    shown.include(capture.metrics());
    let listens = OpsListener::bind(ops.clone().unwrap_or_default(), readiness, shown).await;
    let ops = match listens {
        // A second process on this machine does without.
        Err(error) if ops.is_none() => {
            tracing::info!(%error, "no address for those who watch");
            None
        }
        listens => Some(listens?),
    };
    let mut said = vec![("Listen", role::web(&gateway)), ("Ingest", ingest)];
    said.extend(capture.source_addr().map(|addr| ("Sources", role::url(addr))));
    role::announce(&said, &stop)?;

    let ops = ops.map(|ops| Role::ops(ops, &stop));
    let gateway = Role::start("gateway", &stop, |shutdown| gateway.run(shutdown));
    let recorder = Role::start("recorder", &stop, |shutdown| recorder.run(shutdown));
    let capture = Role::capture(capture, &stop);

    stop.cancelled().await;
    // From left to right, so that the last frame still reaches the disk and the last listener hears it.
    let outcomes = [capture.stop().await, recorder.stop().await, gateway.stop().await];
    role::last_word(redis).await;
    role::stop_ops(ops).await?;
    outcomes.into_iter().collect()
}
