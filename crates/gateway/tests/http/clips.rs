//! Clips: broadcast WAV files of a part, exact to the frame while the recording goes on.

use crate::client::{fetch, json};
use crate::house::{House, RATE, counting, now};
use livetape_audio::{SampleFormat, SealReason, Spec, WallTime};
use std::process::Command;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const MINUTE: Duration = Duration::from_secs(60);
/// Bytes before the audio: RIFF, `bext` with its history, format, data.
const HEADER: usize = 12 + 8 + 602 + 40 + 24 + 8;

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn exact_to_the_frame_while_recording_goes_on() {
    let house = House::new().await;
    let midnight = WallTime::from_unix_nanos(now().unix_nanos() / 86_400_000_000_000 * 86_400_000_000_000);
    let clock = midnight.later(Duration::from_millis(52_200_250));
    let mut deck = house.record_by("live", MINUTE, clock, crate::house::spec());
    deck.play(RATE * 3);
    let (id, stop) = (deck.id, CancellationToken::new());
    let running = deck.run(stop.clone());
    for (from, to, frames) in [("1", "2.5", 48_000..120_000), ("0.000041667", "0.000104", 2..5)] {
        let target = format!("/recordings/{id}/clip.wav?from={from}&to={to}");
        let (reply, clip) = fetch(house.addr, "GET", &target, &[]).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("audio/wav")));
        let first = frames.start.to_string();
        assert_eq!(reply.header("x-livetape-first-frame"), Some(first.as_str()));
        assert!(reply.header("content-disposition").unwrap().starts_with("attachment; filename=\"live-"));
        assert_eq!(clip.len(), HEADER + (frames.end - frames.start) as usize * 4);
        assert_eq!(
            (&clip[..4], number(&clip, 4), number(&clip, HEADER - 4)),
            (&b"RIFF"[..], clip.len() as u64 - 8, (clip.len() - HEADER) as u64)
        );
        assert!(clip[HEADER..] == counting(frames.clone()), "{from} to {to}");
        // When it was: samples since midnight.
        assert_eq!((&clip[12..16], number(&clip, 16)), (&b"bext"[..], 642));
        let reference = number(&clip, 20 + 338) + (number(&clip, 20 + 342) << 32);
        assert_eq!(reference, 52_200_250 * 48 + frames.start);
        let date: String = clock.to_string().chars().take(10).collect();
        assert_eq!(&clip[20 + 320..20 + 330], date.as_bytes());
        assert_eq!(&clip[20 + 330..20 + 338], if frames.start > 2 { b"14:30:01" } else { b"14:30:00" });
        // The same again, later and in parts.
        let etag = reply.header("etag").unwrap().to_owned();
        let (part, bytes) = fetch(house.addr, "GET", &target, &[("Range", "bytes=690-700")]).await;
        assert_eq!((part.status, part.header("etag"), &bytes[..]), (206, Some(etag.as_str()), &clip[690..=700]));
        let (known, _) = fetch(house.addr, "GET", &target, &[("If-None-Match", &etag)]).await;
        assert_eq!(known.status, 304);
        let (audio, _) = fetch(house.addr, "HEAD", &target.replace("clip.wav", "audio.wav"), &[]).await;
        assert_ne!(audio.header("etag"), Some(etag.as_str()), "another file");
    }
    // Without an end: what there is.
    let (reply, now) = fetch(house.addr, "GET", &format!("/recordings/{id}/clip.wav?from=2"), &[]).await;
    assert_eq!((reply.status, reply.header("cache-control")), (200, Some("no-store")));
    let frames = (now.len() - HEADER) as u64 / 4;
    assert!(frames >= 48_000 && now[HEADER..] == counting(96_000..96_000 + frames));
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ffprobe_reads_when_it_was() {
    let house = House::new().await;
    let spec = Spec::new(SampleFormat::S24, 44_100, 1).unwrap();
    let clock = "2026-11-20T14:30:00Z".parse().unwrap();
    let mut deck = house.record_by("hall", MINUTE, clock, spec);
    deck.play(44_100);
    deck.seal(SealReason::Operator, None);
    let (_, clip) =
        fetch(house.addr, "GET", &format!("/recordings/{}/clip.wav?from=0.5&to=0.500023", deck.id), &[]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clip.wav");
    std::fs::write(&file, &clip).unwrap();
    assert_eq!(clip.len() % 2, 0, "an odd chunk is padded");
    let run = Command::new("ffprobe")
        .args(["-v", "error", "-of", "json", "-show_streams", "-show_format"])
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&run.stderr), "");
    let found: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    let tags = &found["format"]["tags"];
    assert_eq!(tags["time_reference"], (52_200_u64 * 44_100 + 22_050).to_string());
    assert_eq!((&tags["date"], &tags["creation_time"]), (&"2026-11-20".into(), &"14:30:00".into()));
    assert_eq!(tags["encoded_by"], "livetape");
    assert_eq!(
        (&found["streams"][0]["codec_name"], &found["streams"][0]["duration_ts"]),
        (&"pcm_s24le".into(), &1.into())
    );
}

