//! What stands in Redis, and the script that writes it. Everything read from there is checked here: it may have been
//! written by anybody. Described for operators in docs/redis.md.

use livetape_audio::{Frame, Generation, RecordingId, State, Tail};
use redis::{Cmd, Script, Value};
use std::sync::LazyLock;
use std::time::Duration;

/// The one channel on which every accepted tail is told.
pub(super) const CHANNEL: &str = "livetape:tails";
/// A tail that nobody refreshes vanishes after this time.
pub(super) const TIME_TO_LIVE: Duration = Duration::from_secs(60);
/// Version of what is written.
const FORMAT: &str = "1";
/// Longest message that is looked at, in bytes; ours have at most 130.
const MAX_MESSAGE: usize = 256;
/// Stands for "no next recording".
const NONE: &str = "-";

const CODE: &str = include_str!("tail.lua");
static SHA: LazyLock<String> = LazyLock::new(|| Script::new(CODE).get_hash().to_owned());

/// Key of a recording's tail. The braces put all keys of a recording into one slot of a cluster.
pub(super) fn key(recording: RecordingId) -> String {
    format!("livetape:{{{recording}}}:tail")
}

/// Runs the script that the server already has.
pub(super) fn update(recording: RecordingId, tail: &Tail) -> Cmd {
    with_arguments(redis::cmd("EVALSHA").arg(SHA.as_str()), recording, tail)
}

/// Brings the script along, for a server that does not have it.
pub(super) fn update_with_script(recording: RecordingId, tail: &Tail) -> Cmd {
    with_arguments(redis::cmd("EVAL").arg(CODE), recording, tail)
}

fn with_arguments(cmd: &mut Cmd, recording: RecordingId, tail: &Tail) -> Cmd {
    let next = tail.next.map_or_else(|| NONE.to_owned(), |next| next.to_string());
    let state = if tail.is_sealed() { "sealed" } else { "open" };
    cmd.arg(1).arg(key(recording)).arg(FORMAT).arg(tail.generation.0).arg(tail.end.get()).arg(state).arg(next);
    cmd.arg(TIME_TO_LIVE.as_millis() as u64).arg(CHANNEL).arg(recording.to_string());
    std::mem::take(cmd)
}

/// Reads a recording's tail.
pub(super) fn read(recording: RecordingId) -> Cmd {
    let mut cmd = redis::cmd("HMGET");
    cmd.arg(key(recording)).arg(["format", "generation", "end", "state", "next"].as_slice());
    cmd
}

/// What the script answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The tail stands in Redis and was told.
    Taken,
    /// It would take back what this one says: generation, end and state.
    Refused(String),
    /// Under our key stands something of this type.
    Foreign(String),
    /// Under our key stands a tail in this other format.
    Format(String),
    /// What stands under our key is no tail.
    Damaged,
}

impl Outcome {
    /// The answer of the script, if it is one.
    pub(super) fn parse(answer: &Value) -> Option<Self> {
        let words: Vec<String> = redis::from_redis_value_ref(answer).ok()?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Some(match words.as_slice() {
            ["taken"] => Self::Taken,
            ["refused", generation, end, state] => {
                Self::Refused(format!("generation {generation}, end {end}, {state}"))
            }
            ["foreign", kind] => Self::Foreign(short(kind)),
            ["format", format] => Self::Format(short(format)),
            ["damaged"] => Self::Damaged,
            _ => return None,
        })
    }
}

/// Why something read from Redis is no tail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is in this other format.
    Format(String),
    /// It is not a tail in any format.
    Damaged,
}

/// A tail as it was told on the channel.
pub(super) fn parse_message(message: &[u8]) -> Result<(RecordingId, Tail), Unreadable> {
    let text = std::str::from_utf8(message).ok().filter(|text| text.len() <= MAX_MESSAGE);
    let words: Vec<&str> = text.ok_or(Unreadable::Damaged)?.split(' ').collect();
    match words.as_slice() {
        &[FORMAT, id, generation, end, state, next] => {
            let id = id.parse().map_err(|_| Unreadable::Damaged)?;
            Ok((id, parse_tail(generation, end, state, next)?))
        }
        [format, _, ..] if *format != FORMAT && number(format).is_some() => Err(Unreadable::Format(short(format))),
        _ => Err(Unreadable::Damaged),
    }
}

