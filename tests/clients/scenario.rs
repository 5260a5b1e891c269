//! What a person does with a player, one thing after the other. What counts is what is heard.

use crate::report::{Deed, Report};
use anyhow::{Context, Result, ensure};
use livetape_audio::{Frame, FrameCount, Instance};
use livetape_store::{DataDir, Disk};
use livetape_testkit::card::Card;
use livetape_testkit::grpc_source::{self, now, opening, stereo};
use livetape_testkit::process::Start;
use livetape_testkit::{runtime, wait};
use livetape_tests::growing::{Growing, SOON};
use livetape_tests::sparse::Sparse;
use livetape_tests::tone;
use std::ops::Range;
use std::time::Duration;

/// Patience with a player on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(45);
/// What is recorded when a player comes.
const BACKLOG: Duration = Duration::from_secs(60);
/// Seconds of silence before the tone of a long recording: more than 4 GiB.
const LONG: u64 = 23_000;
/// Nothing that is recorded is louder, and rounding.
const LOUDEST: f32 = 0.26;

/// A player that has opened something. It is gone when dropped.
pub(crate) trait Player {
    /// Seeks to this second.
    fn seek(&mut self, second: f64) -> Result<()>;
    /// Whether it came to an end by itself, and a good one.
    fn ended(&mut self) -> Result<bool>;
}

/// The gateway's page with one stream, in a browser. It is left when dropped.
pub(crate) trait Page {
    /// Presses the button of the stream that has this class.
    fn press(&self, button: &str) -> Result<()>;
    /// Types a place into the field of the stream, and goes there.
    fn go(&self, place: &str) -> Result<()>;
}

/// A kind of player.
pub(crate) trait Opens {
    /// Opens an address with a new player that plays on the card.
    fn open<'a>(&'a self, url: &str, card: &'a Card) -> Result<Box<dyn Player + 'a>>;
    /// Query with which a recording is opened again when it is finished.
    fn finished(&self) -> &'static str {
        ""
    }
    /// Which form of a recording past 4 GiB it takes.
    fn long(&self) -> &'static str {
        "rf64"
    }
    /// Opens the gateway's page, if it is a browser.
    fn page<'a>(&'a self, _: &str) -> Option<Result<Box<dyn Page + 'a>>> {
        None
    }
    /// What no sample of it exceeds.
    fn loudest(&self) -> f32 {
        LOUDEST
    }
}

/// Does all of it.
pub(crate) fn all(report: &mut Report, opens: &dyn Opens, card: &Card) -> Result<()> {
    let g = Growing::start(tone, BACKLOG)?;
    report.tried(Deed::Live, joins(&g, opens, card, "", 0..8));
    report.tried(Deed::Behind, joins(&g, opens, card, "?offset=20", 18..28));
    report.tried(Deed::Part, part(&g, opens, card));
    if let Some(page) = opens.page(&g.livetape.url("/")) {
        report.tried(Deed::Page, page.and_then(|page| press(&*page, &g, card)));
    }
    report.tried(Deed::Far, far(&g, opens, card));
    growing(report, &g, opens, card)?;
    report.tried(Deed::Finished, finished(&g, opens, card));
    report.tried(Deed::Long, long(opens, card));
    let (peak, loudest) = (card.peak(), opens.loudest());
    let loud = || (peak <= loudest).then_some(()).with_context(|| format!("played {peak}, recorded was {loudest}"));
    report.tried(Deed::NoNoise, loud());
    Ok(())
}

/// Seconds recorded so far.
fn edge(g: &Growing) -> f64 {
    stereo().duration(g.pusher.captured().since(Frame::ZERO)).as_secs_f64()
}

/// Opens an address on a quiet card.
fn open<'a>(opens: &'a dyn Opens, url: &str, card: &'a Card) -> Result<Box<dyn Player + 'a>> {
    card.quiet(PATIENCE)?;
    opens.open(url, card).with_context(|| format!("opening {url}"))
}

/// Joins the stream and hears what was recorded so many seconds ago.
fn joins(g: &Growing, opens: &dyn Opens, card: &Card, query: &str, late: Range<u64>) -> Result<()> {
    let _player = open(opens, &g.livetape.url(&format!("/streams/live/live.wav{query}")), card)?;
    let heard = card.hears_something(PATIENCE)?;
    let behind = (edge(g) as u64 + 100 - heard) % 100;
    ensure!(late.contains(&behind), "hears second {heard}, {behind} s behind");
    hears(card, heard + 1..heard + 4)
}

/// The page and its buttons.
fn press(page: &dyn Page, g: &Growing, card: &Card) -> Result<()> {
    card.quiet(PATIENCE)?;
    page.press("live")?;
    let heard = card.hears_something(PATIENCE)?;
    let behind = (edge(g) as u64 + 100 - heard) % 100;
    ensure!(behind < 8, "hears second {heard}, {behind} s behind");
    hears(card, heard + 1..heard + 3)?;
    page.press("start")?;
    hears(card, 0..3)?;
    page.go("50")?;
    hears(card, 50..52)
}

