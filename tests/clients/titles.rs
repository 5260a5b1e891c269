//! Titles of a stream by ICY: what each player shows of what is being played.

use crate::deed::Deed;
use crate::report::Report;
use crate::scenario::{Opens, PATIENCE};
use anyhow::{Context, Result, ensure};
use livetape_testkit::card::Card;
use livetape_testkit::proxy::Proxy;
use livetape_testkit::{spawn, wait};
use livetape_tests::clients::curl;
use livetape_tests::growing::Growing;
use livetape_tests::tone;
use std::ffi::OsStr;
use std::time::Duration;

/// What is played first, and then.
const TITLES: [&str; 2] = ["Morning - It's one", "Noon - Another"];
const BACKLOG: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(60);
/// Bytes of a frame of MP3 at 128 kbit/s and 48 kHz.
const FRAME: usize = 384;

/// Tells what a player shows now, if it shows a title.
pub(crate) type Shown<'a> = Box<dyn FnMut() -> Result<Option<String>> + 'a>;

/// The title changes while it plays.
pub(crate) fn all(report: &mut Report, opens: &dyn Opens, card: &Card) -> Result<()> {
    let g = Growing::start(tone, BACKLOG)?;
    g.pusher.title(TITLES[0]);
    card.quiet(PATIENCE)?;
    let proxy = Proxy::start(g.livetape.http())?;
    let url = format!("http://{}/streams/live/live.mp3?bitrate=128", proxy.address());
    if let Some(shown) = opens.titles(&url, card) {
        let shown = shown.and_then(|shown| show(&g, shown)).and_then(|()| asked(&proxy.heads()));
        report.tried(Deed::Titles, shown);
    }
    Ok(())
}

/// It knows titles because it asked for them, however late.
fn asked(heads: &[String]) -> Result<()> {
    let line = |head: &String| head.lines().next().unwrap_or_default().to_owned();
    let asks = |head: &&String| head.lines().any(|line| line.eq_ignore_ascii_case("icy-metadata: 1"));
    let (with, without): (Vec<_>, Vec<_>) = heads.iter().partition(asks);
    let lines = |heads: Vec<&String>| heads.into_iter().map(line).collect::<Vec<_>>();
    ensure!(!with.is_empty(), "it asked for no titles: {without:?}");
    let (with, without) = (lines(with), lines(without));
    eprintln!("asked for titles by {:?}, before that for none by {without:?}", with.first());
    Ok(())
}

fn show(g: &Growing, mut shown: Shown<'_>) -> Result<()> {
    for title in TITLES {
        g.pusher.title(title);
        let mut last = None;
        let right = || match shown() {
            Ok(now) if now.as_deref() == Some(title) => Some(Ok(())),
            Ok(now) => {
                last = now;
                None
            }
            Err(why) => Some(Err(why)),
        };
        wait::until("the title", PATIENCE, right).with_context(|| format!("{title:?}, but it shows {last:?}"))??;
    }
    Ok(())
}

/// What ffmpeg says of a stream, each time anew.
pub(crate) fn by_ffmpeg(ffmpeg: &OsStr, url: &str) -> Result<Option<String>> {
    let mut command = spawn::command(ffmpeg);
    command.args(["-nostdin", "-hide_banner", "-i", url, "-t", "1", "-f", "null", "-"]);
    let said = spawn::run(command, LIMIT)?.ok()?.stderr;
    ensure!(said.contains("icy-name"), "no name of the station: {said}");
    let title = said.lines().find_map(|line| line.trim().strip_prefix("StreamTitle")).and_then(|l| l.split_once(": "));
    Ok(title.map(|(_, title)| title.to_owned()))
}

/// What comes to whoever asks for titles, taken apart: every frame of MP3 is where it belongs when titles are taken out.
pub(crate) fn by_curl(url: &str) -> Result<Option<String>> {
    let got = curl(url, &["--header", "Icy-MetaData: 1", "--max-time", "2"])?;
    ensure!(got.header("icy-name").is_some(), "no name of the station: {:?}", got.headers);
    let every: usize = got.header("icy-metaint").context("it says nothing of titles")?.parse()?;
    let (mut rest, mut audio, mut title) = (&got.body[..], Vec::new(), None);
    while rest.len() > every {
        audio.extend_from_slice(&rest[..every]);
        let len = usize::from(rest[every]) * 16;
        let Some(text) = rest.get(every + 1..every + 1 + len) else { break };
        let text = std::str::from_utf8(text)?.trim_end_matches('\0');
        if len > 0 {
            let quoted = text.strip_prefix("StreamTitle='").and_then(|t| t.split_once("';"));
            title = Some(quoted.with_context(|| text.to_owned())?.0.to_owned());
        }
        rest = &rest[every + 1 + len..];
    }
    ensure!(audio.len() > every, "{} bytes of audio", audio.len());
    let wrong = audio.chunks_exact(FRAME).position(|frame| frame[0] != 0xFF || frame[1] & 0xE0 != 0xE0);
    ensure!(wrong.is_none(), "frame {wrong:?} of the MP3 does not begin where it should");
    Ok(title)
}
