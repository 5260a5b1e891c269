//! `livetape recorder`: takes audio from sources, keeps it, tells how far it goes.

use crate::role::{self, Role};
use crate::settings::access::AccessFlags;
use crate::settings::clients::{LimitFlags, ProxyFlags};
use crate::settings::recorder::RecorderFlags;
use crate::settings::tls::TlsFlags;
use crate::settings::{DataFlag, FileFlag, OpsFlag, RedisFlag};
use anyhow::Context;
use livetape_recorder::{Recorder, RecorderConfig};
use livetape_service::{Metrics, OpsListener};
use livetape_tail::{MemoryTails, Publisher};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Flags of `livetape recorder`.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct RecorderArgs {
    #[command(flatten)]
    recorder: RecorderFlags,
    #[command(flatten)]
    proxies: ProxyFlags,
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

/// Records until `stop`.
pub(crate) async fn run(args: RecorderArgs, stop: CancellationToken) -> anyhow::Result<()> {
    let file = args.file.load()?;
    let policy = args.access.policy(&file)?;
    let (tls, proxies) = (args.tls.mutual(&file)?, args.proxies.proxies(&file));
    let config = args.limits.recorder(args.recorder.config(&args.data, &policy, &file)?, &file)?;
    let config = RecorderConfig { tls, proxies, ..config };
    let metrics = Metrics::default();
    let redis = role::publish_to(args.redis.config(&file)?, &metrics)?;
    let tails: Arc<dyn Publisher> = Arc::new(MemoryTails::default());
    let publishers: Vec<Arc<dyn Publisher>> = redis.iter().map(|redis| Arc::clone(redis) as _).chain([tails]).collect();
    let recorder = Recorder::bind(config, Arc::new(publishers)).await.context("recorder")?;
    metrics.include(recorder.metrics());
    let readiness = recorder.readiness();
    role::running(&readiness, &stop);
    role::publishing(&readiness, redis.as_deref());
    let ops = OpsListener::bind(args.ops.config(&policy, args.tls.files(&file)?, &file), readiness, metrics).await?;
    let mut said = vec![("Ingest", role::url(recorder.local_addr()))];
    said.push(("Ops", role::url(ops.local_addr())));
    role::announce(&said, &stop)?;

    let ops = Role::ops(ops, &stop);
    let recorder = Role::start("recorder", &stop, |shutdown| recorder.run(shutdown));
    stop.cancelled().await;
    let outcome = recorder.stop().await;
    role::last_word(redis).await;
    ops.stop().await?;
    outcome
}
