//! What a person does with a player, one thing after the other. What counts is what is heard.

use crate::deed::{Deed, Kind};
use crate::report::Report;
use crate::titles::Shown;
use crate::{compressed, lengths, titles};
use anyhow::{Context, Result, anyhow, bail, ensure};
use livetape_audio::{Frame, FrameCount, Instance};
use livetape_store::{DataDir, Disk};
use livetape_testkit::card::Card;
use livetape_testkit::grpc_source::{self, now, opening, stereo};
use livetape_testkit::process::Start;
use livetape_testkit::proxy::{Proxy, range_start};
use livetape_testkit::{runtime, spawn, wait};
use livetape_tests::growing::{Growing, SOON, WAV_HEADER};
use livetape_tests::sparse::Sparse;
use livetape_tests::tone;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Patience with a player on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(45);
/// From the end of a recording to that of a player that followed it: what it had in hand. A gateway that lets it wait for nothing
/// until one of them gives up takes longer.
pub(crate) const ENDS: Duration = Duration::from_secs(25);
/// How long to listen before it is asked whether the player has ended, and how long one is heard after that.
const LOOK: Duration = Duration::from_millis(500);
const LINGERS: Duration = Duration::from_secs(3);
/// Seconds that may be heard until a player has sought: what it had in hand. Nobody is asked to seek by less.
const ON_ITS_WAY: usize = 8;
/// Seconds that a player may have gone on until it is asked where it is, on a busy machine.
const AWAY: f64 = 10.0;
/// What is recorded when a player comes.
const BACKLOG: Duration = Duration::from_secs(60);
/// Seconds of silence before the tone of a long recording: more than 4 GiB.
const LONG: u64 = 23_000;
/// Nothing that is recorded is louder, and rounding; and what encoders make of a tone that changes within a moment.
pub(crate) const LOUDEST: f32 = 0.26;
const LOUDEST_ENCODED: f32 = 0.5;

/// A player that has opened something. It is gone when dropped.
pub(crate) trait Player {
    /// Seeks to this second.
    fn seek(&mut self, second: f64) -> Result<()>;
    /// Whether it came to an end by itself, and a good one.
    fn ended(&mut self) -> Result<bool>;
    /// The second at which it says that it is, if it says so.
    fn position(&mut self) -> Result<Option<f64>> {
        Ok(None)
    }
    /// What it shows as the duration, if it does.
    fn duration(&mut self) -> Result<Option<f64>> {
        Ok(None)
    }
    /// How often it had nothing to play since it began to.
    fn breaks(&mut self) -> Result<Option<u64>> {
        Ok(None)
    }
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
    /// Opens a stream and tells what it shows of what is being played, if it is one that shows such things.
    fn titles<'a>(&'a self, _url: &'a str, _: &'a Card) -> Option<Result<Shown<'a>>> {
        None
    }
    /// Whether it decodes, so that what is compressed can be heard.
    fn decodes(&self) -> bool {
        true
    }
    /// Whether it shows a duration that grows with what is compressed.
    fn shows_duration(&self) -> bool {
        false
    }
    /// Whether it asks for more at the end of what grew, and learns from the answer 416 that there is none.
    fn asks_for_more(&self) -> bool {
        false
    }
    /// Whether a length of `*` makes it lose the beginning at random.
    fn is_misled(&self) -> bool {
        false
    }
    /// A command that writes the audio of an address into a file as it is, and how many bytes stand before it there.
    fn copy(&self, _url: &str, _file: &Path) -> Option<(Command, u64)> {
        None
    }
}

/// Does all of it, or the part of this name.
pub(crate) fn all(report: &mut Report, opens: &dyn Opens, card: &Card, part: &str) -> Result<()> {
    let is_wanted = |name: &str| part.is_empty() || part == name;
    if is_wanted("wav") {
        patiently(report, opens, card, wav)?;
    }
    let peak = card.peak();
    if is_wanted("compressed") && opens.decodes() {
        patiently(report, opens, card, compressed::all)?;
    }
    if is_wanted("titles") {
        patiently(report, opens, card, titles::all)?;
    }
    let loud = |peak: f32, most: f32| {
        (peak <= most).then_some(()).with_context(|| format!("played {peak}, recorded was {most}"))
    };
    let encoded = LOUDEST_ENCODED.max(opens.loudest());
    report.tried(Deed::NoNoise, loud(peak, opens.loudest()).and_then(|()| loud(card.peak(), encoded)));
    // Among this may be noise.
    if is_wanted("lengths") {
        patiently(report, opens, card, lengths::all)?;
    }
    Ok(())
}

