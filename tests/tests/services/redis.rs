//! Redis in every kind of trouble, under a listener whose connection is never cut: it hears every byte, and the source
//! gets its acknowledgements. When the trouble is over, Redis is used again.
//!
//! `LIVETAPE_AWAY` is how many seconds each trouble lasts after the gateway has noticed, which takes it 5 s.

use crate::deployment::{Deployment, Part, Read};
use anyhow::{Context, Result, ensure};
use livetape_audio::{Durable, Frame};
use livetape_store::{DataDir, Disk, durable_end};
use livetape_testkit::counting::verify_at;
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::http::{self, Ending, Response};
use livetape_testkit::pusher::Pusher;
use livetape_testkit::wait;
use livetape_tests::growing::{SECOND, SOON};
use livetape_tests::torture::setting;
use std::time::Duration;

/// What becomes of Redis.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// It is not there, and comes back empty.
    Away,
    /// It is there and says nothing.
    Held,
    /// It takes commands and answers none.
    Paused,
    /// It loses all that it has, again and again.
    Emptied,
    /// Something else has written under the recording's key.
    ForeignKey,
    /// It has no memory left.
    Full,
    /// It wants a password that nobody was told.
    Password,
    /// It knows no scripts.
    Older,
}

/// What the log of the recorder says about it, if it may have to.
const fn advice(trouble: Trouble) -> Option<&'static str> {
    match trouble {
        Trouble::Emptied | Trouble::Held | Trouble::Paused => None,
        Trouble::Away => Some("is Redis running"),
        Trouble::ForeignKey => Some("that something else wrote"),
        Trouble::Full => Some("raise its maxmemory"),
        Trouble::Password => Some("Redis wants a password"),
        Trouble::Older => Some("Redis 5 or newer is needed"),
    }
}

/// Seconds.
fn away() -> u64 {
    setting("LIVETAPE_AWAY", 2)
}

impl Trouble {
    fn begin(self, on: &mut Deployment, key: &str) -> Result<()> {
        match self {
            Self::Away => return on.kill(Part::Redis),
            Self::Held => return on.hold(Part::Redis),
            Self::Older => {
                on.kill(Part::Redis)?;
                return on.redis_again(&["--rename-command", "EVAL", "", "--rename-command", "EVALSHA", ""]);
            }
            Self::Paused => drop(on.redis()?.cli(["client", "pause", &(away() * 1_000).to_string(), "all"])?),
            Self::Emptied => drop(on.redis()?.cli(["flushall"])?),
            Self::ForeignKey => drop(on.redis()?.cli(["set", key, "mine"])?),
            Self::Full => drop(on.redis()?.cli(["config", "set", "maxmemory", "1"])?),
            Self::Password => {
                on.redis()?.cli(["config", "set", "requirepass", "sesame"])?;
                for kind in ["normal", "pubsub"] {
                    on.redis()?.cli(["--no-auth-warning", "-a", "sesame", "client", "kill", "type", kind])?;
                }
            }
        }
        Ok(())
    }

    /// Once a second.
    fn goes_on(self, on: &Deployment) -> Result<()> {
        if let Self::Emptied = self {
            on.redis()?.cli(["flushall"])?;
            on.redis()?.cli(["script", "flush"])?;
        }
        Ok(())
    }

    fn end(self, on: &mut Deployment, key: &str) -> Result<()> {
        match self {
            Self::Away => return on.again(Part::Redis),
            Self::Held => return on.go_on(Part::Redis),
            Self::Older => {
                on.kill(Part::Redis)?;
                return on.again(Part::Redis);
            }
            Self::Paused | Self::Emptied => {}
            Self::ForeignKey => {
                ensure!(on.redis()?.cli(["get", key])?.trim() == "mine", "what others wrote is left alone");
                on.redis()?.cli(["del", key])?;
            }
            Self::Full => drop(on.redis()?.cli(["config", "set", "maxmemory", "0"])?),
            Self::Password => {
                on.redis()?.cli(["--no-auth-warning", "-a", "sesame", "config", "set", "requirepass", ""])?;
            }
        }
        Ok(())
    }
}

