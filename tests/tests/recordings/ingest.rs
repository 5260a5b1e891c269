//! What sources may say to the recorder, and what it answers when they say something wrong. Whatever comes, the
//! recording keeps what was acknowledged and other streams do not notice.

use anyhow::{Context, Result};
use livetape_audio::{Frame, FrameCount, SampleFormat, Spec, WallTime};
use livetape_proto::v1::{self, ingest_request::Message};
use livetape_testkit::grpc_source::{Call, begin, now, open, opening, stereo};
use livetape_testkit::http;
use livetape_testkit::process::{Livetape, Start};
use livetape_testkit::runtime;
use livetape_tests::counting;
use serde_json::Value;
use std::sync::OnceLock;
use std::time::Duration;
use tonic::Code;

/// One recorder for all of these tests; each has its own stream.
fn livetape() -> &'static Livetape {
    static LIVETAPE: OnceLock<(Livetape, tempfile::TempDir)> = OnceLock::new();
    let start = || -> Result<_> {
        let data = tempfile::tempdir()?;
        Ok((Start::new(data.path()).source("none").spawn()?, data))
    };
    &LIVETAPE.get_or_init(|| start().expect("a recorder")).0
}

async fn opened(stream: &str) -> Result<Call> {
    Ok(open(livetape().grpc(), opening(stream, stereo())).await?)
}

fn pcm(first: u64, count: u64) -> Vec<u8> {
    counting(Frame::new(first), FrameCount::new(count), stereo())
}

/// The audio of a recording as it is served.
fn served(id: &str) -> Result<Vec<u8>> {
    let mut reply = http::get(livetape().http(), &format!("/recordings/{id}/audio.pcm?len=now")).send()?;
    anyhow::ensure!(reply.status == 200, "{}", reply.status);
    reply.body()
}

fn timeline(id: &str) -> Result<Vec<Value>> {
    let timeline = http::json(livetape().http(), &format!("/recordings/{id}/timeline"))?;
    Ok(timeline["entries"].as_array().context("entries")?.clone())
}

fn of_type<'a>(entries: &'a [Value], kind: &str) -> Vec<&'a Value> {
    entries.iter().filter(|e| e["type"] == kind).collect()
}

#[test]
fn a_repeated_append_is_harmless_and_a_hole_is_refused() -> Result<()> {
    runtime().block_on(async {
        let mut call = opened("repeat").await?;
        let start = now();
        call.append(Frame::ZERO, start, pcm(0, 4800)).await;
        call.acknowledged(Frame::new(4800)).await?;
        // All of it again, then half of it with something new, then something in the past with other content.
        call.append(Frame::ZERO, start, pcm(0, 4800)).await;
        call.append(Frame::new(2400), start.later(Duration::from_millis(50)), pcm(2400, 4800)).await;
        call.append(Frame::new(100), start, pcm(999_999, 50)).await;
        call.acknowledged(Frame::new(7200)).await?;
        assert!(served(&call.opened.recording_id)? == pcm(0, 7200));

        call.append(Frame::new(7201), start.later(Duration::from_millis(150)), pcm(7201, 480)).await;
        let status = call.refusal().await;
        assert_eq!(status.code(), Code::OutOfRange, "{status}");
        assert!(status.message().contains("7200"), "it says where to go on: {status}");
        assert!(served(&call.opened.recording_id)? == pcm(0, 7200));
        Ok(())
    })
}

#[test]
fn half_a_frame_and_too_much_are_refused() -> Result<()> {
    runtime().block_on(async {
        let mut call = opened("half").await?;
        call.append(Frame::ZERO, now(), pcm(0, 480)).await;
        call.acknowledged(Frame::new(480)).await?;
        let id = call.opened.recording_id.clone();
        let limit = call.opened.max_append_bytes;
        call.append(Frame::new(480), now(), pcm(480, 2)[..7].to_vec()).await;
        let status = call.refusal().await;
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(served(&id)? == pcm(0, 480));

        for over in [4, 64 * 1024] {
            let mut call = opened("half").await?;
            call.append(Frame::new(480), now(), vec![0; limit as usize + over]).await;
            let status = call.refusal().await;
            // Far over the limit the transport refuses before the recorder sees it, by its own name for it.
            let by = [Code::ResourceExhausted, Code::OutOfRange];
            assert!(by.contains(&status.code()), "{over} bytes over: {status}");
        }
        let mut call = opened("half").await?;
        call.append(Frame::new(480), now(), pcm(480, u64::from(limit / 4))).await;
        call.acknowledged(Frame::new(480 + u64::from(limit / 4))).await?;
        Ok(())
    })
}

