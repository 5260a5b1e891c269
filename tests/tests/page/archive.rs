//! Recordings by day: what began yesterday is on today's bar, too; gaps can be seen; a press on the bar, or the keyboard, plays from
//! there, however late the answers come; older days are found.

use anyhow::{Context, Result};
use livetape_audio::{Anchor, Entry, Frame, FrameCount, Gap, GapReason, Instance, SampleFormat, Spec, WallTime};
use livetape_store::{DataDir, Disk, Recording};
use livetape_testkit::grpc_source::now;
use livetape_testkit::process::Start;
use livetape_testkit::wait;
use livetape_testkit::webdriver::Browser;
use livetape_tests::growing::SOON;
use livetape_tests::page::{number, of_player, text, until};
use livetape_tests::sparse::Sparse;
use serde_json::json;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);
const LEFT: &str = "\u{e012}";
const ENTER: &str = "\u{e007}";

#[test]
fn days_bars_and_older_days() -> Result<()> {
    let data = tempfile::tempdir()?;
    let spec = Spec::new(SampleFormat::S16, 8000, 1)?;
    let frames = |hours: u64| FrameCount::new(hours * 3600 * 8000);
    let dir = DataDir::open(data.path(), Disk::default())?;
    // Thirty hours long until now: it is on two or three days. And one that is two months old.
    let instance = Instance([3; 16]);
    let long = Sparse {
        stream: "long",
        spec,
        started: now().earlier(Duration::from_secs(30 * 3600)),
        instance,
        frames: frames(30),
    };
    let long = long.sealed(&dir)?;
    let old =
        Sparse { stream: "old", spec, started: now().earlier(DAY * 60), instance, frames: frames(1) }.sealed(&dir)?;
    drop(dir);
    let livetape = Start::new(data.path()).source("none").spawn()?;
    let browser = Browser::start()?;
    browser.open(&livetape.url("/"))?;
    let days = "
        return [...document.querySelectorAll('livetape-archive section')].map(day =>
            [day.querySelector('h3').textContent, [...day.querySelectorAll('li')].map(row => row.recording.id), day.querySelectorAll('.audio').length]);
    ";
    let seen = wait::until("the days", SOON, || {
        let days = browser.run(days, json!([])).ok()?;
        (days.as_array()?.len() >= 2 && days[0][2] == 1).then_some(days)
    })?;
    for day in seen.as_array().context("days")? {
        assert_eq!(day[1], json!([long.id.to_string()]), "{seen}");
        assert_eq!(day[2], 1, "a bar on each: {seen}");
    }
    assert_eq!(seen[0][0], "Today");

    // By keyboard: to the end of today's bar, a quarter of an hour back, and play.
    browser.run("document.querySelector('.lane').focus()", json!([]))?;
    browser.keys("\u{e010}")?;
    browser.keys(&LEFT.repeat(3))?;
    let place = browser.run("return document.querySelector('.lane').getAttribute('aria-valuetext')", json!([]))?;
    browser.keys(ENTER)?;
    until(&browser, "the recording to be open", "player.recording?.stream === 'long'")?;
    until(
        &browser,
        "it to be there",
        "player.deck.position > 29.7 * 3600 - 60 && player.deck.position < 29.8 * 3600 + 60",
    )
    .with_context(|| place.to_string())?;

    // The day of two months ago by the field for dates, and back.
    let choose = "
        const field = document.querySelector('#days input');
        const at = new Date(arguments[0]);
        field.value = `${at.getFullYear()}-${String(at.getMonth() + 1).padStart(2, '0')}-${String(at.getDate()).padStart(2, '0')}`;
        field.dispatchEvent(new Event('change'));
    ";
    let began = old.started.unix_nanos() as f64 / 1e6;
    browser.run(choose, json!([began]))?;
    wait::until("the old one", SOON, || {
        (browser.run(days, json!([])).ok()?[0][1] == json!([old.id.to_string()])).then_some(())
    })?;
    browser.run("document.querySelector('livetape-archive .name').click()", json!([]))?;
    until(&browser, "the old one to be open", "player.recording?.stream === 'old'")?;
    assert!((number(&browser, "player.deck.edge")? - 3600.0).abs() < 1.0);
    browser.run("document.querySelector('#days button:last-child').click()", json!([]))?;
    wait::until("today again", SOON, || (browser.run(days, json!([])).ok()?[0][0] == "Today").then_some(()))?;
    assert_eq!(of_player(&browser, "player.deck.trouble")?, "");
    livetape.stop()
}

