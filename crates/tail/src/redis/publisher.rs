//! The recorder's side: says to Redis how far the open recordings go, from a task of its own. What Redis misses while
//! it is away is not kept in a queue: the newest tail of each recording says all.

use super::board::Board;
use super::config::RedisConfig;
use super::link::{Backoff, Link};
use super::trouble::Trouble;
use super::wire::{self, Outcome};
use crate::Publisher;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use livetape_audio::{RecordingId, Tail};
use redis::{ErrorKind, RedisError, ServerErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;

/// How often everything is said again.
const REFRESH: Duration = Duration::from_secs(2);
/// Updates under way at once.
const AT_ONCE: usize = 64;

/// Publishes tails to Redis. Never waits for it and never fails because of it.
pub struct RedisPublisher {
    shared: Arc<Shared>,
    task: AbortHandle,
}

#[derive(Default)]
struct Shared {
    board: Mutex<Board>,
    wake: Notify,
    works: AtomicBool,
}

impl RedisPublisher {
    /// Starts the task that talks to Redis. Has to be called within a tokio runtime. Whether Redis is there does not
    /// matter: it is looked for until it is found, and again when it goes.
    pub fn start(config: RedisConfig) -> Self {
        let shared = Arc::new(Shared::default());
        let task = tokio::spawn(run(config, Arc::clone(&shared))).abort_handle();
        Self { shared, task }
    }

    /// Whether Redis took what was last said to it, or answers while there is nothing to say.
    pub fn works(&self) -> bool {
        self.shared.works.load(Ordering::Relaxed)
    }

    /// [`works`](Self::works), for those who watch.
    pub fn probe(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move || shared.works.load(Ordering::Relaxed)
    }

    /// Waits until Redis has heard the newest of everything, at most for `limit`. For a recorder that stops.
    pub async fn flush(&self, limit: Duration) {
        let heard = async {
            while !self.shared.with(|board| board.all_answered()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        drop(tokio::time::timeout(limit, heard).await);
    }
}

impl Drop for RedisPublisher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Publisher for RedisPublisher {
    fn publish(&self, recording: RecordingId, tail: Tail) {
        self.shared.with(|board| board.put(recording, tail));
        self.shared.wake.notify_one();
    }

    fn forget(&self, recording: RecordingId) {
        self.shared.with(|board| board.forget(recording));
    }
}

impl Shared {
    fn with<R>(&self, f: impl FnOnce(&mut Board) -> R) -> R {
        // A panic elsewhere can at worst have left a tail unsaid until the next refresh.
        f(&mut self.board.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn run(config: RedisConfig, shared: Arc<Shared>) {
    let mut trouble = Trouble::new(config.to_string(), "tails are not published");
    let mut backoff = Backoff::new();
    loop {
        shared.with(Board::restart);
        let error = match Link::connect(&config).await {
            Ok(link) => publish_until_broken(&link, &shared, &mut trouble, &mut backoff).await,
            Err(error) => error,
        };
        shared.works.store(false, Ordering::Relaxed);
        trouble.failed(&error);
        backoff.wait().await;
    }
}

async fn publish_until_broken(
    link: &Link,
    shared: &Shared,
    trouble: &mut Trouble,
    backoff: &mut Backoff,
) -> RedisError {
    let mut refresh = tokio::time::interval(REFRESH);
    refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut under_way = FuturesUnordered::new();
    let mut worked = Instant::now();
    loop {
        while under_way.len() < AT_ONCE
            && let Some((id, tail)) = shared.with(Board::next)
        {
            let link = link.clone();
            under_way.push(async move { (id, tail, update(link, id, &tail).await) });
        }
        let outcome = tokio::select! {
            _ = refresh.tick() => match shared.with(Board::refresh) {
                // Where there is nothing to say, it is only seen by asking whether anybody listens.
                0 => link.clone().send(&redis::cmd("PING")).await.map(drop),
                _ => continue,
            },
            () = shared.wake.notified() => continue,
            Some((id, tail, outcome)) = under_way.next() => {
                shared.with(|board| board.done(id, &tail, outcome.is_ok()));
                outcome.map(|outcome| complain(trouble, id, &tail, outcome))
            }
        };
        match outcome {
            Ok(()) => {
                worked = Instant::now();
                shared.works.store(true, Ordering::Relaxed);
                trouble.over();
                backoff.reset();
            }
            Err(error) if link.is_broken(&error, worked) => return error,
            Err(error) => {
                shared.works.store(false, Ordering::Relaxed);
                trouble.failed(&error);
            }
        }
    }
}

async fn update(mut link: Link, recording: RecordingId, tail: &Tail) -> Result<Outcome, RedisError> {
    let answer = match link.send(&wire::update(recording, tail)).await {
        // Redis was started anew, or has forgotten its scripts.
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
            link.send(&wire::update_with_script(recording, tail)).await?
        }
        answer => answer?,
    };
    let odd = (ErrorKind::UnexpectedReturnType, "the script's answer is none of ours");
    Ok(Outcome::parse(&answer).ok_or(odd)?)
}

fn complain(trouble: &mut Trouble, recording: RecordingId, tail: &Tail, outcome: Outcome) {
    let key = wire::key(recording);
    match outcome {
        Outcome::Taken => {}
        Outcome::Refused(by) => trouble.odd("refused", || {
            format!(
                "{key} says {by} and does not take back for generation {}, end {}. Does another recorder run on a copy \
                 of this data folder? Stop one of them",
                tail.generation.0, tail.end
            )
        }),
        Outcome::Foreign(kind) => trouble
            .odd("foreign", || format!("under {key} stands a {kind} that something else wrote: find out what, then DEL {key}")),
        Outcome::Format(format) => trouble.odd("format", || {
            format!("{key} is in format {format:?}: a recorder of another version wrote it. Run one version; it vanishes in a minute")
        }),
        Outcome::Damaged => trouble
            .odd("damaged", || format!("{key} is no tail: something else changed it. Find out what, then DEL {key}")),
    }
}
