//! How it looks: pictures by day and by night, on a large and on a small screen, kept in `target/pictures`; what axe-core says of names,
//! roles and contrast; less motion where that is asked for. With `LIVETAPE_PICTURE` it also writes the picture of the README.

use crate::manage::silence;
use crate::opened;
use anyhow::{Context, Result};
use livetape_audio::{Frame, FrameCount, Spec};
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::pusher::{Push, Pusher};
use livetape_testkit::webdriver::Browser;
use livetape_testkit::{http, wait};
use livetape_tests::growing::{Growing, SOON};
use livetape_tests::page::{number, of_player, picture, text, until};
use livetape_tests::tools;
use serde_json::{Value, json};
use std::f64::consts::TAU;
use std::sync::OnceLock;
use std::time::Duration;

/// Something like a choir with a reading between two hymns: it looks like music.
fn choir(first: Frame, count: FrameCount, spec: Spec) -> Vec<u8> {
    // A chord whose tones fit into a second, so that it is made once; how loud it is changes with every millisecond.
    static CHORD: OnceLock<Vec<f64>> = OnceLock::new();
    let chord = CHORD.get_or_init(|| {
        let tone =
            |n: u32, hertz: f64, strength: f64| strength * (TAU * hertz * f64::from(n) / f64::from(spec.rate())).sin();
        let at = |n: u32| tone(n, 220.0, 0.5) + tone(n, 277.0, 0.3) + tone(n, 330.0, 0.25) + tone(n, 441.0, 0.15);
        (0..spec.rate()).map(at).collect()
    });
    let loud = |millisecond: u64| {
        let t = millisecond as f64 / 1000.0;
        let rises = |period: f64, phase: f64| (TAU * t / period / 2.0 + phase).sin().abs();
        let phrase = rises(9.7, 0.4).powi(2) * (0.45 + 0.55 * rises(1.63, 0.0)) * (0.6 + 0.4 * rises(0.41, 1.0));
        let sung = (0.25 + 0.75 * rises(37.0, 0.2)) * phrase;
        let read = 0.35 * rises(0.71, 0.3).powi(4) * rises(3.3, 0.9);
        if t % 61.0 < 43.0 { sung } else { read }
    };
    let (each, end) = (u64::from(spec.rate()) / 1000, first.get() + count.get());
    let mut pcm = Vec::new();
    let mut n = first.get();
    while n < end {
        let (loud, next) = (loud(n / each), end.min((n / each + 1) * each));
        for frame in n..next {
            let tone = chord[(frame % chord.len() as u64) as usize] * loud;
            let sample = |pan: f64| ((tone * pan).clamp(-1.0, 1.0) * 30_000.0) as i16;
            pcm.extend([sample(0.85), sample(0.7)].into_iter().flat_map(i16::to_le_bytes));
        }
        n = next;
    }
    pcm
}

fn emulate(browser: &Browser, scheme: &str, motion: &str) -> Result<()> {
    let features =
        json!([{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": motion}]);
    browser.cdp("Emulation.setEmulatedMedia", json!({"features": features}))?;
    Ok(())
}

/// What axe-core finds wrong, one line for each element.
fn wrong(browser: &Browser) -> Result<Vec<String>> {
    let axe = std::fs::read_to_string(tools::axe()?)?;
    browser.cdp("Runtime.evaluate", json!({"expression": axe}))?;
    let found = browser.run(
        "const { violations } = await window.axe.run();
         return violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`));",
        json!([]),
    )?;
    Ok(found.as_array().context("a list")?.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

#[test]
fn it_can_be_looked_at_and_read_aloud() -> Result<()> {
    let g = Growing::start(choir, Duration::from_secs(130))?;
    let to = g.livetape.http();
    let target = format!("/recordings/{}", g.id);
    http::request(to, "PATCH", &target, "1.1").json(&json!({"title": "Evensong"})).send()?.body()?;
    for (second, words) in [(62, "the reading begins"), (104, "second hymn")] {
        let mark = json!({"text": words, "frame": second * 48_000});
        http::request(to, "POST", &format!("{target}/marks"), "1.1").json(&mark).send()?.body()?;
    }
    // And a studio in which nobody is yet.
    let spec = stereo();
    let studio =
        Push { to: g.livetape.grpc(), stream: "studio".into(), spec, content: silence, backlog: Duration::ZERO };
    let _studio = Pusher::start(studio);
    let browser = opened(&g)?;
    emulate(&browser, "light", "no-preference")?;
    until(&browser, "marks and title", "player.wave.tape.marks.length === 2 && player.recording.title === 'Evensong'")?;
    of_player(&browser, "(player.deck.wanted = true, player.deck.seek(player.deck.edge - 42), 0)")?;
    until(&browser, "it to play", "player.deck.playing && player.audio.currentTime > 1")?;
    until(&browser, "its waveform", "player.wave.levelAt(player.deck.position) !== null")?;
    until(&browser, "how loud it is", "player.loudness.textContent.includes('LUFS')")?;
    wait::until("a studio that is silent", SOON, || {
        let states = "return [...document.querySelectorAll('#streams .state')].map(one => one.textContent)";
        (browser.run(states, json!([])).ok()? == json!(["live", "silent"])).then_some(())
    })?;
    for (name, scheme, width, height) in [
        ("page.png", "light", 1280, 900),
        ("page-dark.png", "dark", 1280, 900),
        ("page-small.png", "light", 390, 844),
        ("page-small-dark.png", "dark", 390, 844),
    ] {
        emulate(&browser, scheme, "no-preference")?;
        browser.resize(width, height)?;
        until(
            &browser,
            "a drawing",
            &format!("innerWidth === {width} && player.wave.main.width === player.wave.main.clientWidth"),
        )?;
        let found = wrong(&browser)?;
        assert!(found.is_empty(), "{name}: {found:#?}");
        // Within what a scroll bar leaves.
        let scrolls =
            browser.run("const all = document.documentElement; return all.scrollWidth - all.clientWidth", json!([]))?;
        assert_eq!(scrolls, 0, "{name}: nothing hangs out at the side");
        picture(&browser, name, width, height)?;
    }
    if std::env::var_os("LIVETAPE_PICTURE").is_some() {
        std::fs::copy(tools::project().join("target/pictures/page.png"), tools::project().join("docs/page.png"))?;
    }
    // The streams and the archive, below.
    emulate(&browser, "light", "no-preference")?;
    browser.resize(1280, 900)?;
    browser.run("document.querySelector('livetape-archive').scrollIntoView({ block: 'end' })", json!([]))?;
    picture(&browser, "archive.png", 1280, 900)?;

    // Drawn anew when it becomes dark: the colours of the canvas are those of the style sheet.
    let palette = "JSON.stringify(player.wave.palette)";
    emulate(&browser, "dark", "reduce")?;
    until(&browser, "colours", &format!("player.wave.palette !== null && {palette}.length > 2"))?;
    let moves = "return document.getAnimations().filter(one => one.playState === 'running').length";
    assert_eq!(browser.run(moves, json!([]))?, 0, "nothing moves by itself");
    let before = number(&browser, "player.deck.position")?;
    until(&browser, "the page to go on nevertheless", &format!("player.deck.position > {before} + 1"))?;
    // By keyboard alone the focus is seen.
    browser.keys("\u{e004}")?;
    let ring = browser.run("return getComputedStyle(document.activeElement).outlineStyle", json!([]))?;
    assert_eq!(ring, "solid");
    assert!(text(&browser, "#player-name").is_some());
    Ok(())
}