/// A part; once more, if something in it was wrong, since a busy machine makes any player stumble.
fn patiently(
    report: &mut Report,
    opens: &dyn Opens,
    card: &Card,
    part: fn(&mut Report, &dyn Opens, &Card) -> Result<()>,
) -> Result<()> {
    let before = report.wrong().len();
    part(report, opens, card)?;
    if report.wrong().len() > before {
        report.wrong().iter().for_each(|what| eprintln!("AGAIN {what}"));
        part(report, opens, card)?;
    }
    Ok(())
}

fn wav(report: &mut Report, opens: &dyn Opens, card: &Card) -> Result<()> {
    let g = Growing::start(tone, BACKLOG)?;
    report.tried(Deed::Live(Kind::Wav), joins(&g, opens, card, "live.wav", 0..8));
    report.tried(Deed::Behind, joins(&g, opens, card, "live.wav?offset=20", 18..28));
    report.tried(Deed::Part, part(&g, opens, card));
    if let Some(page) = opens.page(&g.livetape.url("/")) {
        report.tried(Deed::Page, page.and_then(|page| press(&*page, &g, card)));
    }
    report.tried(Deed::Far, far(&g, opens, card));
    growing(report, &g, opens, card)?;
    report.tried(Deed::Finished(Kind::Wav), finished(&g, opens, card));
    report.tried(Deed::Long, long(opens, card));
    Ok(())
}

/// Seconds recorded so far.
pub(crate) fn edge(g: &Growing) -> f64 {
    stereo().duration(g.pusher.captured().since(Frame::ZERO)).as_secs_f64()
}

/// Opens an address on a quiet card.
pub(crate) fn open<'a>(opens: &'a dyn Opens, url: &str, card: &'a Card) -> Result<Box<dyn Player + 'a>> {
    card.quiet(PATIENCE)?;
    opens.open(url, card).with_context(|| format!("opening {url}"))
}

/// Joins the stream and hears what was recorded so many seconds ago.
pub(crate) fn joins(g: &Growing, opens: &dyn Opens, card: &Card, file: &str, late: Range<u64>) -> Result<()> {
    let mut player = open(opens, &g.livetape.url(&format!("/streams/live/{file}")), card)?;
    let heard = card.hears_something(PATIENCE)?;
    let behind = (edge(g) as u64 + 100 - heard) % 100;
    ensure!(late.contains(&behind), "hears second {heard}, {behind} s behind");
    hears(&mut *player, card, heard + 1..heard + 4, PATIENCE)
}

/// The page and its buttons.
fn press(page: &dyn Page, g: &Growing, card: &Card) -> Result<()> {
    card.quiet(PATIENCE)?;
    page.press("live")?;
    let heard = card.hears_something(PATIENCE)?;
    let behind = (edge(g) as u64 + 100 - heard) % 100;
    ensure!(behind < 8, "hears second {heard}, {behind} s behind");
    sounds(card, heard + 1..heard + 3)?;
    page.press("start")?;
    sounds(card, 0..3)?;
    page.go("50")?;
    sounds(card, 50..52)
}

/// Begins where the address says and goes on into what is recorded meanwhile.
fn part(g: &Growing, opens: &dyn Opens, card: &Card) -> Result<()> {
    let start = edge(g) as u64 - 4;
    let mut player = open(opens, &g.wav_url(&format!("pos={start}")), card)?;
    hears(&mut *player, card, start..start + 8, PATIENCE)
}