/// One connection, from the live edge on.
struct Radio {
    reply: Response,
    at: u64,
}

impl Radio {
    fn tune(on: &Deployment) -> Result<Self> {
        let reply = http::get(on.http(), "/streams/live/live.pcm").send()?;
        ensure!(reply.status == 200, "{} {:?}", reply.status, reply.headers);
        let first: u64 = reply.header("x-livetape-first-frame").context("X-Livetape-First-Frame")?.parse()?;
        Ok(Self { reply, at: 4 * first })
    }

    /// Hears everything before this byte of the recording, each as it was captured.
    fn hear(&mut self, end: u64) -> Result<()> {
        let body = self.reply.at_least(usize::try_from(end.saturating_sub(self.at))?, SOON)?;
        ensure!(self.reply.ending() == Ending::Open, "it ended: {:?}", self.reply.ending());
        verify_at(&body, self.at)?;
        self.at += body.len() as u64;
        Ok(())
    }
}

fn captured(pusher: &Pusher) -> u64 {
    stereo().bytes(pusher.captured().since(Frame::ZERO))
}

fn plays_on(read: Read, troubles: &[Trouble]) -> Result<()> {
    let mut on = Deployment::start(read, true)?;
    let (pusher, id) = on.push()?;
    pusher.acknowledged(pusher.captured(), SOON)?;
    let (key, mut radio) = (format!("livetape:{{{id}}}:tail"), Radio::tune(&on)?);
    for &trouble in troubles {
        trouble.begin(&mut on, &key)?;
        let mut seconds = || {
            for _ in 0..away() {
                trouble.goes_on(&on)?;
                radio.hear(captured(&pusher) + SECOND)?;
                pusher.acknowledged(pusher.captured(), SOON)?;
            }
            anyhow::Ok(())
        };
        seconds().with_context(|| format!("in {trouble:?}"))?;
        trouble.end(&mut on, &key)?;
        let over = captured(&pusher);
        let stands = || {
            let end: u64 = on.redis().ok()?.cli(["hget", &key, "end"]).ok()?.trim().parse().ok()?;
            (4 * end > over).then_some(())
        };
        wait::until("Redis to be used again", SOON, stands).with_context(|| format!("after {trouble:?}"))?;
        radio.hear(captured(&pusher) + SECOND).with_context(|| format!("after {trouble:?}"))?;
        if let Some(advice) = advice(trouble) {
            on.recorder.running()?.logged(advice, Duration::ZERO).with_context(|| format!("{trouble:?}"))?;
        }
    }
    let end = pusher.end(SOON)?;
    ensure!(pusher.progress().opened == 1, "the call was never broken: {:?}", pusher.progress());
    radio.hear(stereo().bytes(end.since(Frame::ZERO)))?;
    on.stop()
}

#[test]
fn a_redis_that_is_not_there() -> Result<()> {
    plays_on(Read::Recorder, &[Trouble::Away, Trouble::Held, Trouble::Paused, Trouble::Emptied])
}

#[test]
fn a_redis_that_refuses() -> Result<()> {
    plays_on(Read::Dir, &[Trouble::ForeignKey, Trouble::Full, Trouble::Password, Trouble::Older])
}

#[test]
fn a_recorder_that_stopped_has_told_its_last_tail() -> Result<()> {
    let mut on = Deployment::start(Read::Recorder, true)?;
    let (pusher, id) = on.push()?;
    pusher.acknowledged(pusher.captured(), SOON)?;
    on.recorder.stop()?;
    let told: u64 = on.redis()?.cli(["hget", &format!("livetape:{{{id}}}:tail"), "end"])?.trim().parse()?;
    let dir = DataDir::open_read_only(on.data(), Disk::default())?;
    let Durable(end) = durable_end(&dir, &dir.load(&"live".parse()?, id.parse()?)?)?;
    ensure!(told == end.get(), "Redis was told {told}, the disk has {end}");
    Ok(())
}
