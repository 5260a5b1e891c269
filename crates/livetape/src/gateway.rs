//! `livetape gateway`: serves listeners from a recorder here or elsewhere.

use crate::role::{self, Role};
use crate::settings::access::AccessFlags;
use crate::settings::clients::{LimitFlags, ProxyFlags};
use crate::settings::gateway::{GatewayFlags, ReadFlag};
use crate::settings::tls::TlsFlags;
use crate::settings::{DataFlag, FileFlag, OpsFlag, RecorderUrlFlag, RedisFlag};
use anyhow::Context;
use livetape_gateway::{Gateway, GatewayConfig, Remote, RemoteConfig};
use livetape_service::OpsListener;
use tokio_util::sync::CancellationToken;

/// Flags of `livetape gateway`.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct GatewayArgs {
    #[command(flatten)]
    gateway: GatewayFlags,
    #[command(flatten)]
    proxies: ProxyFlags,
    #[command(flatten)]
    read: ReadFlag,
    #[command(flatten)]
    recorder: RecorderUrlFlag,
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

/// Serves until `stop`.
pub(crate) async fn run(args: GatewayArgs, stop: CancellationToken) -> anyhow::Result<()> {
    let file = args.file.load()?;
    let policy = args.access.policy(&file)?;
    let recorder_url = args.recorder.address(&file)?;
    let config = args.limits.gateway(args.gateway.config(&policy, &file)?, &file)?;
    let (tls, to) = (args.tls.files(&file)?, Some(recorder_url.clone()));
    let proxies = args.proxies.proxies(&file);
    let config = GatewayConfig { operations_url: to, tls, proxies, goes_on: true, ..config };
    let remote =
        RemoteConfig { recorder_url, reading: args.read.reading(&args.data, &file), redis: args.redis.config(&file)? };
    let remote = Remote::new(remote).context("gateway")?;
    let gateway = Gateway::bind_remote(config, remote).await.context("gateway")?;
    let readiness = gateway.readiness();
    role::running(&readiness, &stop);
    let ops = OpsListener::bind(args.ops.config(&policy, args.tls.files(&file)?, &file), readiness, gateway.metrics())
        .await?;
    let mut said = vec![("Listen", role::web(&gateway))];
    said.push(("Ops", role::url(ops.local_addr())));
    role::announce(&said, &stop)?;

    let ops = Role::ops(ops, &stop);
    let gateway = Role::start("gateway", &stop, |shutdown| gateway.run(shutdown));
    stop.cancelled().await;
    let outcome = gateway.stop().await;
    ops.stop().await?;
    outcome
}
