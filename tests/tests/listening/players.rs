//! ffprobe, ffmpeg and GStreamer on a recording that grows, and on one that ends while they play it.

use anyhow::{Context, Result};
use livetape_audio::Frame;
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::http::{self, Ending};
use livetape_testkit::{spawn, wait};
use livetape_tests::clients::{LIMIT, Wav, ffmpeg, ffprobe};
use livetape_tests::growing::{Growing, SOON, WAV_HEADER};
use livetape_tests::tone;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

fn growing() -> &'static Growing {
    static GROWING: OnceLock<Growing> = OnceLock::new();
    GROWING.get_or_init(|| Growing::start(tone, Duration::from_secs(60)).expect("a growing recording"))
}

#[test]
fn ffprobe_sees_a_length() -> Result<()> {
    let text = ffprobe(&["-show_entries", "format=duration,size", &growing().wav_url("")])?.text();
    let field = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)).expect(name).to_owned();
    assert_eq!(field("size=").parse::<u64>()?, 1 << 40, "the huge total");
    assert!(field("duration=").parse::<f64>()?.is_finite(), "{text}");
    Ok(())
}

/// O23.
#[test]
fn ffprobe_is_told_the_station_and_what_is_played() -> Result<()> {
    const TITLE: &str = "Byrd - It's; \"Ave\"";
    let g = growing();
    g.pusher.title(TITLE);
    let url = g.livetape.url("/streams/live/live.mp3");
    let due = [format!("TAG:StreamTitle={TITLE}"), "TAG:icy-name=live".into(), "TAG:icy-br=128".into()];
    let mut said = String::new();
    let told = || {
        said = ffprobe(&["-show_entries", "format_tags", &url]).ok()?.text();
        due.iter().all(|tag| said.lines().any(|line| line == tag)).then_some(())
    };
    wait::until("the title", SOON, told).with_context(|| said.clone())?;
    assert!(!said.contains("icy-genre"), "nobody has said one: {said}");
    Ok(())
}

#[test]
fn ffmpeg_seeks() -> Result<()> {
    let (wav, done) = ffmpeg(&["-ss", "50", "-i", &growing().wav_url(""), "-t", "3"])?;
    for second in [50, 51, 52] {
        assert_eq!(wav.second_at(Duration::from_millis((second - 50) * 1000 + 300))?, second);
    }
    assert!(done.took < Duration::from_secs(3), "{:?}", done.took);
    Ok(())
}

/// A recording of 10 s that goes on for 3 s after `player` has started, and ends. Gives what the player wrote, and
/// how long after the end it ended by itself.
fn play_to_the_end(
    player: impl FnOnce(&str, &str) -> std::process::Command,
) -> Result<(Growing, Frame, Wav, Duration)> {
    let g = Growing::start(tone, Duration::from_secs(10))?;
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("out.wav");
    let command = player(&g.wav_url(""), out.to_str().expect("a plain path"));
    let playing = std::thread::spawn(move || (spawn::run(command, LIMIT), Instant::now()));
    std::thread::sleep(Duration::from_secs(3));
    let end = g.pusher.end(SOON)?;
    let ended = Instant::now();
    let (done, at) = playing.join().expect("the thread does not panic");
    done?.ok()?;
    Ok((g, end, Wav::read(&out)?, at.saturating_duration_since(ended)))
}

fn assert_whole(g: &Growing, end: Frame, wav: &Wav) {
    assert_eq!(wav.spec, stereo());
    assert_eq!(stereo().frames_in(wav.pcm.len() as u64).0.get(), end.get(), "frames");
    g.assert_audio(WAV_HEADER, &wav.pcm);
}

#[test]
fn ffmpeg_ends_with_the_recording() -> Result<()> {
    let (g, end, wav, late) = play_to_the_end(|url, out| {
        let mut ffmpeg = spawn::command("ffmpeg");
        ffmpeg.args(["-nostdin", "-v", "error", "-i", url, "-c:a", "pcm_s16le", out]);
        ffmpeg
    })?;
    assert!(late < Duration::from_secs(1), "{late:?} after the end");
    assert_whole(&g, end, &wav);
    assert!(wav.peak() < 0.26, "louder than the source: {}", wav.peak());
    Ok(())
}

#[test]
fn gstreamer_ends_with_the_recording() -> Result<()> {
    let (g, end, wav, late) = play_to_the_end(|url, out| {
        let mut gst = spawn::command("gst-launch-1.0");
        gst.args(["-q", "souphttpsrc", &format!("location={url}"), "!", "wavparse", "!", "audioconvert", "!"]);
        gst.args(["audio/x-raw,format=S16LE", "!", "wavenc", "!", "filesink", &format!("location={out}")]);
        gst
    })?;
    assert!(late < Duration::from_secs(2), "{late:?} after the end");
    assert_whole(&g, end, &wav);
    Ok(())
}

#[test]
fn a_regular_end_is_said_and_a_crash_is_not() -> Result<()> {
    let listen = |g: &Growing| -> Result<_> {
        let mut reply = http::get(g.livetape.http(), &g.wav("")).send()?;
        assert_eq!((reply.status, reply.header("transfer-encoding")), (200, Some("chunked")));
        assert_eq!(reply.header("accept-ranges"), None, "ranges of an unknown length break ffmpeg");
        reply.at_least(200_000, SOON)?;
        Ok(reply)
    };
    let g = Growing::start(tone, Duration::from_secs(2))?;
    let mut regular = listen(&g)?;
    let end = g.pusher.end(SOON)?;
    let (_, ending) = regular.to_end(SOON)?;
    assert_eq!(ending, Ending::Clean);

    // Finished: the true length, and sizes in the header that say it.
    let mut sealed = http::get(g.livetape.http(), &g.wav("")).send()?;
    let length = WAV_HEADER + stereo().bytes(end.since(Frame::ZERO));
    assert_eq!(sealed.header("content-length"), Some(length.to_string().as_str()));
    assert_eq!(sealed.header("accept-ranges"), Some("bytes"));
    let body = sealed.body()?;
    assert_eq!(u32::from_le_bytes(body[40..44].try_into()?), u32::try_from(length - WAV_HEADER)?);
    g.assert_audio(WAV_HEADER, &body[44..]);

    let g = Growing::start(tone, Duration::from_secs(2))?;
    let mut crashed = listen(&g)?;
    g.livetape.kill()?;
    assert_eq!(crashed.to_end(SOON)?.1, Ending::Cut);
    Ok(())
}

#[test]
fn from_a_position_on_ffmpeg_hears_what_is_recorded_meanwhile() -> Result<()> {
    let g = growing();
    // From the next full second on: all of it is recorded after this line.
    let start = g.pusher.captured().get() / u64::from(stereo().rate()) + 1;
    let first = Frame::new(start * u64::from(stereo().rate()));
    wait::until("the edge to pass", SOON, || (g.pusher.progress().acknowledged > first).then_some(()))?;
    let url = g.livetape.url(&format!("/recordings/{}/audio.wav?pos={start}", g.id));
    let (wav, _) = ffmpeg(&["-i", &url, "-t", "5"])?;
    for second in 0..5 {
        assert_eq!(wav.second_at(Duration::from_millis(second * 1000 + 300))?, (start + second) % 100);
    }
    Ok(())
}