/// Hours before the last midnight, so that all of it is on one day.
fn yesterday(hours: u64) -> WallTime {
    now().earlier(DAY).next_midnight().earlier(Duration::from_secs(hours * 3600))
}

/// An hour of silence, which took an hour and ten minutes: in its middle ten minutes are missing.
fn with_a_gap(dir: &DataDir, stream: &'static str, started: WallTime) -> Result<Recording> {
    let spec = Spec::new(SampleFormat::S16, 8000, 1)?;
    let minutes = |n: u64| Duration::from_secs(60 * n);
    let at = Frame::ZERO + spec.frames(minutes(30));
    let (from, to) = (started.later(minutes(30)), started.later(minutes(40)));
    let lost = Some(spec.frames(minutes(10)));
    let gap = Gap { at, lost, from, to, reason: GapReason::SourceRestarted };
    let begins = Anchor { frame: Frame::ZERO, time: started };
    let sparse = Sparse { stream, spec, started, instance: Instance([3; 16]), frames: spec.frames(minutes(60)) };
    sparse.sealed_with(dir, &[Entry::Anchor(begins), Entry::Gap(gap)])
}

#[test]
fn a_gap_is_seen_in_the_bar_the_list_and_the_waveform() -> Result<()> {
    let data = tempfile::tempdir()?;
    let dir = DataDir::open(data.path(), Disk::default())?;
    with_a_gap(&dir, "gone", yesterday(12))?;
    drop(dir);
    let livetape = Start::new(data.path()).source("none").spawn()?;
    let browser = Browser::start()?;
    browser.resize(1280, 900)?;
    browser.open(&livetape.url("/"))?;
    // What stands on the bar, and what is said where a pointer is on it.
    let points = "
        // Gaps are asked for of what is in sight.
        document.querySelector('livetape-archive li')?.scrollIntoView({ block: 'center', behavior: 'instant' });
        const hole = document.querySelector('livetape-archive .hole');
        if (!hole) return null;
        const [box, lane] = [hole, hole.closest('.lane')].map((one) => one.getBoundingClientRect());
        const clientX = box.left + box.width / 2;
        hole.closest('.lane').dispatchEvent(new PointerEvent('pointermove', { clientX, pointerType: 'mouse' }));
        const minutes = Math.round(box.width / lane.width * 1440);
        return [minutes, hole.closest('.lane').querySelector('.tip').textContent];
    ";
    let seen =
        wait::until("the gap on the bar", SOON, || browser.run(points, json!([])).ok().filter(|seen| !seen.is_null()))?;
    assert!((8.0..=12.0).contains(&seen[0].as_f64().context("minutes")?), "{seen}");
    assert!(seen[1].as_str().context("a text")?.ends_with("gap of 10 min"), "{seen}");
    let line = || text(&browser, "livetape-archive li .length");
    wait::until("it in the list", SOON, || (line()? == "1 h · 1 gap").then_some(()))
        .with_context(|| format!("{:?}", line()))?;

    // In the waveform: dots from top to bottom, and how long it was beside them.
    until(&browser, "the recording with its gap", "player.wave.tape.gaps.length === 1")?;
    let drawn = "
        const { main, view, tape, palette } = document.querySelector('livetape-player').wave;
        if (!palette) return null;
        const colour = palette.gap.match(/\\d+/g).map(Number);
        const x = Math.round((tape.gaps[0].at - view.from) / view.length * main.clientWidth);
        const wave = main.clientHeight - 24;
        const count = (...box) => {
            const { data } = main.getContext('2d').getImageData(...box.map((one) => one * devicePixelRatio));
            return data.reduce((sum, _, n) => sum + Number(n % 4 === 0 && colour.every((part, k) => data[n + k] === part)), 0);
        };
        return [count(x, 0, 1, wave) / wave, count(x + 6, wave - 34, 60, 16), count(x - 60, 0, 50, wave)];
    ";
    let mut seen = json!(null);
    // Of letters few points have exactly their colour.
    let found = wait::until("dots and a label", SOON, || {
        seen = browser.run(drawn, json!([])).ok()?;
        let of = |n: usize| seen[n].as_f64();
        ((0.3..0.7).contains(&of(0)?) && of(1)? > 0.0 && of(2)? == 0.0).then_some(())
    });
    found.with_context(|| seen.to_string())?;
    // What comes after it came ten minutes later.
    let times = "player.wave.tape.timeOf(1801) - player.wave.tape.timeOf(1799)";
    assert_eq!(number(&browser, times)?, 602_000.0);
    livetape.stop()
}