/// How many frames ffmpeg decodes.
fn decoded(file: &std::path::Path, channels: u32) -> u64 {
    let run = Command::new("ffmpeg")
        // Of three packets it would not know by itself what they are.
        .args(["-v", "error", "-f", "mp3", "-i"])
        .arg(file)
        .args(["-f", "s16le", "-ac", &channels.to_string(), "pipe:1"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&run.stderr), "");
    run.stdout.len() as u64 / 2 / u64::from(channels)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_mp3_is_cut_to_the_sample() {
    let (house, folder) = (House::new().await, tempfile::tempdir().unwrap());
    for (rate, channels) in [(48_000, 2), (44_100, 2), (22_050, 1), (8_000, 1)] {
        let spec = Spec::new(SampleFormat::S16, rate, channels).unwrap();
        let mut deck = house.record_as(&format!("live-{rate}"), MINUTE, spec);
        deck.play(u64::from(rate) * 5);
        for frames in [0..1, 0..577, 0..u64::from(rate), 777..1_929, 12_345..u64::from(rate) * 4 + 77] {
            let at = |frame: u64| format!("{:.9}", frame as f64 / f64::from(rate));
            let part = format!("from={}&to={}", at(frames.start), at(frames.end));
            let target = format!("/recordings/{}/clip.mp3?{part}", deck.id);
            let (reply, clip) = fetch(house.addr, "GET", &target, &[]).await;
            assert_eq!((reply.status, reply.header("content-type")), (200, Some("audio/mpeg")), "{target}");
            let first = frames.start.to_string();
            assert_eq!(reply.header("x-livetape-first-frame"), Some(first.as_str()));
            let named = reply.header("content-disposition").unwrap();
            assert!(named.starts_with("attachment; ") && named.ends_with(".mp3\""), "{named}");
            let file = folder.path().join("clip.mp3");
            std::fs::write(&file, &clip).unwrap();
            assert_eq!(decoded(&file, channels), frames.end - frames.start, "{rate}: {frames:?}");
            // The same again, in parts, and another file than what is heard.
            let etag = reply.header("etag").unwrap().to_owned();
            let range = [("Range", "bytes=100-299")];
            let (part_of, bytes) = fetch(house.addr, "GET", &target, &range).await;
            assert_eq!((part_of.status, part_of.header("etag")), (206, Some(etag.as_str())));
            assert!(clip[100..].starts_with(&bytes) && bytes.len() == 200);
            let target = target.replace("clip.mp3", "audio.mp3");
            let (heard, bytes) = fetch(house.addr, "GET", &target, &[]).await;
            assert_ne!(heard.header("etag"), Some(etag.as_str()));
            assert!(!bytes.windows(4).take(1_000).any(|tag| tag == b"Info" || tag == b"Xing"));
        }
        let (reply, _) = fetch(house.addr, "HEAD", &format!("/recordings/{}/clip.mp3?bitrate=64", deck.id), &[]).await;
        assert_eq!((reply.status, reply.header("cache-control")), (200, Some("no-store")), "as far as is recorded");
        for query in ["?bitrate=129", "?rendition=opus-96", "?len=now"] {
            let (status, _) = json(house.addr, &format!("/recordings/{}/clip.mp3{query}", deck.id)).await;
            assert_eq!(status, 400, "{query}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_clip() {
    let house = House::new().await;
    let mut deck = house.record("live", MINUTE);
    let empty = deck.id;
    let (status, _) = json(house.addr, &format!("/recordings/{empty}/clip.wav")).await;
    assert_eq!(status, 409, "nothing is recorded yet");
    deck.play(RATE);
    let ask = async |query: &str| {
        let (status, body) = json(house.addr, &format!("/recordings/{empty}/clip.wav{query}")).await;
        (status, body["error"].as_str().unwrap().to_owned())
    };
    for (query, status, word) in [
        ("?from=0.5&to=2", 409, "not recorded yet"),
        ("?from=2", 409, "so far"),
        ("?from=1", 409, "nothing"),
        ("?from=0.5&to=0.1", 400, "not after"),
        ("?from=0.5&to=0.5", 400, "not after"),
        ("?pos=0.5", 400, "pos"),
        ("?from=x", 400, "from"),
        ("?len=now", 400, "len"),
    ] {
        let (got, error) = ask(query).await;
        assert_eq!((got, error.contains(word)), (status, true), "{query}: {error}");
    }
    deck.seal(SealReason::Operator, None);
    let (status, _) = ask("?from=1").await;
    assert_eq!(status, 404);
    // A `to` past the end of a finished recording is its end.
    let (_, clip) = fetch(house.addr, "GET", &format!("/recordings/{empty}/clip.wav?from=0.9&to=7"), &[]).await;
    assert!(clip[HEADER..] == counting(43_200..48_000));
    house.catalogue.remove(empty);
    assert_eq!(ask("").await.0, 404);
}
