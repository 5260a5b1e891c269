//! The same with what is compressed: joining a stream, seeking in what grows, and its end.

use crate::deed::{Deed, Kind};
use crate::report::Report;
use crate::scenario::{ENDS, Opens, PATIENCE, Player, edge, ends, has_ended, hears, joins, open, seek};
use anyhow::{Context, Result, ensure};
use livetape_audio::Frame;
use livetape_testkit::card::Card;
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::wait;
use livetape_tests::growing::Growing;
use livetape_tests::tone;
use std::ops::Range;
use std::time::Duration;

/// What is recorded when a player comes.
const BACKLOG: Duration = Duration::from_secs(30);
/// Seconds by which who joins is behind: the burst, up to a block of 1.2 s, the time in which a player begins.
const LATE: Range<u64> = 0..11;
/// For so long a listener hears no break.
const STEADY: Duration = Duration::from_secs(15);
/// Seconds by which the duration that is shown may differ from what there is: a block of it, and how exactly it is at the end.
const CLOSE: f64 = 1.0;
const EXACT: f64 = 0.05;

/// Does all of it.
pub(crate) fn all(report: &mut Report, opens: &dyn Opens, card: &Card) -> Result<()> {
    for kind in [Kind::Mp3, Kind::Opus] {
        let g = Growing::start(tone, BACKLOG)?;
        report.tried(Deed::Live(kind), joins(&g, opens, card, &format!("live.{}", kind.extension()), LATE));
        if kind == Kind::Opus {
            report.tried(Deed::Live(Kind::Flac), joins(&g, opens, card, "live.flac", LATE));
            if let Some(how) = steady(&g, opens, card)? {
                report.tried(Deed::Steady, how);
            }
        }
        growing(report, kind, &g, opens, card)?;
        report.tried(Deed::Finished(kind), finished(kind, &g, opens, card));
    }
    Ok(())
}

/// Address of the recording.
fn url(kind: Kind, g: &Growing, query: &str) -> String {
    g.livetape.url(&format!("/recordings/{}/audio.{}?{query}", g.id, kind.extension()))
}

/// Begins to play what comes at once, and has no break. `None` where the player does not say.
fn steady(g: &Growing, opens: &dyn Opens, card: &Card) -> Result<Option<Result<()>>> {
    let mut player = open(opens, &g.livetape.url("/streams/live/live.opus?burst=5"), card)?;
    if player.breaks()?.is_none() {
        return Ok(None);
    }
    Ok(Some(goes_on(&mut *player, g, card)))
}

fn goes_on(player: &mut dyn Player, g: &Growing, card: &Card) -> Result<()> {
    let heard = card.hears_something(PATIENCE)?;
    let behind = (edge(g) as u64 + 100 - heard) % 100;
    // Who waited for more than the burst before the first sound hears what was captured meanwhile later by as much.
    ensure!(behind < 5 + 1 + 4, "hears second {heard}, {behind} s behind");
    let seconds = heard + 1..heard + STEADY.as_secs();
    hears(player, card, seconds, PATIENCE)?;
    let breaks = player.breaks()?.context("it said so before")?;
    ensure!(breaks == 0, "it had nothing to play {breaks} times");
    Ok(())
}

fn growing(report: &mut Report, kind: Kind, g: &Growing, opens: &dyn Opens, card: &Card) -> Result<()> {
    let mut player = match open(opens, &url(kind, g, ""), card) {
        Ok(player) => player,
        Err(error) => {
            report.tried(Deed::Opens(kind), Err(error));
            return Ok(());
        }
    };
    report.tried(Deed::Opens(kind), hears(&mut *player, card, 0..3, PATIENCE));
    let to = [20, 5];
    let sought = to.into_iter().try_for_each(|to| seek(&mut *player, card, to, PATIENCE));
    report.tried(Deed::Seeks(kind), sought);
    // Near to what is recorded now, however it gets there.
    let near = || edge(g) as u64 - 4;
    if seek(&mut *player, card, near(), PATIENCE).is_err() {
        drop(player);
        let near = near();
        player = open(opens, &url(kind, g, &format!("pos={near}")), card)?;
    }
    let shown = (kind == Kind::Opus && opens.shows_duration()).then(|| shows(&mut *player, g, CLOSE));
    report.tried(Deed::Ends(kind), ends(&mut *player, g, card));
    if let Some(while_growing) = shown {
        report.tried(Deed::Tracks, while_growing.and_then(|()| shows(&mut *player, g, EXACT)));
    }
    Ok(())
}

/// Shows as duration what there is, at one moment of a few.
fn shows(player: &mut dyn Player, g: &Growing, close: f64) -> Result<()> {
    let mut said = Vec::new();
    let right = || {
        let shown = player.duration().ok()??;
        let there = edge(g);
        said.push((shown, there));
        ((shown - there).abs() <= close).then_some(())
    };
    wait::until("the duration", PATIENCE / 4, right).with_context(|| format!("shown, and recorded: {said:?}"))
}

fn finished(kind: Kind, g: &Growing, opens: &dyn Opens, card: &Card) -> Result<()> {
    let end = stereo().duration(g.pusher.captured().since(Frame::ZERO)).as_secs();
    let mut player = open(opens, &url(kind, g, opens.finished()), card)?;
    hears(&mut *player, card, 0..2, PATIENCE)?;
    seek(&mut *player, card, 15, PATIENCE)?;
    seek(&mut *player, card, end - 3, PATIENCE)?;
    hears(&mut *player, card, end - 1..end, PATIENCE)?;
    has_ended(&mut *player, ENDS)
}