/// A seek to where nothing will be for an hour, and back.
fn far(g: &Growing, opens: &dyn Opens, card: &Card) -> Result<()> {
    let mut player = open(opens, &g.wav_url(""), card)?;
    hears(&mut *player, card, 0..2, PATIENCE)?;
    player.seek(edge(g) + 3600.0)?;
    std::thread::sleep(Duration::from_secs(2));
    seek(&mut *player, card, 30, PATIENCE)
}

/// One sitting before a recording that grows, to its end.
fn growing(report: &mut Report, g: &Growing, opens: &dyn Opens, card: &Card) -> Result<()> {
    let at_opening = edge(g);
    let copy = Copy::start(g, opens)?;
    let line = opens.asks_for_more().then(|| Proxy::start(g.livetape.http())).transpose()?;
    let to = line.as_ref().map_or(g.livetape.http(), Proxy::address);
    let mut player = match open(opens, &format!("http://{to}{}", g.wav("")), card) {
        Ok(player) => player,
        Err(error) => {
            report.tried(Deed::Opens(Kind::Wav), Err(error));
            return Ok(());
        }
    };
    report.tried(Deed::Opens(Kind::Wav), hears(&mut *player, card, 0..3, PATIENCE));
    let mut told: Option<Result<()>> = None;
    let sought = [50, 5].into_iter().try_for_each(|to| {
        seek(&mut *player, card, to, PATIENCE)?;
        told = tells(&mut *player, to).map(|now| told.take().unwrap_or(Ok(())).and(now));
        Ok(())
    });
    report.tried(Deed::Seeks(Kind::Wav), sought);
    if let Some(told) = told {
        report.tried(Deed::Tells, told);
    }
    wait::until("more to be recorded", PATIENCE, || (edge(g) > at_opening + 8.0).then_some(()))?;
    report.tried(Deed::Beyond, seek(&mut *player, card, at_opening as u64 + 4, PATIENCE));
    let mut ahead = edge(g) as u64 + 3;
    let sought = seek(&mut *player, card, ahead, PATIENCE);
    if sought.is_err() {
        // One that does not seek is put before the newest part.
        drop(player);
        ahead = edge(g) as u64;
        player = open(opens, &format!("http://{to}{}", g.wav(&format!("pos={ahead}"))), card)?;
    }
    report.tried(Deed::Ahead, sought);
    report.tried(Deed::Edge, hears(&mut *player, card, ahead + 2..ahead + 6, PATIENCE));
    let ended = ends(&mut *player, g, card);
    report.tried(Deed::Ends(Kind::Wav), ended.and_then(|()| line.map_or(Ok(()), |line| has_learned(&line, g))));
    if let Some(copy) = copy {
        report.tried(Deed::Exact, copy.check_exact(g));
    }
    Ok(())
}

/// The recording ends; the player plays its last second and ends too.
pub(crate) fn ends(player: &mut dyn Player, g: &Growing, card: &Card) -> Result<()> {
    // Most of a second, so that it can be told which it is.
    wait::until("the right moment", PATIENCE, || (0.6..0.9).contains(&(edge(g) % 1.0)).then_some(()))?;
    let end = g.pusher.end(SOON)?;
    let (ended, last) = (Instant::now(), end.get() / u64::from(stereo().rate()));
    card.hears(last, ENDS)?;
    has_ended(player, ENDS.saturating_sub(ended.elapsed()))
}

/// Whether it was told by 416 that behind the last byte of the recording, which has ended, there is nothing.
fn has_learned(line: &Proxy, g: &Growing) -> Result<()> {
    let connections = line.connections();
    let answered = connections.iter().flat_map(|one| one.heads.iter().zip(&one.statuses));
    let behind = |head: &str| range_start(head).is_some_and(|start| start >= g.at_most());
    let asked: Vec<_> = answered.map(|(head, status)| (range_start(head), *status, behind(head))).collect();
    ensure!(asked.iter().any(|(_, status, behind)| *behind && *status == 416), "no 416 at the end: {asked:?}");
    Ok(())
}

