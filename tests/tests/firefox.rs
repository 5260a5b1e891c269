//! The page at `/` in Firefox ESR, as a person uses it: the same steps as in Chromium (`page`), heard on a sound card of the testkit.
//! Run by `make clients`, which installs it. A picture of it is kept in `target/pictures`.

use anyhow::Result;
use livetape_testkit::card::Card;
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::process::Start;
use livetape_testkit::pusher::{Push, Pusher};
use livetape_testkit::wait;
use livetape_testkit::webdriver::Browser;
use livetape_tests::growing::{Growing, SOON};
use livetape_tests::page::{Ears, number, of_player, open, picture, press, steps, text, until};
use livetape_tests::tone;
use std::time::Duration;

#[test]
fn dragged_back_marked_kept_moved_by_keys_and_live_again() -> Result<()> {
    let g = Growing::start(tone, Duration::from_secs(60))?;
    let card = Card::new()?;
    let browser = Browser::firefox(&card)?;
    open(&browser, &g)?;
    steps::goes_live(&browser, &card)?;
    steps::drags_to(&browser, &card, 0.3)?;
    steps::marks(&browser, &g, "the reading begins", steps::types)?;
    steps::keeps_a_clip(&browser, &g)?;
    steps::decodes_a_clip(&browser, &g)?;
    let seen = "player.wave.levelAt(player.deck.position) !== null && player.wave.main.clientWidth > 0";
    until(&browser, "its waveform", seen)?;
    picture(&browser, "firefox.png", 1280, 900)?;
    until(&browser, "its level", "Number(player.meter.getAttribute('aria-valuenow')) > -40")?;
    press(&browser, "livetape-player button.play")?;
    steps::moves_by_keys(&browser, &card)?;
    assert_eq!(of_player(&browser, "player.deck.trouble")?, "");
    steps::goes_live(&browser, &card)
}

/// Nothing for so long is silence.
const SILENCE: Duration = Duration::from_secs(3);

#[test]
fn goes_on_where_it_stopped_when_the_gateway_was_away() -> Result<()> {
    let data = tempfile::tempdir()?;
    let recorder = Start::recorder(data.path()).spawn()?;
    let (spec, backlog) = (stereo(), Duration::from_secs(40));
    let pusher = Pusher::start(Push { to: recorder.grpc(), stream: "live".into(), spec, content: tone, backlog });
    pusher.recording(SOON)?;
    let start = Start::gateway(recorder.grpc());
    let gateway = start.spawn()?;
    let card = Card::new()?;
    let browser = Browser::firefox(&card)?;
    browser.open(&gateway.url("/#/streams/live"))?;
    until(&browser, "the recording", "player.recording !== null && player.deck.edge > 40")?;
    steps::goes_live(&browser, &card)?;
    // So that something is loaded that can be heard after the end.
    browser.keys(&steps::LEFT.repeat(2))?;
    Ears::hears(&card, number(&browser, "player.deck.position")? as u64 + 1)?;
    let mut last = card.hears_something(SOON)?;
    let again = start.clone().on_ports_of(&gateway);
    gateway.kill()?;
    // What was loaded is played to its end.
    while let Ok(second) = card.hears_something(SILENCE) {
        last = second;
    }
    wait::until("the page to say that the gateway is away", SOON, || {
        text(&browser, "#status")?.contains("away").then_some(())
    })?;
    let gateway = again.spawn()?;
    // Nobody presses anything.
    let next = card.hears_something(SOON)?;
    assert!([0, 1, 99].contains(&((next + 100 - last) % 100)), "stopped in second {last}, goes on in second {next}");
    (next + 1..next + 4).try_for_each(|second| card.hears(second, SOON))?;
    wait::until("the page to say nothing any more", SOON, || text(&browser, "#status")?.is_empty().then_some(()))?;
    gateway.stop()
}