#[test]
fn the_newer_source_has_the_stream() -> Result<()> {
    runtime().block_on(async {
        let mut old = opened("two").await?;
        old.append(Frame::ZERO, now(), pcm(0, 4800)).await;
        old.acknowledged(Frame::new(4800)).await?;
        let mut new = opened("two").await?;
        assert_eq!(new.opened.recording_id, old.opened.recording_id);
        assert!(new.opened.epoch > old.opened.epoch);
        assert_eq!(new.opened.next_frame, 4800);
        old.append(Frame::new(4800), now(), pcm(4800, 480)).await;
        let status = old.refusal().await;
        assert_eq!(status.code(), Code::Aborted, "{status}");

        new.append_as(old.opened.epoch, Frame::new(4800), now(), pcm(4800, 480)).await;
        assert_eq!(new.refusal().await.code(), Code::Aborted, "an older epoch in a newer call");
        let mut again = opened("two").await?;
        again.append(Frame::new(4800), now(), pcm(4800, 480)).await;
        again.acknowledged(Frame::new(5280)).await?;
        let entries = timeline(&again.opened.recording_id)?;
        let gaps = of_type(&entries, "gap");
        assert_eq!(gaps.len(), 1, "others than the first do not know what it had: {gaps:?}");
        assert_eq!(gaps[0]["at"], 4800);
        Ok(())
    })
}

#[test]
fn gaps_take_no_numbers_and_add_up() -> Result<()> {
    runtime().block_on(async {
        let mut call = opened("gaps").await?;
        let start = now();
        call.append(Frame::ZERO, start, pcm(0, 48_000)).await;
        call.gap(Frame::new(48_000), Some(24_000), v1::GapReason::Xrun).await;
        call.gap(Frame::new(48_000), Some(24_000), v1::GapReason::Xrun).await;
        call.append(Frame::new(48_000), start.later(Duration::from_secs(2)), pcm(48_000, 4800)).await;
        call.acknowledged(Frame::new(52_800)).await?;
        let id = call.opened.recording_id.clone();
        assert!(served(&id)? == pcm(0, 52_800));
        let entries = timeline(&id)?;
        let gaps = of_type(&entries, "gap");
        assert_eq!(gaps.len(), 1, "{gaps:?}");
        assert_eq!(
            (&gaps[0]["at"], &gaps[0]["lost"], &gaps[0]["reason"]),
            (&48_000.into(), &48_000.into(), &"xrun".into())
        );
        let time = |name: &str| gaps[0][name].as_str().and_then(|t| t.parse::<WallTime>().ok()).expect(name);
        assert_eq!(time("from"), start.later(Duration::from_secs(1)));
        assert_eq!(time("to"), start.later(Duration::from_secs(2)));

        call.gap(Frame::new(48_000), None, v1::GapReason::Xrun).await;
        let status = call.refusal().await;
        assert!(status.code() != Code::Ok && status.message().contains("48000"), "a gap in the past: {status}");
        Ok(())
    })
}

#[test]
fn an_hour_forward_and_an_hour_back() -> Result<()> {
    const HOUR: Duration = Duration::from_secs(3600);
    runtime().block_on(async {
        for (stream, forward) in [("forward", true), ("back", false)] {
            let mut call = opened(stream).await?;
            let start = now();
            let step = |t: WallTime| if forward { t.later(HOUR) } else { t.earlier(HOUR) };
            for second in 0..6_u64 {
                let due = start.later(Duration::from_secs(second));
                let time = if second < 3 { due } else { step(due) };
                call.append(Frame::new(second * 48_000), time, pcm(second * 48_000, 48_000)).await;
            }
            call.acknowledged(Frame::new(6 * 48_000)).await?;
            let id = call.opened.recording_id.clone();
            assert!(served(&id)? == pcm(0, 6 * 48_000), "nothing is cut, shifted or left out");
            let entries = timeline(&id)?;
            assert_eq!(of_type(&entries, "gap").len(), 0, "{entries:?}");
            let steps: Vec<_> = entries.iter().filter(|e| e["kind"] == "clock_step").collect();
            assert_eq!(steps.len(), 1, "{entries:?}");
            let times: Vec<_> =
                of_type(&entries, "anchor").into_iter().map(|a| (a["frame"].clone(), a["time"].clone())).collect();
            let stepped = step(start.later(Duration::from_secs(3))).to_string();
            assert_eq!(times, [(0.into(), start.to_string().into()), (144_000.into(), stepped.clone().into())]);

            // A time of day leads to the frame that was captured then, on either side of the step.
            let ask = |time: WallTime| -> Result<(u16, Option<String>)> {
                let target = format!("/recordings/{id}/audio.pcm?from={time}");
                let reply = http::get(livetape().http(), &target).send()?;
                Ok((reply.status, reply.header("x-livetape-first-frame").map(str::to_owned)))
            };
            let at = |frame: u64| (200, Some(frame.to_string()));
            assert_eq!(ask(start.later(Duration::from_secs(1)))?, at(48_000));
            let after = step(start.later(Duration::from_secs(4)));
            // Set back, that time comes before the recording began; the first frame after it is its first.
            assert_eq!(ask(after)?, at(if forward { 192_000 } else { 0 }));
        }
        Ok(())
    })
}

