//! Reading from the recorder over gRPC: frames, files, tails.

use crate::common::{append, config, next, pcm, start};
use livetape_audio::{Container, DataSize, Frame, FrameCount};
use livetape_proto::{MAX_BLOCK_BYTES, v1};
use livetape_testkit::grpc_source::stereo;
use std::time::Duration;
use tonic::{Code, Request};

fn frames(id: &str, first_frame: u64, frame_count: u64, follow: bool) -> v1::ReadFramesRequest {
    v1::ReadFramesRequest { recording_id: id.into(), first_frame, frame_count, follow }
}

#[tokio::test]
async fn frames_come_as_they_were_captured_up_to_the_tail() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let call = recorder.push("a", 200_000).await;
    let id = call.opened.recording_id.clone();
    assert_eq!(recorder.audio(&id).await, pcm(0, 200_000));
    let mut part = recorder.tapes.clone().read_frames(frames(&id, 1_000, 150_000, false)).await.unwrap().into_inner();
    let mut at = 1_000;
    while let Some(block) = next(&mut part).await.unwrap() {
        let n = block.pcm.len() as u64 / 4;
        assert!(n > 0 && block.pcm.len() <= MAX_BLOCK_BYTES as usize);
        assert_eq!((block.first_frame, block.pcm), (at, pcm(at, n).into()));
        at += n;
    }
    assert_eq!(at, 151_000);
    let refused = |request| {
        let mut tapes = recorder.tapes.clone();
        async move { tapes.read_frames(request).await.unwrap_err().code() }
    };
    assert_eq!(refused(frames(&id, 200_001, 0, false)).await, Code::OutOfRange);
    assert_eq!(refused(frames("../x", 0, 0, false)).await, Code::InvalidArgument);
    assert_eq!(refused(frames("01932c07-209c-7a3e-8c1f-5d2e9b7a4f10", 0, 0, true)).await, Code::NotFound);
    // Hostile numbers: as far as there is audio.
    let mut most =
        recorder.tapes.clone().read_frames(frames(&id, 199_999, u64::MAX, false)).await.unwrap().into_inner();
    assert_eq!(next(&mut most).await.unwrap().unwrap().pcm, pcm(199_999, 1));
    assert_eq!(next(&mut most).await.unwrap(), None);
    recorder.stop().await;
}

#[tokio::test]
async fn following_frames_and_tails_goes_on_until_the_seal() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let call = recorder.push("a", 960).await;
    let id = call.opened.recording_id.clone();
    let mut ahead = recorder.tapes.clone().read_frames(frames(&id, 5_000, 0, true)).await.unwrap().into_inner();
    let watch = |id: &str| v1::WatchTailRequest { recording_id: id.into() };
    let mut tail = recorder.tapes.clone().watch_tail(watch(&id)).await.unwrap().into_inner();
    let mut all = recorder.tapes.clone().watch_tail(watch("")).await.unwrap().into_inner();
    assert_eq!(next(&mut tail).await.unwrap().unwrap().tail.unwrap().end_frame, 960);
    assert_eq!(next(&mut all).await.unwrap().unwrap().tail.unwrap().end_frame, 960);
    // Told again although nothing moves.
    assert_eq!(next(&mut tail).await.unwrap().unwrap().tail.unwrap().end_frame, 960);
    append(&call, 960, 9_040).await;
    let other = recorder.record("b", 480).await;
    call.end(Frame::new(10_000)).await.unwrap();
    let mut audio = Vec::new();
    while let Some(block) = next(&mut ahead).await.unwrap() {
        assert_eq!(block.first_frame, 5_000 + audio.len() as u64 / 4);
        audio.extend_from_slice(&block.pcm);
    }
    assert_eq!(audio, pcm(5_000, 5_000));
    let mut last = None;
    while let Some(response) = next(&mut tail).await.unwrap() {
        let tail = response.tail.unwrap();
        assert!(last.as_ref().is_none_or(|last: &v1::Tail| last.end_frame <= tail.end_frame && !last.sealed));
        last = Some(tail);
    }
    assert_eq!(last.map(|tail| (tail.end_frame, tail.sealed)), Some((10_000, true)));
    let mut sealed = Vec::new();
    while sealed.len() < 2 {
        let tail = next(&mut all).await.unwrap().unwrap().tail.unwrap();
        if tail.sealed && !sealed.contains(&tail.recording_id) {
            sealed.push(tail.recording_id);
        }
    }
    assert!(sealed.contains(&other) && sealed.contains(&id));
    // Of a sealed one: its last tail, once.
    let mut tail = recorder.tapes.clone().watch_tail(watch(&id)).await.unwrap().into_inner();
    assert!(next(&mut tail).await.unwrap().unwrap().tail.unwrap().sealed);
    assert_eq!(next(&mut tail).await.unwrap(), None);
    recorder.stop().await;
}