/// Begins where the address says and goes on into what is recorded meanwhile.
fn part(g: &Growing, opens: &dyn Opens, card: &Card) -> Result<()> {
    let start = edge(g) as u64 - 4;
    let _player = open(opens, &g.wav_url(&format!("pos={start}")), card)?;
    hears(card, start..start + 8)
}

/// A seek to where nothing will be for an hour, and back.
fn far(g: &Growing, opens: &dyn Opens, card: &Card) -> Result<()> {
    let mut player = open(opens, &g.wav_url(""), card)?;
    hears(card, 0..2)?;
    player.seek(edge(g) + 3600.0)?;
    std::thread::sleep(Duration::from_secs(2));
    seek(&mut *player, card, 30)
}

/// One sitting before a recording that grows, to its end.
fn growing(report: &mut Report, g: &Growing, opens: &dyn Opens, card: &Card) -> Result<()> {
    let at_opening = edge(g);
    let mut player = match open(opens, &g.wav_url(""), card) {
        Ok(player) => player,
        Err(error) => {
            report.tried(Deed::Opens, Err(error));
            return Ok(());
        }
    };
    report.tried(Deed::Opens, hears(card, 0..3));
    report.tried(Deed::Seeks, [50, 5].into_iter().try_for_each(|to| seek(&mut *player, card, to)));
    wait::until("more to be recorded", PATIENCE, || (edge(g) > at_opening + 8.0).then_some(()))?;
    report.tried(Deed::Beyond, seek(&mut *player, card, at_opening as u64 + 4));
    let mut ahead = edge(g) as u64 + 3;
    let sought = seek(&mut *player, card, ahead);
    if sought.is_err() {
        // One that does not seek is put before the newest part.
        drop(player);
        ahead = edge(g) as u64;
        player = open(opens, &g.wav_url(&format!("pos={ahead}")), card)?;
    }
    report.tried(Deed::Ahead, sought);
    report.tried(Deed::Edge, hears(card, ahead + 2..ahead + 6));
    report.tried(Deed::Ends, ends(&mut *player, g, card));
    Ok(())
}

/// The recording ends; the player plays its last second and ends too.
fn ends(player: &mut dyn Player, g: &Growing, card: &Card) -> Result<()> {
    // Most of a second, so that it can be told which it is.
    wait::until("the right moment", PATIENCE, || (0.6..0.9).contains(&(edge(g) % 1.0)).then_some(()))?;
    let end = g.pusher.end(SOON)?;
    let last = end.get() / u64::from(stereo().rate());
    card.hears(last, PATIENCE)?;
    has_ended(player)
}

fn finished(g: &Growing, opens: &dyn Opens, card: &Card) -> Result<()> {
    let end = edge(g) as u64;
    let mut player = open(opens, &g.wav_url(opens.finished()), card)?;
    hears(card, 0..2)?;
    seek(&mut *player, card, 40)?;
    seek(&mut *player, card, end - 3)?;
    hears(card, end - 1..end)?;
    has_ended(&mut *player)
}

/// More than 4 GiB of silence, and then the tone.
fn long(opens: &dyn Opens, card: &Card) -> Result<()> {
    let data = tempfile::tempdir()?;
    let first = Frame::new(LONG * u64::from(stereo().rate()));
    let silence = first.since(Frame::ZERO);
    let started = now().earlier(stereo().duration(silence));
    let instance = Instance([9; 16]);
    let sparse = Sparse { stream: "long", spec: stereo(), started, instance, frames: silence };
    let made = sparse.open(&DataDir::open(data.path(), Disk::default())?)?;
    let livetape = Start::new(data.path()).source("none").spawn()?;
    let mut opening = opening("long", stereo());
    opening.instance = instance.0.to_vec();
    opening.resume_recording_id = Some(made.id.to_string());
    // The call stays open: the recording grows no more, and is not over.
    let _call = runtime().block_on(async {
        let mut call = grpc_source::open(livetape.grpc(), opening).await?;
        let second = FrameCount::new(u64::from(stereo().rate()));
        for n in 0..20 {
            let at = first + FrameCount::new(n * second.get());
            call.append(at, now(), tone(at, second, stereo())).await;
        }
        call.acknowledged(first + FrameCount::new(20 * second.get())).await?;
        anyhow::Ok(call)
    })?;
    let url = livetape.url(&format!("/recordings/{}/audio.{}", made.id, opens.long()));
    let mut player = open(opens, &url, card)?;
    std::thread::sleep(Duration::from_secs(2));
    seek(&mut *player, card, LONG + 5)
}

fn has_ended(player: &mut dyn Player) -> Result<()> {
    wait::until("its end", PATIENCE, || player.ended().map(|ended| ended.then_some(())).transpose())?
}

fn hears(card: &Card, seconds: Range<u64>) -> Result<()> {
    seconds.into_iter().try_for_each(|second| card.hears(second, PATIENCE))
}

/// Seeks and hears two seconds from there.
fn seek(player: &mut dyn Player, card: &Card, second: u64) -> Result<()> {
    let what = || format!("after a seek to {second}");
    player.seek(second as f64 + 0.05).with_context(what)?;
    hears(card, second..second + 2).with_context(what)
}