#[test]
fn a_message_that_can_never_be_right() -> Result<()> {
    runtime().block_on(async {
        let to = livetape().grpc();
        let spec = |format: i32, rate, channels| Some(v1::Spec { format, rate, channels, channel_mask: 0 });
        type Break = Box<dyn Fn(&mut v1::Open)>;
        let broken: Vec<Break> = vec![
            Box::new(|o| o.stream = "../../etc".into()),
            Box::new(|o| o.stream = String::new()),
            Box::new(|o| o.stream = "a.wav".into()),
            Box::new(|o| o.source = "x".repeat(1_000)),
            Box::new(|o| o.instance = vec![0; 15]),
            Box::new(|o| o.spec = None),
            Box::new(move |o| o.spec = spec(1, 0, 2)),
            Box::new(move |o| o.spec = spec(1, 48_000, u32::MAX)),
            Box::new(move |o| o.spec = spec(77, 48_000, 2)),
            Box::new(|o| o.resume_recording_id = Some("no id".into())),
        ];
        for break_it in broken {
            let mut bad = opening("bad", stereo());
            break_it(&mut bad);
            let status = open(to, bad.clone()).await.err().with_context(|| format!("it took {bad:?}"))?;
            assert_eq!(status.code(), Code::InvalidArgument, "{bad:?}: {status}");
            assert!(!status.message().is_empty());
        }
        let end = Message::End(v1::End { epoch: 1, at_frame: 0 });
        let status = begin(to, end).await.err().context("no Open first")?;
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");

        let mut call = opened("bad").await?;
        call.send(Message::Open(opening("bad", stereo()))).await;
        assert_eq!(call.refusal().await.code(), Code::InvalidArgument, "a second Open");
        Ok(())
    })
}

#[test]
fn another_shape_is_another_recording() -> Result<()> {
    runtime().block_on(async {
        let mut call = opened("shape").await?;
        call.append(Frame::ZERO, now(), pcm(0, 480)).await;
        call.acknowledged(Frame::new(480)).await?;
        let first = call.opened.recording_id;
        let mono = Spec::new(SampleFormat::S24, 44_100, 1)?;
        let mut open_mono = opening("shape", mono);
        open_mono.resume_recording_id = Some(first.clone());
        let mut call = open(livetape().grpc(), open_mono).await?;
        assert_ne!(call.opened.recording_id, first);
        assert_eq!(call.opened.next_frame, 0);
        call.append(Frame::ZERO, now(), vec![1, 2, 3, 4, 5, 6]).await;
        call.acknowledged(Frame::new(2)).await?;
        let list = http::json(livetape().http(), "/recordings?stream=shape")?;
        let ids: Vec<_> = list["recordings"].as_array().context("a list")?.iter().map(|r| r["id"].clone()).collect();
        assert_eq!(ids, [Value::from(first.clone()), call.opened.recording_id.clone().into()], "oldest first");
        assert!(served(&first)? == pcm(0, 480), "sealed, and whole");
        assert_eq!(served(&call.opened.recording_id)?, [1, 2, 3, 4, 5, 6]);
        Ok(())
    })
}

#[test]
fn an_end_seals_at_once() -> Result<()> {
    runtime().block_on(async {
        let call = opened("ended").await?;
        call.append(Frame::ZERO, now(), pcm(0, 48_000)).await;
        let id = call.opened.recording_id.clone();
        assert_eq!(call.end(Frame::new(48_000)).await?, Frame::new(48_000));
        let mut reply = http::get(livetape().http(), &format!("/recordings/{id}/audio.pcm")).send()?;
        assert_eq!(reply.header("content-length"), Some("192000"));
        assert!(reply.body()? == pcm(0, 48_000));
        let next = opened("ended").await?;
        assert_ne!(next.opened.recording_id, id, "the next source begins a new one");
        Ok(())
    })
}
