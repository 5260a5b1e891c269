//! Players whose users drag the slider without a pause, each a thousand seeks a minute, and which go away without closing
//! what they opened: that costs the gateway a bounded amount, for a bounded time, and nobody else hears of it.

use anyhow::{Context, Result, ensure};
use livetape_testkit::http::{self, Ending, Response};
use livetape_testkit::{counting::verify_at, wait};
use livetape_tests::counting;
use livetape_tests::growing::{Growing, SECOND, SOON, WAV_HEADER};
use livetape_tests::torture::{memory, numbers, setting};
use std::time::{Duration, Instant};

/// From one seek of a player to its next: a thousand a minute.
const EVERY: Duration = Duration::from_millis(60);
const PLAYERS: u64 = 4;
const BACKLOG: Duration = Duration::from_secs(60);
/// What one body that nobody reads may hold in the gateway: what it has read last, and what the kernel takes no more of.
const EACH: u64 = 1 << 20;
/// What a process may grow by whatever happens.
const SLACK: u64 = 48 << 20;
/// After so long without a byte taken a body is reset.
const STALLED: Duration = Duration::from_secs(60);

/// What a process holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    files: u64,
    memory: u64,
}

fn held(pid: u32) -> Result<Held> {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64;
    Ok(Held { files, memory: memory(pid)? })
}

/// One player: seeks, listens for a moment, and leaves, so many times. Gives the replies that it left open.
fn restless(g: &Growing, seed: u64, seeks: u32) -> Result<Vec<Response>> {
    let (mut random, mut left, started) = (numbers(seed), Vec::new(), Instant::now());
    for n in 0..seeks {
        // By the clock: what a seek takes is no pause.
        std::thread::sleep((started + EVERY * n).saturating_duration_since(Instant::now()));
        // Now and then at the newest byte, where the gateway has to wait.
        let existing = g.at_least() - WAV_HEADER;
        let place = if random(8) == 0 { existing } else { random(existing - SECOND) / 4 * 4 };
        let mut reply = http::get(g.livetape.http(), &g.wav("")).range(&format!("{}-", WAV_HEADER + place)).send()?;
        ensure!(reply.status == 206, "{}", reply.status);
        verify_at(&reply.at_least(1000, SOON)?, place)?;
        match random(3) {
            0 => left.push(reply),
            _ => drop(reply),
        }
    }
    Ok(left)
}

#[test]
fn a_restless_player_disturbs_nobody() -> Result<()> {
    let time = Duration::from_secs(setting("LIVETAPE_RESTLESS", 8));
    let g = Growing::start(counting, BACKLOG)?;
    let mut live = http::get(g.livetape.http(), "/streams/live/live.pcm?burst=0").send()?;
    let first: u64 = live.header("x-livetape-first-frame").context("where it begins")?.parse()?;
    let mut heard = live.at_least(1000, SOON)?;
    let before = held(g.livetape.pid())?;

    let (started, seeks) = (Instant::now(), (time.as_secs_f64() / EVERY.as_secs_f64()) as u32);
    let mut peak = before;
    let mut left = std::thread::scope(|scope| -> Result<_> {
        let g = &g;
        let players: Vec<_> = (0..PLAYERS).map(|n| scope.spawn(move || restless(g, n, seeks))).collect();
        while !players.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            // Somebody else listens meanwhile.
            heard.extend(live.for_a_while(Duration::from_millis(100))?);
            let now = held(g.livetape.pid())?;
            peak = Held { files: peak.files.max(now.files), memory: peak.memory.max(now.memory) };
        }
        let mut all = Vec::new();
        for player in players {
            all.extend(player.join().expect("the thread does not panic")?);
        }
        Ok(all)
    })?;
    let (all, took) = (PLAYERS * u64::from(seeks), started.elapsed());
    let a_minute = all as f64 * 60.0 / took.as_secs_f64();
    eprintln!("{all} seeks, {a_minute:.0} a minute, {} left open; {before:?}, at most {peak:?}", left.len());
    // Each of them on a machine that has nothing else to do, all together on any.
    ensure!(a_minute >= 1_000.0, "{all} seeks took {took:?}: these are not restless");
    let open = left.len() as u64 + 2 * PLAYERS;
    // A connection and the segment that it reads, and what the recorder opens meanwhile.
    ensure!(peak.files <= before.files + 2 * open + 16, "{open} open: {before:?}, {peak:?}");
    ensure!(peak.memory <= before.memory + open * EACH + SLACK, "{open} open: {before:?}, {peak:?}");

    // The other listener heard every frame, and has not fallen behind.
    let edge = g.at_least() - WAV_HEADER - first * 4;
    while (heard.len() as u64) < edge {
        heard.extend(live.at_least(1, SOON)?);
    }
    verify_at(&heard, first * 4)?;
    ensure!(live.ending() == Ending::Open, "{:?}", live.ending());

    // In the short form the players' machine comes back and says that they are gone; in the long one nobody does.
    if time <= STALLED {
        left.clear();
    }
    wait::until("the gateway to let go", STALLED + SOON, || {
        let now = held(g.livetape.pid()).ok()?;
        (now.files <= before.files + 16).then_some(())
    })
    .with_context(|| format!("{before:?}, now {:?}", held(g.livetape.pid())))?;
    drop(left);
    Ok(())
}
