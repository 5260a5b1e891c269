//! The gateway's side: takes over what recorders say on the channel into [`MemoryTails`], where everybody looks.
//!
//! What is heard elsewhere, as from the recorder itself while Redis is silent, goes into the same tails, so those who
//! follow a recording never notice by which way its tail came. Not here: asking the recorder.

use super::believed::Believed;
use super::config::RedisConfig;
use super::link::{Backoff, COMMAND_TIMEOUT, Link, limited, subscribe};
use super::trouble::Trouble;
use super::wire::{self, CHANNEL, TIME_TO_LIVE, Unreadable};
use crate::{MemoryTails, TailWatch, Watch};
use futures::StreamExt;
use livetape_audio::{RecordingId, Tail};
use redis::aio::PubSub;
use redis::{RedisError, Value};
use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

/// A recording of which nothing was heard for this long is silent: its recorder refreshes every 2 s.
pub const SILENCE: Duration = Duration::from_secs(5);
/// How often the connection is checked.
const CHECK: Duration = Duration::from_secs(2);
/// A connection on which nothing at all was heard for this long may lead to a server that nobody publishes to.
const DEAF: Duration = Duration::from_secs(30);
/// Most recordings that are known at once.
const MAX_KNOWN: usize = 16_384;
/// Keys that wait to be read.
const LOOK_UPS: usize = 1024;

/// Listens to Redis for one gateway.
pub struct RedisFollower {
    shared: Arc<Shared>,
    look_ups: mpsc::Sender<LookUp>,
    _tasks: JoinSet<()>,
}

struct Shared {
    tails: Arc<MemoryTails>,
    /// When each recording was last heard of through the channel.
    heard: Mutex<HashMap<RecordingId, watch::Sender<Option<Instant>>>>,
    believed: RwLock<Believed>,
    works: AtomicBool,
}

/// A key to read, and whom to tell that it was.
struct LookUp(RecordingId, Option<oneshot::Sender<()>>);

impl RedisFollower {
    /// Starts the tasks that listen to Redis and make `tails` known. Has to be called within a tokio runtime. Whether
    /// Redis is there does not matter: it is looked for until it is found, and again when it goes.
    pub fn start(config: RedisConfig, tails: Arc<MemoryTails>, believed: Believed) -> Self {
        let (heard, believed, works) = (Mutex::default(), RwLock::new(believed), AtomicBool::new(false));
        let shared = Arc::new(Shared { tails, heard, believed, works });
        let (look_ups, queue) = mpsc::channel(LOOK_UPS);
        let mut tasks = JoinSet::new();
        tasks.spawn(read_keys(config.clone(), Arc::clone(&shared), queue));
        tasks.spawn(listen(config, Arc::clone(&shared), look_ups.clone()));
        Self { shared, look_ups, _tasks: tasks }
    }

    /// From now on whose tails are taken over. What was taken over before stays.
    pub fn believe(&self, whom: Believed) {
        *self.shared.believed.write().unwrap_or_else(PoisonError::into_inner) = whom;
        self.shared.ask_for_all(&self.look_ups);
    }

    /// Whether Redis is connected and answers.
    pub fn works(&self) -> bool {
        self.shared.works.load(Ordering::Relaxed)
    }

    /// [`works`](Self::works), for those who watch.
    pub fn probe(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move || shared.works.load(Ordering::Relaxed)
    }

    /// Whether Redis has told something about the recording within the last 5 s. While it has not, ask its recorder.
    pub fn is_fresh(&self, recording: RecordingId) -> bool {
        self.shared
            .with(|heard| heard.get(&recording).is_some_and(|at| at.borrow().is_some_and(|at| at.elapsed() < SILENCE)))
    }

    /// Waits until Redis has told nothing about the recording for 5 s; returns at once if it never did.
    pub fn silent(&self, recording: RecordingId) -> impl Future<Output = ()> + Send + 'static {
        let mut heard = self.shared.hear(recording);
        async move {
            loop {
                let last = *heard.borrow_and_update();
                let Some(last) = last else { return };
                tokio::time::sleep_until(last + SILENCE).await;
                if !heard.has_changed().unwrap_or(false) {
                    return;
                }
            }
        }
    }

    /// Waits until Redis tells something about the recording, after this call.
    pub fn heard(&self, recording: RecordingId) -> impl Future<Output = ()> + Send + 'static {
        let mut heard = self.shared.hear(recording);
        heard.mark_unchanged();
        async move {
            // It cannot end while somebody waits here, unless the follower itself has gone: then nothing is heard.
            if heard.changed().await.is_err() {
                std::future::pending().await
            }
        }
    }

    /// Reads what stands in Redis about a recording now, instead of waiting up to 2 s until its recorder says it
    /// again, and follows it. `None` when nothing is known, here or there; after 2 s at the latest.
    pub async fn look_up(&self, recording: RecordingId) -> Option<TailWatch> {
        let (reply, read) = oneshot::channel();
        let asked = async {
            if self.look_ups.send(LookUp(recording, Some(reply))).await.is_ok() {
                // Dropped without a word when Redis is away.
                drop(read.await);
            }
        };
        drop(tokio::time::timeout(COMMAND_TIMEOUT, asked).await);
        self.shared.tails.watch(recording)
    }
}

