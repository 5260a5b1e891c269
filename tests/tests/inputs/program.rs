//! A folder of music as a radio: what plays and what comes is known, somebody skips, and each piece lies where its title says.

use anyhow::{Context, Result};
use livetape_audio::{Frame, FrameCount};
use livetape_testkit::ffmpeg::encode;
use livetape_testkit::http::{self, Response};
use livetape_testkit::process::{Livetape, Start, command};
use livetape_testkit::{counting, spawn, wait};
use livetape_tests::growing::SOON;
use livetape_tests::pushes::{entries, pcm, recording};
use serde_json::{Value, json};

/// Frames of each piece: ten seconds, which nobody waits for.
const EACH: u64 = 480_000;
const NAMES: [&str; 4] = ["alpha", "beta", "gamma", "delta"];

fn program(livetape: &Livetape) -> Result<Value> {
    http::json(livetape.http(), "/streams/radio/program")
}

fn change(livetape: &Livetape, method: &str, path: &str, body: &Value) -> Result<Response> {
    http::request(livetape.http(), method, path, "1.1").json(body).send()
}

fn playing(program: &Value) -> Result<usize> {
    let title = program["playing"].as_str().context("a title")?;
    NAMES.iter().position(|name| format!("Anna - {name}") == title).with_context(|| title.to_owned())
}

#[test]
fn a_folder_is_shuffled_played_for_ever_and_skipped() -> Result<()> {
    let (data, music) = (tempfile::tempdir()?, tempfile::tempdir()?);
    for (n, name) in (0..).zip(NAMES) {
        let wav = data.path().join("in.wav");
        std::fs::write(&wav, counting::wav(48_000, Frame::new(n * EACH), FrameCount::new(EACH))?)?;
        let tags = ["-metadata", "artist=Anna", "-metadata", &format!("title={name}")];
        encode(&wav, &tags, &music.path().join(format!("{name}.flac")))?;
        std::fs::remove_file(wav)?;
    }
    let source = format!("file:{}", music.path().display());
    let livetape = Start::new(data.path().join("tape"))
        .args(["--stream", "radio", "--source", &source, "--shuffle", "--loop"])
        .spawn()?;
    let mut now = wait::until("a program", SOON, || program(&livetape).ok())?;
    let mut heard = vec![playing(&now)?];
    // More often than there are pieces: it has begun anew, and goes on.
    for _ in 0..6 {
        // Its tags were read ahead of time.
        let promised = wait::until("the title of what comes", SOON, || {
            let comes = program(&livetape).ok()?["upcoming"][0].as_str()?.to_owned();
            comes.starts_with("Anna - ").then_some(comes)
        })?;
        let recorded = recording(livetape.http(), "radio", |_| true)?["frames"].as_u64();
        recording(livetape.http(), "radio", |one| one["frames"].as_u64() > recorded.map(|n| n + 60_000))?;
        let mut reply = change(&livetape, "POST", "/streams/radio/skip", &json!({}))?;
        assert_eq!(reply.status, 200);
        now = serde_json::from_slice(&reply.body()?)?;
        let next = playing(&now)?;
        assert_eq!(format!("Anna - {}", NAMES[next]), promised, "what was promised comes");
        assert_eq!(program(&livetape)?["playing"], now["playing"]);
        heard.push(next);
    }
    let manage = |operation| -> Result<String> {
        let url = format!("http://{}", livetape.grpc());
        let manage = command(["manage", "--recorder-url", &url, operation, "radio"])?;
        Ok(spawn::run(manage, SOON)?.ok()?.text())
    };
    let told = manage("program")?;
    assert!(
        told.starts_with(&format!("playing {}\nthen Anna - ", now["playing"].as_str().context("a title")?)),
        "{told}"
    );
    // Titles keep their distance.
    let recorded = recording(livetape.http(), "radio", |_| true)?["frames"].as_u64();
    recording(livetape.http(), "radio", |one| one["frames"].as_u64() > recorded.map(|n| n + 60_000))?;
    let told = manage("skip")?;
    now = program(&livetape)?;
    assert!(told.starts_with(&format!("playing {}", now["playing"].as_str().context("a title")?)), "{told}");
    heard.push(playing(&now)?);
    let mut round = heard[..4].to_vec();
    round.sort_unstable();
    assert_eq!(round, [0, 1, 2, 3], "each once before it begins anew: {heard:?}");
    let end = recording(livetape.http(), "radio", |_| true)?["frames"].as_u64();
    let one = recording(livetape.http(), "radio", |one| one["frames"].as_u64() > end.map(|n| n + 48_000))?;
    let titles = entries(livetape.http(), &one, "title")?;
    let said: Vec<_> = titles.iter().filter_map(|title| title["title"].as_str()).collect();
    assert_eq!(said, heard.iter().map(|n| format!("Anna - {}", NAMES[*n])).collect::<Vec<_>>());
    // Each from its first frame on, just where the title is, without a gap or a frame between.
    let audio = pcm(livetape.http(), &one)?;
    let runs = counting::runs(&audio);
    let firsts: Vec<_> = runs.iter().map(|run| (run.at.get(), u64::from(run.first))).collect();
    let due: Vec<_> = titles.iter().zip(&heard).map(|(title, n)| (title["frame"].as_u64(), *n as u64 * EACH)).collect();
    assert_eq!(firsts.iter().map(|(at, first)| (Some(*at), *first)).collect::<Vec<_>>(), due);
    assert!(entries(livetape.http(), &one, "gap")?.is_empty());
    let deeds = entries(livetape.http(), &one, "event")?;
    assert_eq!(deeds.iter().filter(|deed| deed.to_string().contains("skipped")).count(), 7, "{deeds:?}");
    livetape.stop()
}

#[test]
fn titles_are_said_over_the_api_and_what_cannot_be_is_refused() -> Result<()> {
    let data = tempfile::tempdir()?;
    let livetape = Start::new(data.path()).source("counting").spawn()?;
    recording(livetape.http(), "live", |one| one["frames"].as_u64() > Some(24_000))?;
    let say = |body: Value| Ok::<_, anyhow::Error>(change(&livetape, "PUT", "/streams/live/title", &body)?.status);
    assert_eq!(say(json!({ "title": "Byrd: 'Ave'; \"verum\"" }))?, 204);
    let title = |n: usize| {
        wait::until("the title", SOON, || {
            let one = recording(livetape.http(), "live", |_| true).ok()?;
            entries(livetape.http(), &one, "title").ok()?.get(n).cloned()
        })
    };
    let first = title(0)?;
    assert_eq!(first["title"], "Byrd: 'Ave'; \"verum\"");
    assert!(first["frame"].as_u64() >= Some(24_000), "not before it was said: {first}");
    assert_eq!(say(json!({ "title": "" }))?, 204);
    assert_eq!(title(1)?["title"], "", "nothing plays any more");
    let wrong = [
        json!({ "title": "x".repeat(257) }),
        json!({ "title": "two\nlines" }),
        json!({ "title": 5 }),
        json!({ "titel": "x" }),
        json!({}),
    ];
    for body in wrong {
        assert_eq!(say(body.clone())?, 400, "{body}");
    }
    // A generator has no list of what it plays.
    assert_eq!(http::get(livetape.http(), "/streams/live/program").send()?.status, 409);
    let skip = |stream: &str| -> Result<u16> {
        Ok(change(&livetape, "POST", &format!("/streams/{stream}/skip"), &json!({}))?.status)
    };
    assert_eq!((skip("live")?, skip("none")?), (409, 404));
    livetape.stop()
}