/// A tail as it stands under its key, in answer to [`read`]; `None` if there is none.
pub(super) fn parse_fields(answer: &Value) -> Result<Option<Tail>, Unreadable> {
    let fields: Vec<Option<String>> = redis::from_redis_value_ref(answer).map_err(|_| Unreadable::Damaged)?;
    let fields: Vec<Option<&str>> = fields.iter().map(Option::as_deref).collect();
    match fields.as_slice() {
        [None, None, None, None, None] => Ok(None),
        &[Some(FORMAT), Some(generation), Some(end), Some(state), Some(next)] => {
            parse_tail(generation, end, state, next).map(Some)
        }
        [Some(format), ..] if *format != FORMAT => Err(Unreadable::Format(short(format))),
        _ => Err(Unreadable::Damaged),
    }
}

fn parse_tail(generation: &str, end: &str, state: &str, next: &str) -> Result<Tail, Unreadable> {
    let number = |text| number(text).ok_or(Unreadable::Damaged);
    let (generation, end) = (Generation(number(generation)?), Frame::new(number(end)?));
    let state = match state {
        "open" => State::Open,
        "sealed" => State::Sealed,
        _ => return Err(Unreadable::Damaged),
    };
    let next = match next {
        NONE => None,
        id => Some(id.parse().map_err(|_| Unreadable::Damaged)?),
    };
    Ok(Tail { end, state, next, generation })
}

/// Digits only, in the one spelling that the script compares.
fn number(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    let digits = canonical && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// For messages: the beginning of something that may be anything.
fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(20).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::Durable;

    #[test]
    fn only_tails_are_tails() {
        let id = RecordingId::new(1, &[1; 10]);
        let tail = Tail::sealed(Durable(Frame::new(u64::MAX)), Some(id), Generation(7));
        assert_eq!(parse_message(format!("1 {id} 7 {} sealed {id}", u64::MAX).as_bytes()), Ok((id, tail)));
        for bad in [
            String::new(),
            "1".into(),
            format!("1 {id} 7 8 open"),
            format!("1 {id} 7 8 open - x"),
            format!("1 {id} 07 8 open -"),
            format!("1 {id} +7 8 open -"),
            format!("1 {id} 7 18446744073709551616 open -"),
            format!("1 {id} 7 8 Open -"),
            format!("1 {id} 7 8 open x"),
            format!("1 x{id} 7 8 open -"),
            format!("1 {id} 7 8 open {}", "-".repeat(300)),
        ] {
            assert_eq!(parse_message(bad.as_bytes()), Err(Unreadable::Damaged), "{bad:?}");
        }
        assert_eq!(parse_message(&[255; 8]), Err(Unreadable::Damaged));
        assert_eq!(parse_message(b"2 something else"), Err(Unreadable::Format("2".into())));
    }

    /// Numbers at which Lua's own would lie, and their neighbours.
    fn any_number(n: u64) -> u64 {
        const EDGES: [u64; 8] = [0, 9, 10, 1 << 53, (1 << 53) + 1, 10_u64.pow(19), u64::MAX - 1, u64::MAX];
        EDGES[(n % 8) as usize].wrapping_add(n >> 8 & 1)
    }

    #[tokio::test]
    async fn the_script_has_the_rule_of_may_become() {
        use std::hash::{BuildHasher, RandomState};
        let server = livetape_testkit::redis::RedisServer::start().unwrap();
        let client = redis::Client::open(server.url()).unwrap();
        let mut link = client.get_multiplexed_async_connection().await.unwrap();
        let hasher = RandomState::new();
        let random = |n: u64| {
            let bits = hasher.hash_one(n);
            let (generation, end) = (Generation(any_number(bits)), Durable(Frame::new(any_number(bits >> 9))));
            if bits >> 63 == 0 { Tail::open(end, generation) } else { Tail::sealed(end, None, generation) }
        };
        let mut taken = 0;
        for n in 0..2_000 {
            let id = RecordingId::new(n, &[1; 10]);
            let (old, new) = (random(2 * n), random(2 * n + 1));
            let first: Value = update_with_script(id, &old).query_async(&mut link).await.unwrap();
            assert_eq!(Outcome::parse(&first), Some(Outcome::Taken));
            let second: Value = update(id, &new).query_async(&mut link).await.unwrap();
            let second = Outcome::parse(&second).unwrap();
            assert_eq!(second == Outcome::Taken, old.may_become(&new), "{old:?} to {new:?}: {second:?}");
            let stands: Value = read(id).query_async(&mut link).await.unwrap();
            assert_eq!(parse_fields(&stands), Ok(Some(if old.may_become(&new) { new } else { old })));
            taken += usize::from(old.may_become(&new));
        }
        assert!((300..1_700).contains(&taken), "both answers came often: {taken}");
    }
}