/// The timelines of the page come late, or not at all.
const LATE: &str = "
    const real = window.fetch;
    window.fetch = async (address, ...more) => {
        if (!/timeline/.test(address)) return real(address, ...more);
        await new Promise((done) => { setTimeout(done, 1500); });
        if (window.refuses) return new Response('{\"error\":\"too many\"}', { status: 429 });
        return real(address, ...more);
    };
";

#[test]
fn the_bar_that_was_pressed_last_is_played_from_there() -> Result<()> {
    let data = tempfile::tempdir()?;
    let dir = DataDir::open(data.path(), Disk::default())?;
    with_a_gap(&dir, "one", yesterday(14))?;
    with_a_gap(&dir, "two", yesterday(10))?;
    drop(dir);
    let livetape = Start::new(data.path()).source("none").spawn()?;
    let browser = Browser::start()?;
    browser.open(&livetape.url("/"))?;
    browser.cdp("Page.addScriptToEvaluateOnNewDocument", json!({"source": LATE}))?;
    browser.open("about:blank")?;
    browser.open(&livetape.url("/"))?;
    // By one hand after the other on two bars, a third of the way along each, while the timeline of neither is there.
    let presses = "
        window.refuses = arguments[1];
        const press = (stream) => {
            const lane = [...document.querySelectorAll('livetape-lane')].find((one) => one.stream === stream);
            const box = lane.querySelector('.audio').getBoundingClientRect();
            lane.querySelector('.lane').dispatchEvent(new MouseEvent('click', { clientX: box.left + box.width / 3 }));
        };
        arguments[0].forEach(press);
    ";
    let lanes = "return document.querySelectorAll('livetape-lane .audio').length";
    wait::until("the bars", SOON, || (browser.run(lanes, json!([])).ok()? == 2).then_some(()))?;
    browser.run(presses, json!([["one", "two"], false]))?;
    until(&browser, "the other to be open", "player.recording.stream === 'two'")?;
    // A third of its length, and not the start: a pixel of the bar is a minute or two.
    until(
        &browser,
        "it to play from there",
        "player.deck.wanted && player.deck.position > 900 && player.deck.position < 1500",
    )?;
    // Where nobody knows where that is, nothing plays from anywhere.
    browser.run(presses, json!([["one"], true]))?;
    wait::until("the page to say so", SOON, || text(&browser, "#status")?.contains("too many").then_some(()))?;
    assert_eq!(of_player(&browser, "[player.recording.stream, player.deck.wanted]")?, json!(["one", false]));
    livetape.stop()
}

#[test]
fn what_is_too_long_for_a_wav_is_kept_as_rf64() -> Result<()> {
    let data = tempfile::tempdir()?;
    let livetape = Start::new(data.path()).source("none").spawn()?;
    let browser = Browser::start()?;
    browser.open(&livetape.url("/"))?;
    let links = "
        const { download } = await import('/page/renditions.js');
        const one = { urls: { wav: 'a.wav', rf64: 'a.rf64' }, spec: { format: 's16', channels: 2, rate: 48000 } };
        return [3600, 86400].map((seconds) => download({ ...one, seconds }));
    ";
    assert_eq!(browser.run(links, json!([]))?, json!(["a.wav?len=now", "a.rf64?len=now"]));
    livetape.stop()
}
