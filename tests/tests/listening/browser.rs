//! Chromium on a recording that grows. What counts is what is heard: the samples that come out of the element.

use anyhow::{Context, Result};
use livetape_audio::Frame;
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::proxy::{Cut, Proxy, range_start};
use livetape_testkit::wait;
use livetape_testkit::webdriver::Browser;
use livetape_tests::growing::{Growing, SOON};
use livetape_tests::player::Player;
use livetape_tests::tone;
use serde_json::json;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

/// A page of the gateway's origin that brings no scripts of its own.
const PLAIN_PAGE: &str = "/plain";

fn seconds(frame: Frame) -> f64 {
    stereo().duration(frame.since(Frame::ZERO)).as_secs_f64()
}

#[test]
fn plays_seeks_follows_and_ends() -> Result<()> {
    let g = Growing::start(tone, Duration::from_secs(60))?;
    let proxy = Proxy::start(g.livetape.http())?;
    let at = |path: &str| format!("http://{}{path}", proxy.address());
    let browser = Browser::start()?;
    let player = Player::play(&browser, &at(PLAIN_PAGE), &at(&g.wav("len=star")))?;
    let known_at_opening = seconds(g.pusher.captured());
    player.hears(1, SOON)?;
    assert_eq!(player.state()?.duration, f64::INFINITY);

    player.seek(50.0)?;
    player.hears(50, SOON)?;
    player.seek(5.0)?;
    player.hears(5, SOON)?;
    player.hears(6, SOON)?;

    // Forward to near the edge, then on for 20 s past what there was when it was opened.
    let near = seconds(g.pusher.captured()) - 2.0;
    player.seek(near)?;
    player.hears(near as u64 + 1, SOON)?;
    let past = (known_at_opening + 20.0) as u64;
    player.hears(past, Duration::from_secs(40))?;
    let state = player.state()?;
    assert_eq!((state.duration, state.ended, &state.error), (f64::INFINITY, false, &None), "still growing");

    let length = seconds(g.pusher.end(SOON)?);
    wait::until("ended", SOON, || player.state().ok().filter(|s| s.ended))?;
    let state = player.state()?;
    assert!((state.duration - length).abs() < 0.05, "{} instead of {length}", state.duration);
    assert_eq!(state.error, None);
    assert_eq!(state.events.iter().filter(|e| *e == "ended").count(), 1);
    let starts: Vec<u64> = proxy.heads().iter().filter_map(|h| range_start(h)).collect();
    assert!(starts.len() >= 3, "it asked by range: {starts:?}");
    assert!(starts.iter().all(|s| s % 32_768 == 0), "{starts:?}");
    Ok(())
}

#[test]
fn a_broken_connection_is_not_heard() -> Result<()> {
    for how in [Cut::Reset, Cut::Close] {
        // So close to the edge that the element reads as the audio comes; with more ahead it would pause.
        let g = Growing::start(tone, Duration::from_secs(6))?;
        let proxy = Proxy::start(g.livetape.http())?;
        let at = |path: &str| format!("http://{}{path}", proxy.address());
        let browser = Browser::start()?;
        let player = Player::play(&browser, &at(PLAIN_PAGE), &at(&g.wav("len=star")))?;
        player.hears(3, SOON)?;
        let connections = proxy.connections();
        let (number, listening) = connections
            .iter()
            .enumerate()
            .find(|(_, c)| c.heads.iter().any(|h| range_start(h) == Some(0)))
            .context("the connection of the element")?;
        assert!(!listening.ended, "it follows");
        let before = player.state()?.events.len();
        proxy.cut(how);
        let next = wait::until("the next request", SOON, || {
            let heads: Vec<String> =
                proxy.connections().into_iter().skip(connections.len()).flat_map(|c| c.heads).collect();
            heads.iter().find_map(|h| range_start(h))
        })?;
        // What came through, but for heads, chunk sizes and, after a reset, what Chromium had not read yet.
        let came = proxy.connections()[number].to_client;
        assert!(next <= came && next + 128 * 1024 > came, "asks from {next} on, {came} bytes had come");
        for second in 4..8 {
            player.hears(second, SOON)?;
        }
        let state = player.state()?;
        assert!(state.events.len() == before, "{how:?}: neither waiting nor anything else: {state:?}");
    }
    Ok(())
}

/// Serves one empty page to whoever asks: an origin that is not the gateway's.
fn other_origin() -> Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            let page =
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>";
            let _ = stream.write_all(page.as_bytes());
        }
    });
    Ok(address)
}

#[test]
fn other_origins_read_ranges_only_where_allowed() -> Result<()> {
    let origin = other_origin()?;
    let allowed = format!("http://{origin}");
    let g = Growing::start_with(tone, Duration::from_secs(5), &["--cors-origins", &allowed])?;
    let proxy = Proxy::start(g.livetape.http())?;
    let url = format!("http://{}{}", proxy.address(), g.wav("len=star"));
    let browser = Browser::start()?;
    let fetch = "
        const reply = await fetch(arguments[0], { headers: { Range: 'bytes=0-99' } });
        const body = await reply.arrayBuffer();
        return [reply.status, reply.headers.get('Content-Range'), body.byteLength];
    ";
    browser.open(&allowed)?;
    assert_eq!(browser.run(fetch, json!([url]))?, json!([206, "bytes 0-99/*", 100]));

    let heads = proxy.heads();
    assert!(!heads.iter().any(|h| h.starts_with("OPTIONS")), "no preflight: {heads:?}");
    // Another port is another origin, and that one was not allowed.
    browser.open(&format!("http://{}", other_origin()?))?;
    let refused = browser.run(fetch, json!([url])).expect_err("a page that may not listen");
    assert!(refused.to_string().contains("Failed to fetch"), "{refused}");
    Ok(())
}
