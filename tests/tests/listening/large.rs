//! Long recordings, made of holes: past 4 GiB of WAV, and thirty days.

use anyhow::{Context, Result};
use livetape_audio::{Frame, FrameCount, Instance, SampleFormat, Spec, WallTime};
use livetape_store::{DataDir, Disk};
use livetape_testkit::grpc_source::{now, open, opening, stereo};
use livetape_testkit::http;
use livetape_testkit::process::Start;
use livetape_testkit::runtime;
use livetape_tests::counting;
use livetape_tests::sparse::{self, Sparse};
use std::time::Duration;

#[test]
fn past_4_gib_a_range_is_the_same_before_and_after_sealing() -> Result<()> {
    const GIB_4: u64 = 1 << 32;
    let data = tempfile::tempdir()?;
    // The tape ends a second before the place where 32 bits end.
    let silence = FrameCount::new(GIB_4 / 4 - 48_000);
    let started = now().earlier(stereo().duration(silence));
    let instance = Instance([9; 16]);
    let long = Sparse { stream: "long", spec: stereo(), started, instance, frames: silence };
    let made = long.open(&DataDir::open(data.path(), Disk::default())?)?;
    let livetape = Start::new(data.path()).source("none").spawn()?;

    // Its source comes back with three seconds that lead across.
    let mut opening = opening("long", stereo());
    opening.instance = instance.0.to_vec();
    opening.resume_recording_id = Some(made.id.to_string());
    let target = format!("/recordings/{}/audio.wav", made.id);
    let to = livetape.http();
    let range = format!("{}-{}", GIB_4 - 100_000, GIB_4 + 299_999);
    let ask = || -> Result<(Option<String>, Vec<u8>)> {
        let mut reply = http::get(to, &target).range(&range).send()?;
        anyhow::ensure!(reply.status == 206, "{}", reply.status);
        Ok((reply.header("content-range").map(str::to_owned), reply.body()?))
    };
    let first = Frame::ZERO + silence;
    let pcm = counting(first, FrameCount::new(144_000), stereo());
    let (growing, end) = runtime().block_on(async {
        let mut call = open(livetape.grpc(), opening).await?;
        anyhow::ensure!(call.opened.recording_id == made.id.to_string() && call.opened.next_frame == first.get());
        for (n, second) in pcm.chunks(192_000).enumerate() {
            let at = first + FrameCount::new(n as u64 * 48_000);
            call.append(at, now(), second.to_vec()).await;
        }
        let end = first + FrameCount::new(144_000);
        call.acknowledged(end).await?;
        let growing = ask()?;
        call.end(end).await?;
        Ok((growing, end))
    })?;
    let sealed = ask()?;
    assert!(growing.1 == sealed.1, "the same bytes");
    let skip = usize::try_from(GIB_4 - 100_000 - 44 - silence.get() * 4)?;
    assert!(sealed.1 == pcm[skip..skip + 400_000], "and the right ones");
    let total = 44 + end.get() * 4;
    assert_eq!(sealed.0, Some(format!("bytes {range}/{total}")), "the true length");

    // A header of 32 bits cannot say it and does not try; RF64 can.
    let mut wav = http::get(to, &target).range("0-43").send()?;
    assert_eq!(wav.body()?[40..44], [0xff; 4]);
    let mut rf64 = http::get(to, &format!("/recordings/{}/audio.rf64", made.id)).range("0-79").send()?;
    let head = livetape_audio::wav_reader::read_head(&rf64.body()?)?.context("a header")?;
    assert_eq!(head.data_len, Some(end.get() * 4));
    livetape.stop()
}

#[test]
fn thirty_days_start_list_and_seek() -> Result<()> {
    let data = sparse::folder()?;
    let spec = Spec::new(SampleFormat::S16, 8_000, 1)?;
    let days = FrameCount::new(30 * 86_400 * 8_000);
    let started = now().earlier(spec.duration(days));
    let dir = DataDir::open(data.path(), Disk::default())?;
    let month = Sparse { stream: "month", spec, started, instance: Instance([3; 16]), frames: days };
    let made = month.clone().open(&dir)?;
    // And a year of ten minutes each day beside it.
    for day in 1..=365 {
        let started = started.earlier(Duration::from_secs(86_400 * day));
        Sparse { started, frames: FrameCount::new(600 * 8_000), ..month.clone() }.sealed(&dir)?;
    }
    drop(dir);
    let livetape = Start::new(data.path()).source("none").spawn()?;
    let to = livetape.http();

    for day in [0, 1, 15, 29] {
        let second = day * 86_400 + 4242;
        let target = format!("/recordings/{}/audio.wav?pos={second}", made.id);
        assert_eq!(http::get(to, &target).range("44-1043").send()?.body()?, [0; 1000]);
        let time = started.later(Duration::from_secs(second));
        let reply = http::get(to, &format!("/recordings/{}/audio.pcm?from={time}", made.id)).range("0-9").send()?;
        assert_eq!(reply.header("x-livetape-first-frame"), Some((second * 8_000).to_string().as_str()));
    }
    let hour = |t: WallTime| format!("/recordings?stream=month&from={t}&to={}", t.later(Duration::from_secs(300)));
    let list = http::json(to, &hour(started.earlier(Duration::from_secs(86_400 * 200))))?;
    assert_eq!(list["recordings"].as_array().map(Vec::len), Some(1), "{list}");
    let now_playing = http::json(to, &hour(started.later(Duration::from_secs(86_400 * 20))))?;
    assert_eq!(now_playing["recordings"][0]["id"], made.id.to_string().as_str());
    livetape.stop()
}
