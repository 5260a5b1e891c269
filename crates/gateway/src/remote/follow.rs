//! The calls that keep a mirror up to date. They never end by themselves: a recorder that is away is looked for until
//! it is back, and what was known stays meanwhile.

use super::link::{Contact, LONGEST_WAIT, PATIENCE, Tries, whole, within};
use super::mirror::CatalogueMirror;
use livetape_audio::Generation;
use livetape_proto::RecorderChannel;
use livetape_proto::v1;
use livetape_proto::v1::catalogue_service_client::CatalogueServiceClient;
use livetape_proto::v1::tape_service_client::TapeServiceClient;
use livetape_proto::v1::watch_catalogue_response::Change;
use livetape_service::traces;
use livetape_tail::redis::{Believed, RedisFollower, SILENCE};
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

/// A call for tails that tells nothing for so long is made anew: what is open is refreshed every 2 s.
const DEAF: Duration = Duration::from_secs(30);
/// When to ask again for traces that the recorder does not tell of: it is older than they are.
const NO_TRACES: Duration = Duration::from_secs(60);
/// How often it is looked at whether Redis tells everything.
const LOOK: Duration = Duration::from_millis(500);

/// Keeps the catalogue up to date, and tells Redis' follower whose tails are of use.
pub(crate) async fn catalogue(
    channel: RecorderChannel,
    mirror: &CatalogueMirror,
    redis: Option<&RedisFollower>,
    contact: &Contact,
) {
    let mut tries = Tries::new("the recorder's catalogue is followed");
    loop {
        let complete = || {
            contact.made();
            tries.works();
        };
        let ended = watch_catalogue(channel.clone(), mirror, redis, complete).await;
        contact.lost();
        tries.failed(&ended).await;
    }
}

async fn watch_catalogue(
    channel: RecorderChannel,
    mirror: &CatalogueMirror,
    redis: Option<&RedisFollower>,
    mut works: impl FnMut(),
) -> Status {
    let mut client = CatalogueServiceClient::new(channel);
    let mut changes = match within(PATIENCE, client.watch_catalogue(v1::WatchCatalogueRequest {})).await {
        Ok(changes) => changes.into_inner(),
        Err(status) => return status,
    };
    let mut complete = false;
    loop {
        // Then nothing may change for years, and the connection's own probes tell whether anybody is there.
        let change = match complete {
            true => changes.message().await,
            false => within(PATIENCE, changes.message()).await,
        };
        match change {
            Ok(Some(v1::WatchCatalogueResponse { change })) => {
                complete = match &change {
                    Some(Change::Complete(_)) => true,
                    Some(Change::Begins(v1::CatalogueBegins { generation })) => {
                        redis.inspect(|redis| redis.believe(believed(*generation)));
                        false
                    }
                    _ => complete,
                };
                mirror.change(change);
                if complete {
                    works();
                }
            }
            Ok(None) => return over(),
            Err(status) => return status,
        }
    }
}

/// Another recorder may publish the same recordings: one that runs on a copy of the data folder.
const fn believed(generation: u64) -> Believed {
    match generation {
        // It is older than this field.
        0 => Believed::Anybody,
        generation => Believed::Run(Generation(generation)),
    }
}

/// Keeps tails up to date; with Redis only while Redis does not.
pub(crate) async fn tails(channel: RecorderChannel, mirror: &CatalogueMirror, redis: Option<&RedisFollower>) {
    let mut tries = Tries::new("the recorder's tails are followed");
    loop {
        while !is_needed(mirror, redis) {
            sleep(LOOK).await;
        }
        if let Some(ended) = watch_tails(channel.clone(), mirror, redis, &mut tries).await {
            tries.failed(&ended).await;
        }
    }
}

/// Whether there is anything of which Redis says nothing.
fn is_needed(mirror: &CatalogueMirror, redis: Option<&RedisFollower>) -> bool {
    redis.is_none_or(|redis| mirror.open().into_iter().any(|id| !redis.is_fresh(id)))
}

/// Returns why the call broke off, or nothing when it is not needed any more or should be made anew.
async fn watch_tails(
    channel: RecorderChannel,
    mirror: &CatalogueMirror,
    redis: Option<&RedisFollower>,
    tries: &mut Tries,
) -> Option<Status> {
    let mut client = TapeServiceClient::new(channel);
    let all = v1::WatchTailRequest { recording_id: String::new() };
    let mut tails = match within(PATIENCE, client.watch_tail(all)).await {
        Ok(tails) => tails.into_inner(),
        Err(status) => return Some(status),
    };
    let (mut heard, mut needed, mut looked) = (Instant::now(), Instant::now(), Instant::now());
    loop {
        tokio::select! {
            tail = tails.message() => match tail {
                Ok(Some(v1::WatchTailResponse { tail })) => {
                    tries.works();
                    heard = Instant::now();
                    tail.into_iter().for_each(|tail| mirror.tail(tail));
                }
                Ok(None) => return Some(over()),
                Err(status) => return Some(status),
            },
            () = sleep(LOOK) => {}
        }
        if looked.elapsed() >= LOOK {
            looked = Instant::now();
            if is_needed(mirror, redis) {
                needed = looked;
            }
            if heard.elapsed() > DEAF || needed.elapsed() > SILENCE {
                return None;
            }
        }
    }
}

/// Learns which chunks are in a trace, if traces are exported here. Nothing depends on it, so nobody is told when it fails.
pub(crate) async fn traced(channel: RecorderChannel, mirror: &CatalogueMirror) {
    while traces::is_active() {
        let Err(ended) = watch_traces(channel.clone(), mirror).await;
        tracing::debug!(error = whole(&ended), "which chunks are traced is not known");
        sleep(if ended.code() == Code::Unimplemented { NO_TRACES } else { LONGEST_WAIT }).await;
    }
}

async fn watch_traces(channel: RecorderChannel, mirror: &CatalogueMirror) -> Result<Infallible, Status> {
    let mut client = TapeServiceClient::new(channel);
    let mut chunks = within(PATIENCE, client.watch_traces(v1::WatchTracesRequest {})).await?.into_inner();
    loop {
        mirror.traced(chunks.message().await?.ok_or_else(over)?);
    }
}

fn over() -> Status {
    Status::unavailable("the recorder has ended the call")
}