impl Shared {
    fn with<R>(&self, f: impl FnOnce(&mut HashMap<RecordingId, watch::Sender<Option<Instant>>>) -> R) -> R {
        f(&mut self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn believes(&self, tail: &Tail) -> bool {
        self.believed.read().unwrap_or_else(PoisonError::into_inner).takes(tail)
    }

    /// What was said and not heard stands in the keys. What does not fit is said again within 2 s.
    fn ask_for_all(&self, look_ups: &mpsc::Sender<LookUp>) {
        for id in self.known() {
            drop(look_ups.try_send(LookUp(id, None)));
        }
    }

    fn hear(&self, recording: RecordingId) -> watch::Receiver<Option<Instant>> {
        self.with(|heard| heard.entry(recording).or_default().subscribe())
    }

    /// Something came through the channel.
    fn take(&self, message: &[u8], trouble: &mut Trouble) {
        let (id, tail) = match wire::parse_message(message) {
            Ok(told) => told,
            Err(unreadable) => return complain(trouble, &format!("a message on {CHANNEL}"), &unreadable),
        };
        if self.tails.len() >= MAX_KNOWN && self.tails.watch(id).is_none() {
            return trouble
                .odd("many", || format!("more than {MAX_KNOWN} recordings grow; the others are not followed"));
        }
        if !self.believes(&tail) {
            return;
        }
        self.tails.learn(id, tail);
        self.with(|heard| heard.entry(id).or_default().send_replace(Some(Instant::now())));
    }

    /// Forgets what nobody has spoken of for long and nobody follows.
    fn tidy(&self) {
        self.tails.forget_silent(TIME_TO_LIVE);
        self.with(|heard| {
            heard.retain(|_, at| at.receiver_count() > 0 || at.borrow().is_some_and(|at| at.elapsed() < TIME_TO_LIVE));
        });
    }

    fn known(&self) -> Vec<RecordingId> {
        self.with(|heard| heard.keys().copied().collect())
    }
}

fn complain(trouble: &mut Trouble, place: &str, unreadable: &Unreadable) {
    match unreadable {
        Unreadable::Format(format) => trouble.odd("format", || {
            format!("{place} is in format {format:?}: a recorder of another version wrote it. Run one version")
        }),
        Unreadable::Damaged => {
            trouble.odd("damaged", || format!("{place} is no tail: something else wrote it. Find out what"));
        }
    }
}

/// Listens to the channel, always.
async fn listen(config: RedisConfig, shared: Arc<Shared>, look_ups: mpsc::Sender<LookUp>) {
    let mut trouble = Trouble::new(config.to_string(), "tails are not heard through Redis");
    let mut backoff = Backoff::new();
    for attempt in 0.. {
        let error = match subscribe(&config, attempt, CHANNEL).await {
            Ok(pubsub) => {
                trouble.over();
                backoff.reset();
                shared.works.store(true, Ordering::Relaxed);
                shared.ask_for_all(&look_ups);
                listen_until_broken(pubsub, &shared, &mut trouble).await
            }
            Err(error) => Some(error),
        };
        if let Some(error) = error {
            shared.works.store(false, Ordering::Relaxed);
            trouble.failed(&error);
            shared.tidy();
            backoff.wait().await;
        }
    }
}

/// Returns why the connection is of no use any more; `None` when it only may be.
async fn listen_until_broken(pubsub: PubSub, shared: &Shared, trouble: &mut Trouble) -> Option<RedisError> {
    let (mut sink, mut messages) = pubsub.split();
    let mut check = tokio::time::interval(CHECK);
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Instant::now();
    loop {
        tokio::select! {
            message = messages.next() => match message {
                Some(message) => {
                    last = Instant::now();
                    shared.take(message.get_payload_bytes(), trouble);
                }
                None => return Some(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into()),
            },
            _ = check.tick() => {
                shared.tidy();
                if last.elapsed() > DEAF {
                    return None;
                }
                if let Err(error) = limited(COMMAND_TIMEOUT, "answer", sink.ping::<Value>()).await {
                    return Some(error);
                }
            }
        }
    }
}

/// Reads keys that somebody asks for. Connects when the first is asked for.
async fn read_keys(config: RedisConfig, shared: Arc<Shared>, mut queue: mpsc::Receiver<LookUp>) {
    let mut trouble = Trouble::new(config.to_string(), "tails are not read from Redis");
    let mut link = None;
    while let Some(LookUp(id, reply)) = queue.recv().await {
        if reply.as_ref().is_some_and(oneshot::Sender::is_closed) {
            continue;
        }
        match read_key(&config, &mut link, id).await.map(|answer| wire::parse_fields(&answer)) {
            Ok(Ok(Some(tail))) if shared.believes(&tail) => shared.tails.learn(id, tail),
            Ok(Ok(_)) => trouble.over(),
            Ok(Err(unreadable)) => complain(&mut trouble, &wire::key(id), &unreadable),
            Err(error) if error.code() == Some("WRONGTYPE") => {
                complain(&mut trouble, &wire::key(id), &Unreadable::Damaged);
            }
            Err(error) => trouble.failed(&error),
        }
        if let Some(reply) = reply {
            // Whoever asked may have gone.
            let _ = reply.send(());
        }
    }
}

/// The connection stays for the next one, unless it failed.
async fn read_key(config: &RedisConfig, link: &mut Option<Link>, id: RecordingId) -> Result<Value, RedisError> {
    let mut connected = match link.take() {
        Some(connected) => connected,
        None => Link::connect(config).await?,
    };
    let answer = connected.send(&wire::read(id)).await;
    if answer.is_ok() {
        *link = Some(connected);
    }
    answer
}
