//! Says once in a while what is wrong with Redis and what to do about it, and once that it is over.

use redis::{ErrorKind, RedisError};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How often the same is said.
const AGAIN: Duration = Duration::from_secs(30);

const TOO_OLD: (&str, &str) = ("older", "Redis 5 or newer is needed, with no command renamed: see docs/redis.md");
const WRONG_LOGIN: &str = "Redis does not take this user and password: correct them in the address";

/// What one task has said.
pub(super) struct Trouble {
    server: String,
    /// What cannot be done while there is trouble.
    effect: &'static str,
    said: HashMap<&'static str, Instant>,
    since: Option<Instant>,
    /// Somebody may have read of it in the log and waits for its end.
    announced: bool,
}

impl Trouble {
    pub(super) fn new(server: String, effect: &'static str) -> Self {
        Self { server, effect, said: HashMap::new(), since: None, announced: false }
    }

    /// Redis cannot be used, or does not do what it is asked.
    pub(super) fn failed(&mut self, error: &RedisError) {
        self.since.get_or_insert_with(Instant::now);
        let (kind, advice) = advice(error);
        if self.is_time_for(kind) {
            self.announced = true;
            tracing::warn!(redis = %self.server, %error, "{}: {advice}", self.effect);
        }
    }

    /// Redis works; what stands there is not what should.
    pub(super) fn odd(&mut self, kind: &'static str, what: impl FnOnce() -> String) {
        if self.is_time_for(kind) {
            tracing::error!(redis = %self.server, "{}: {}", self.effect, what());
        }
    }

    /// It works.
    pub(super) fn over(&mut self) {
        if let Some(since) = self.since.take()
            && std::mem::take(&mut self.announced)
        {
            tracing::info!(redis = %self.server, after = ?since.elapsed(), "Redis works again");
        }
    }

    fn is_time_for(&mut self, kind: &'static str) -> bool {
        let now = Instant::now();
        let due = self.said.get(kind).is_none_or(|said| now.duration_since(*said) >= AGAIN);
        if due {
            self.said.insert(kind, now);
        }
        due
    }
}

/// What kind of trouble an error is, and what to do about it. Scripts wrap errors, so the text is looked at, too.
fn advice(error: &RedisError) -> (&'static str, &'static str) {
    const KNOWN: [(&str, &str); 9] = [
        ("OOM", "Redis has no memory left: raise its maxmemory; a tail needs less than 1 kB"),
        ("READONLY", "this is a replica: name the master, or use redis-sentinel://"),
        ("NOAUTH", "Redis wants a password: write it into the address, as in redis://:password@host"),
        ("WRONGPASS", WRONG_LOGIN),
        ("NOPERM", "the user may not do that: docs/redis.md lists what it has to be allowed"),
        ("LOADING", "Redis is starting: it will be tried again"),
        ("MISCONF", "Redis cannot save to its disk and refuses to write: give it room, or turn saving off (save \"\")"),
        ("CLUSTERDOWN", "the cluster has slots without a node: see `redis-cli cluster info`"),
        ("MASTERDOWN", "the replica has lost its master: it will be tried again"),
    ];
    let text = error.to_string();
    if let Some(known) = KNOWN.iter().find(|(code, _)| error.code() == Some(code) || text.contains(code)) {
        return *known;
    }
    if ["unknown command", "nknown Redis command", "rong number of arg"].iter().any(|said| text.contains(said)) {
        return TOO_OLD;
    }
    match error.kind() {
        ErrorKind::AuthenticationFailed => ("WRONGPASS", WRONG_LOGIN),
        ErrorKind::MasterNameNotFoundBySentinel => (
            "master",
            "no sentinel knows a master of that name, or none answers: see `redis-cli -p 26379 sentinel masters`",
        ),
        ErrorKind::Io | ErrorKind::ClusterConnectionNotFound => {
            ("away", "is Redis running, and is this its address? It will be tried again")
        }
        _ => ("other", "it will be tried again"),
    }
}