#[tokio::test]
async fn exports_are_whole_files() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let id = recorder.record("a", 100_000).await;
    let export = |from: &str, to: &str, container: v1::Container| {
        let (from, to) = (from.to_owned(), to.to_owned());
        let request = v1::ExportRequest { recording_id: id.clone(), from, to, container: container.into() };
        let mut tapes = recorder.tapes.clone();
        async move {
            let mut pieces = tapes.export(request).await?.into_inner();
            let (mut file, mut total) = (Vec::new(), None);
            while let Some(piece) = next(&mut pieces).await? {
                total = total.or(piece.total_bytes);
                file.extend_from_slice(&piece.data);
            }
            assert_eq!(total, Some(file.len() as u64));
            Ok::<_, tonic::Status>(file)
        }
    };
    let file = |container: Container, first: u64, n: u64| {
        [container.header(stereo(), DataSize::Known(FrameCount::new(n))), pcm(first, n)].concat()
    };
    let whole = export("", "", v1::Container::Unspecified).await.unwrap();
    assert_eq!(whole, file(Container::Wav, 0, 100_000));
    let part = export("0.5", "2026-11-20T13:00:01.5+01:00", v1::Container::Rf64).await.unwrap();
    assert_eq!(part, file(Container::Rf64, 24_000, 48_000));
    assert_eq!(export("2", "", v1::Container::Pcm).await.unwrap(), pcm(96_000, 4_000));
    for (from, to, code) in [
        ("2", "1", Code::InvalidArgument),
        ("yesterday", "", Code::InvalidArgument),
        ("3", "", Code::OutOfRange),
        ("2026-11-19T00:00:00Z", "2026-11-19T01:00:00Z", Code::OutOfRange),
    ] {
        assert_eq!(export(from, to, v1::Container::Wav).await.unwrap_err().code(), code, "{from} {to}");
    }
    let open = recorder.push("b", 480).await;
    let later =
        v1::ExportRequest { recording_id: open.opened.recording_id.clone(), to: "60".into(), ..Default::default() };
    let refused = recorder.tapes.clone().export(later).await.unwrap_err();
    assert!(refused.code() == Code::OutOfRange && refused.message().contains("not recorded yet"), "{refused}");
    recorder.stop().await;
}

#[tokio::test]
async fn deadlines_and_the_end_of_the_recorder_end_what_follows() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let call = recorder.push("a", 960).await;
    let id = call.opened.recording_id.clone();
    let mut request = Request::new(frames(&id, 0, 0, true));
    request.set_timeout(Duration::from_millis(300));
    let mut limited = recorder.tapes.clone().read_frames(request).await.unwrap().into_inner();
    let mut following = recorder.tapes.clone().read_frames(frames(&id, 0, 0, true)).await.unwrap().into_inner();
    for answers in [&mut limited, &mut following] {
        assert_eq!(next(answers).await.unwrap().unwrap().pcm, pcm(0, 960));
    }
    assert_eq!(next(&mut limited).await.unwrap_err().code(), Code::DeadlineExceeded);
    recorder.stop().await;
    assert_eq!(next(&mut following).await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn who_does_not_read_does_not_hold_up_the_recording() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let call = recorder.push("a", 480_000).await;
    let id = call.opened.recording_id.clone();
    let mut idle = Vec::new();
    for _ in 0..50 {
        idle.push(recorder.tapes.clone().read_frames(frames(&id, 0, 0, true)).await.unwrap());
    }
    append(&call, 480_000, 48_000).await;
    assert_eq!(call.end(Frame::new(528_000)).await.unwrap(), Frame::new(528_000));
    recorder.stop().await;
}
