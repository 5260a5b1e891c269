//! Peaks as the recorder makes them: beside what it records, and of what lacks them.

use crate::common::{Running, append, config, start};
use livetape_audio::Frame;
use livetape_proto::v1;
use livetape_testkit::grpc_source::stereo;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tonic::Code;

async fn peaks(
    recorder: &Running,
    id: &str,
    first_frame: u64,
    end_frame: u64,
    width: u32,
) -> Result<v1::GetPeaksResponse, Code> {
    let request = v1::GetPeaksRequest { recording_id: id.into(), first_frame, end_frame, width };
    let answer = recorder.tapes.clone().get_peaks(request).await;
    answer.map(tonic::Response::into_inner).map_err(|status| status.code())
}

/// Waits until they go so far.
async fn until(recorder: &Running, id: &str, end: u64) -> v1::GetPeaksResponse {
    for _ in 0..1_000 {
        if let Ok(told) = peaks(recorder, id, 0, end, 10).await
            && told.end_frame >= end / 256 * 256
        {
            return told;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never made: {:?}", peaks(recorder, id, 0, end, 10).await);
}

/// Of counting PCM below 32,768 frames.
fn is_right(told: &v1::GetPeaksResponse) {
    let span = told.frames_per_point;
    for (n, point) in (0..).zip(told.points_of(stereo()).unwrap().chunks(2)) {
        let (first, end) = (told.first_frame + n * span, told.end_frame.min(told.first_frame + n * span + span));
        assert_eq!((point[0].min as u64, point[0].max as u64), (first, end - 1), "point {n}");
        assert_eq!((point[1].min, point[1].max, point[1].rms), (0, 0, 0));
    }
}

fn folder_of(data: &Path, stream: &str, id: &str) -> PathBuf {
    data.join(stream).join(id)
}

#[tokio::test]
async fn they_follow_what_is_recorded_and_are_whole_at_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let call = recorder.push("a", 20_000).await;
    let id = call.opened.recording_id.clone();
    is_right(&until(&recorder, &id, 20_000).await);
    append(&call, 20_000, 5_000).await;
    is_right(&until(&recorder, &id, 25_000).await);
    call.end(Frame::new(25_000)).await.unwrap();
    for _ in 0..500 {
        if peaks(&recorder, &id, 0, 25_000, 10).await.unwrap().end_frame == 25_000 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let whole = peaks(&recorder, &id, 0, u64::MAX, 10).await.unwrap();
    assert_eq!(whole.end_frame, 25_000);
    is_right(&whole);
    // Refusals.
    for (first, end, width, code) in [
        (0, 100, 0, Code::InvalidArgument),
        (0, 100, 4_097, Code::InvalidArgument),
        (100, 99, 10, Code::OutOfRange),
        (25_001, u64::MAX, 10, Code::OutOfRange),
    ] {
        assert_eq!(peaks(&recorder, &id, first, end, width).await, Err(code), "{first} to {end} in {width}");
    }
    assert_eq!(peaks(&recorder, "x", 0, 1, 1).await, Err(Code::InvalidArgument));
    assert_eq!(peaks(&recorder, "01932c07-209c-7a3e-8c1f-5d2e9b7a4f10", 0, 1, 1).await, Err(Code::NotFound));
    recorder.stop().await;
}

async fn loudness(recorder: &Running, id: &str, minutes: u32) -> Result<v1::GetLoudnessResponse, Code> {
    let request = v1::GetLoudnessRequest { recording_id: id.into(), first_frame: 0, end_frame: u64::MAX, minutes };
    let answer = recorder.tapes.clone().get_loudness(request).await;
    answer.map(tonic::Response::into_inner).map_err(|status| status.code())
}

async fn measured(recorder: &Running, id: &str, end: u64) -> v1::GetLoudnessResponse {
    for _ in 0..1_000 {
        if let Ok(told) = loudness(recorder, id, 60).await
            && told.end_frame >= end
        {
            return told;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never measured: {:?}", loudness(recorder, id, 60).await);
}

#[tokio::test]
async fn loudness_follows_too_and_what_lacks_it_gets_it() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let call = recorder.push("a", 60_000).await;
    let id = call.opened.recording_id.clone();
    let growing = measured(&recorder, &id, 60_000).await;
    // The left channel counts up to full scale and begins anew below.
    assert!(growing.integrated_lufs.is_some_and(|lufs| (-25.0..-15.0).contains(&lufs)), "{growing:?}");
    call.end(Frame::new(60_000)).await.unwrap();
    let whole = measured(&recorder, &id, 60_000).await;
    assert_eq!((whole.minutes.len(), whole.minutes[0].integrated_lufs), (1, whole.integrated_lufs));
    assert_eq!(loudness(&recorder, &id, 1_441).await, Err(Code::InvalidArgument));
    let file = folder_of(folder.path(), "a", &id).join("minutes.loudness");
    std::fs::remove_file(&file).unwrap();
    // Asking for it is enough.
    assert_eq!(measured(&recorder, &id, 60_000).await, whole);
    // As a recording of before it was measured.
    recorder.stop().await;
    std::fs::remove_file(&file).unwrap();
    let recorder = start(config(folder.path())).await;
    for _ in 0..500 {
        if file.exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(file.exists(), "nobody has asked");
    recorder.stop().await;
}

#[tokio::test]
async fn what_lacks_them_gets_them() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let (sealed, call) = (recorder.record("a", 12_345).await, recorder.push("b", 23_456).await);
    let open = call.opened.recording_id.clone();
    until(&recorder, &open, 23_456).await;
    drop(call);
    recorder.stop().await;
    // As recordings of before there were peaks, and as after a crash.
    let remove = |folder: PathBuf| {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.path().extension().is_some_and(|extension| extension == "peaks") {
                std::fs::remove_file(entry.path()).unwrap();
            }
        }
    };
    remove(folder_of(folder.path(), "a", &sealed));
    let finest = folder_of(folder.path(), "b", &open).join("256.peaks");
    std::fs::write(&finest, &std::fs::read(&finest).unwrap()[..500]).unwrap();
    let recorder = start(config(folder.path())).await;
    is_right(&until(&recorder, &open, 23_456).await);
    until(&recorder, &sealed, 12_345).await;
    is_right(&peaks(&recorder, &sealed, 0, 12_345, 10).await.unwrap());
    // Gone while it runs: asking for them is enough.
    remove(folder_of(folder.path(), "a", &sealed));
    assert_eq!(peaks(&recorder, &sealed, 0, 12_345, 10).await.map(|told| told.end_frame), Ok(0));
    is_right(&until(&recorder, &sealed, 12_345).await);
    recorder.stop().await;
}
