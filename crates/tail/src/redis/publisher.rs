//! The recorder's side: says to Redis how far the open recordings go, from a task of its own. What Redis misses while
//! it is away is not kept in a queue: the newest tail of each recording says all.

use super::config::RedisConfig;
use super::link::{Backoff, Link, is_broken};
use super::trouble::Trouble;
use super::wire::{self, Outcome, TIME_TO_LIVE};
use crate::Publisher;
use futures::StreamExt;
use livetape_audio::{RecordingId, Tail};
use redis::{ErrorKind, RedisError, ServerErrorKind};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
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

/// The newest tail of each recording: as many as are open, and for a minute those that were sealed while Redis was away.
#[derive(Default)]
struct Shared {
    tails: Mutex<HashMap<RecordingId, Said>>,
    wake: Notify,
    works: AtomicBool,
}

/// What is to be said about a recording.
struct Said {
    tail: Tail,
    /// To be sent in the next round.
    due: bool,
    /// Redis has answered to this very tail.
    answered: bool,
    /// Nobody needs it any more as soon as it was said once.
    forgotten: Option<Instant>,
}

impl RedisPublisher {
    /// Starts the task that talks to Redis. Has to be called within a tokio runtime. Whether Redis is there does not
    /// matter: it is looked for until it is found, and again when it goes.
    pub fn start(config: RedisConfig) -> Self {
        let shared = Arc::new(Shared::default());
        let task = tokio::spawn(run(config, Arc::clone(&shared))).abort_handle();
        Self { shared, task }
    }

    /// Whether Redis took what was last said to it.
    pub fn works(&self) -> bool {
        self.shared.works.load(Ordering::Relaxed)
    }

    /// Waits until Redis has heard the newest of everything, at most for `limit`. For a recorder that stops.
    pub async fn flush(&self, limit: Duration) {
        let heard = async {
            while self.shared.with(|tails| tails.values().any(|said| !said.answered)) {
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
        self.shared.with(|tails| match tails.entry(recording) {
            Entry::Vacant(place) => {
                place.insert(Said { tail, due: true, answered: false, forgotten: None });
            }
            Entry::Occupied(mut said) => {
                let said = said.get_mut();
                if !said.tail.may_become(&tail) {
                    tracing::error!(%recording, current = ?said.tail, refused = ?tail, "a tail may not go back");
                } else if said.tail != tail {
                    (said.tail, said.due, said.answered) = (tail, true, false);
                }
            }
        });
        self.shared.wake.notify_one();
    }

    fn forget(&self, recording: RecordingId) {
        self.shared.with(|tails| match tails.get_mut(&recording) {
            Some(said) if !said.answered => said.forgotten = Some(Instant::now()),
            _ => drop(tails.remove(&recording)),
        });
    }
}

impl Shared {
    fn with<R>(&self, f: impl FnOnce(&mut HashMap<RecordingId, Said>) -> R) -> R {
        // The map is whole between any two statements, so a panic elsewhere cannot have broken it.
        f(&mut self.tails.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Says everything again; gives up what was forgotten long ago.
    fn refresh(&self) {
        self.with(|tails| {
            tails.retain(|_, said| said.forgotten.is_none_or(|at| at.elapsed() < TIME_TO_LIVE));
            tails.values_mut().for_each(|said| said.due = true);
        });
    }

    fn take_due(&self) -> Vec<(RecordingId, Tail)> {
        self.with(|tails| {
            let due =
                tails.iter_mut().filter_map(|(id, said)| std::mem::take(&mut said.due).then_some((*id, said.tail)));
            due.collect()
        })
    }

    fn answered(&self, recording: RecordingId, tail: &Tail) {
        self.with(|tails| {
            let Entry::Occupied(mut said) = tails.entry(recording) else { return };
            if said.get().tail == *tail {
                said.get_mut().answered = true;
                if said.get().forgotten.is_some() {
                    said.remove();
                }
            }
        });
    }
}

async fn run(config: RedisConfig, shared: Arc<Shared>) {
    let mut trouble = Trouble::new(config.to_string(), "tails are not published");
    let mut backoff = Backoff::new();
    loop {
        let error = match Link::connect(&config).await {
            Ok(link) => publish_until_broken(&link, &shared, &mut trouble, &mut backoff).await,
            Err(error) => error,
        };
        shared.works.store(false, Ordering::Relaxed);
        trouble.failed(&error);
        shared.refresh();
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
    loop {
        tokio::select! {
            _ = refresh.tick() => shared.refresh(),
            () = shared.wake.notified() => {}
        }
        let updates = shared.take_due().into_iter().map(|(id, tail)| {
            let link = link.clone();
            async move { (id, tail, update(link, id, &tail).await) }
        });
        let mut updates = futures::stream::iter(updates).buffer_unordered(AT_ONCE);
        while let Some((id, tail, outcome)) = updates.next().await {
            match outcome {
                Ok(outcome) => {
                    shared.answered(id, &tail);
                    shared.works.store(true, Ordering::Relaxed);
                    trouble.over();
                    backoff.reset();
                    complain(trouble, id, &tail, outcome);
                }
                Err(error) if is_broken(&error) => return error,
                Err(error) => {
                    shared.works.store(false, Ordering::Relaxed);
                    trouble.failed(&error);
                }
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
