//! The monitor: what is recorded now, through Web Audio, with its distance to the edge, from one recording into the next.

use crate::opened;
use anyhow::{Context, Result};
use livetape_audio::{ChannelLayout, SampleFormat, Spec};
use livetape_codec::convert::{Converter, Sound};
use livetape_testkit::time_signal::tone_second;
use livetape_testkit::wait;
use livetape_tests::growing::{Growing, SOON};
use livetape_tests::page::{controls, number, of_player, press, text, until};
use livetape_tests::player::RATE;
use livetape_tests::tone;
use serde_json::json;
use std::time::Duration;

/// Takes what comes out of the monitor as samples, the newest second of them.
const TAP: &str = "
    const { monitor } = document.querySelector('livetape-player');
    const { context } = monitor.output;
    const tap = window.tap = context.createScriptProcessor(2048, 2, 2);
    window.pieces = [];
    tap.onaudioprocess = ({ inputBuffer }) => {
        window.pieces.push(Float32Array.from(inputBuffer.getChannelData(0)));
        if (window.pieces.length > 24) window.pieces.shift();
    };
    monitor.output.connect(tap).connect(context.destination);
";

#[test]
fn the_monitor_plays_what_is_recorded_now_and_says_how_near_that_is() -> Result<()> {
    let g = Growing::start(tone, Duration::from_secs(20))?;
    let browser = opened(&g)?;
    press(&browser, "livetape-player button.monitor")?;
    until(&browser, "it to be heard", "player.monitor.distance !== null")?;
    browser.run(TAP, json!([]))?;
    // The tone of the second in which it says that it is.
    let hear = "
        const { monitor } = document.querySelector('livetape-player');
        const all = window.pieces.flatMap(piece => Array.from(piece, x => Math.round(x * 32767)));
        return [monitor.position, all.slice(-14400)];
    ";
    wait::until("the tone of where it is", SOON, || {
        let heard = browser.run(hear, json!([])).ok()?;
        let position = heard[0].as_f64()?;
        let samples: Vec<f32> = heard[1].as_array()?.iter().map(|v| v.as_i64().unwrap_or(0) as f32 / 32768.0).collect();
        let second = u64::from(tone_second(&samples, RATE)?);
        ((position as u64 % 100).abs_diff(second) <= 1).then_some(())
    })?;
    assert!(text(&browser, "livetape-player .lag").context("a distance")?.ends_with("s to the edge"));
    // At the edge as it was while this was asked, not where an audio element would be.
    let distance = number(&browser, "player.monitor.distance")?;
    assert!((0.0..30.0).contains(&distance), "{distance} s");
    assert_eq!(of_player(&browser, "player.deck.playing")?, false, "one or the other");

    // Play takes over, and the end of the stream ends it: not that of a recording.
    press(&browser, "livetape-player button.live")?;
    until(&browser, "the element to play", "player.deck.playing && !player.monitor.on")?;
    press(&browser, "livetape-player button.monitor")?;
    until(&browser, "the monitor again", "player.monitor.distance !== null && !player.deck.playing")?;
    press(&browser, "#streams button.live")?;
    press(&browser, "livetape-player button.monitor")?;
    until(&browser, "the monitor of the stream", "player.monitor.distance !== null && !player.deck.playing")?;
    let next = controls::begins_a_new_tape(&browser)?;
    until(&browser, "the monitor to go on", "player.monitor.on && player.monitor.distance !== null")?;
    assert_eq!(of_player(&browser, "[player.monitor.recording.id, player.deck.playing]")?, json!([next, false]));
    g.pusher.end(SOON)?;
    until(&browser, "the monitor to end", "!player.monitor.on")?;
    assert_eq!(text(&browser, "livetape-player > .trouble").unwrap_or_default(), "");
    Ok(())
}

/// What left and right have of each channel, in thousandths, as a decoder's or a recording's are mixed.
fn mixed(layout: ChannelLayout) -> Result<Vec<Vec<i64>>> {
    let channels = usize::from(layout.channels());
    let sound = Sound { layout, ..Sound::new(48_000, layout.channels()) };
    let mut converter = Converter::new(sound, Spec::new(SampleFormat::F32, 48_000, 2)?)?;
    let alone: Vec<f64> = (0..channels * channels).map(|n| f64::from(u8::from(n % (channels + 1) == 0))).collect();
    let mut pcm = Vec::new();
    converter.push(&alone, &mut pcm)?;
    let heard = pcm.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
    let heard: Vec<i64> = heard.map(|share| (share * 1000.0).round() as i64).collect();
    Ok([0, 1].map(|side| heard.iter().skip(side).step_by(2).copied().collect()).into())
}

#[test]
fn what_the_monitor_makes_of_more_channels_is_what_the_mp3_has() -> Result<()> {
    let g = Growing::start(tone, Duration::from_secs(2))?;
    let browser = opened(&g)?;
    let heard = |spec: serde_json::Value| {
        let script = "return import(document.querySelector('script[type=module]').src.replace('app.js', 'mix.js'))
            .then(({ heard }) => heard(arguments[0]).map(of => of.map(([channel, share]) => [channel, Math.round(share * 1000)])));";
        browser.run(script, json!([spec]))
    };
    assert_eq!(heard(json!({"channels": 1}))?, json!([[[0, 1000]]]));
    // Microphones, for all that anybody knows.
    assert_eq!(heard(json!({"channels": 6}))?, json!([[[0, 1000]], [[1, 1000]]]));
    // Each of the eighteen.
    for layout in ["FL+FR+FC+LFE+BL+BR+FLC+FRC", "FL+FR+BC+SL+SR+TC+TFL+TFC", "FL+FR+TFR+TBL+TBC+TBR", "FL+FR+FC+BC"] {
        let of: ChannelLayout = layout.parse()?;
        let shares = |side: Vec<i64>| (0..).zip(side).filter(|(_, share)| *share > 0).collect::<Vec<(i64, i64)>>();
        let due: Vec<_> = mixed(of)?.into_iter().map(shares).collect();
        assert_eq!(heard(json!({"channels": of.channels(), "layout": layout}))?, json!(due), "{layout}");
    }
    g.pusher.end(SOON)?;
    Ok(())
}