fn finished(g: &Growing, opens: &dyn Opens, card: &Card) -> Result<()> {
    let end = edge(g) as u64;
    let mut player = open(opens, &g.wav_url(opens.finished()), card)?;
    hears(&mut *player, card, 0..2, PATIENCE)?;
    seek(&mut *player, card, 40, PATIENCE)?;
    seek(&mut *player, card, end - 3, PATIENCE)?;
    hears(&mut *player, card, end - 1..end, PATIENCE)?;
    has_ended(&mut *player, ENDS)
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
    seek(&mut *player, card, LONG + 5, PATIENCE)
}

pub(crate) fn has_ended(player: &mut dyn Player, limit: Duration) -> Result<()> {
    wait::until("its end", limit, || player.ended().map(|ended| ended.then_some(())).transpose())?
}

fn sounds(card: &Card, seconds: Range<u64>) -> Result<()> {
    seconds.into_iter().try_for_each(|second| card.hears(second, PATIENCE))
}

/// Hears these seconds, each in time, from a player that does not end before.
pub(crate) fn hears(player: &mut dyn Player, card: &Card, seconds: Range<u64>, limit: Duration) -> Result<()> {
    heard_after(player, card, seconds, limit).map(drop)
}

/// The same, and gives how many other seconds were heard before the first of these.
fn heard_after(player: &mut dyn Player, card: &Card, seconds: Range<u64>, limit: Duration) -> Result<usize> {
    let mut before = None;
    for second in seconds {
        let deadline = Instant::now() + limit;
        let others = loop {
            let error = match card.hears_after(second, LOOK) {
                Ok(others) => break others,
                Err(error) => error,
            };
            // One that has ended may still be heard for a moment.
            match player.ended() {
                Ok(false) if Instant::now() < deadline => {}
                Ok(false) => return Err(error),
                Ok(true) => break card.hears_after(second, LINGERS).context("it ended")?,
                Err(why) => break card.hears_after(second, LINGERS).context(why).context("it ended")?,
            }
        };
        before.get_or_insert(others);
    }
    Ok(before.unwrap_or(0))
}

/// Seeks and hears two seconds from there.
pub(crate) fn seek(player: &mut dyn Player, card: &Card, second: u64, limit: Duration) -> Result<()> {
    let what = || format!("after a seek to {second}");
    player.seek(second as f64 + 0.05).with_context(what)?;
    let others = heard_after(player, card, second..second + 2, limit).with_context(what)?;
    ensure!(others <= ON_ITS_WAY, "after a seek to {second}: it played on for {others} seconds to come there");
    Ok(())
}

/// Whether a player that has just sought says that it is there. `None` where it says nothing.
fn tells(player: &mut dyn Player, second: u64) -> Option<Result<()>> {
    let there = second as f64..second as f64 + AWAY;
    match player.position().transpose()? {
        Ok(at) if there.contains(&at) => Some(Ok(())),
        Ok(at) => Some(Err(anyhow!("plays second {second} and says that it is at {at}"))),
        Err(error) => Some(Err(error)),
    }
}

/// A command that takes all of a recording while it grows, and has to have all of it then.
struct Copy {
    process: Killed,
    file: PathBuf,
    before: u64,
    _folder: TempDir,
}

/// A child that is not left behind.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Copy {
    fn start(g: &Growing, opens: &dyn Opens) -> Result<Option<Self>> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("copy");
        let Some((mut command, before)) = opens.copy(&g.wav_url(""), &file) else { return Ok(None) };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Killed(spawn::spawn(command)?);
        Ok(Some(Self { process, file, before, _folder: folder }))
    }

    fn check_exact(mut self, g: &Growing) -> Result<()> {
        let status = spawn::wait(&mut self.process.0, ENDS)?;
        ensure!(status.success(), "it ended with {status}");
        let bytes = std::fs::read(&self.file)?;
        let audio = bytes.get(self.before as usize..).context("a header")?;
        let len = usize::try_from(g.at_most() - WAV_HEADER)?;
        ensure!(audio.len() == len, "{} bytes of audio came, {len} were recorded", audio.len());
        let wrong = audio.iter().zip(g.expected(WAV_HEADER, len)).position(|(is, should)| *is != should);
        wrong.map_or(Ok(()), |at| bail!("byte {at} of the audio is another one"))
    }
}
