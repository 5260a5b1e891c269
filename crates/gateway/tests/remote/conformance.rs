//! What every library of a recorder elsewhere has to do.

use crate::recorder::{Lie, Recorder, counting};
use livetape_audio::{Entry, Frame, Mark, RecordingId, Tail};
use livetape_gateway::{Library, ReadError, Reading, Remote, RemoteConfig};
use livetape_proto::v1;
use livetape_proto::v1::ReadFramesResponse;
use livetape_store::{Measured, Peaks, PeaksReader, Query};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// For what takes a moment.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until something is there.
pub async fn until<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let looking = async {
        loop {
            match look() {
                Some(found) => return found,
                None => sleep(Duration::from_millis(5)).await,
            }
        }
    };
    timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("never: {what}"))
}

pub fn config(recorder: &Recorder, reading: Reading) -> RemoteConfig {
    RemoteConfig { recorder_url: recorder.url().into(), reading, redis: None }
}

pub async fn read(library: &dyn Library, id: RecordingId, frames: Range<u64>) -> Vec<u8> {
    let mut reader = library.reader(&library.catalogue().get(id).unwrap());
    let (mut at, mut all) = (frames.start, Vec::new());
    while at < frames.end {
        let bytes = reader.read(Frame::new(at)..Frame::new(frames.end)).await.unwrap().load().await.unwrap();
        assert!(!bytes.is_empty() && bytes.len() % 4 == 0);
        at += bytes.len() as u64 / 4;
        all.extend(bytes);
    }
    assert_eq!(at, frames.end, "never more than was asked for");
    all
}

async fn loudness(
    library: &dyn Library,
    id: RecordingId,
    frames: Range<u64>,
    minutes: u32,
) -> Result<Measured, ReadError> {
    let recording = library.catalogue().get(id).unwrap();
    library.loudness(recording, Frame::new(frames.start)..Frame::new(frames.end), minutes).await
}

pub async fn peaks(library: &dyn Library, id: RecordingId, frames: Range<u64>, width: u32) -> Result<Peaks, ReadError> {
    let recording = library.catalogue().get(id).unwrap();
    library.peaks(recording, Frame::new(frames.start)..Frame::new(frames.end), width).await
}

pub async fn entries(library: &dyn Library, id: RecordingId, tail: Tail) -> usize {
    library.timeline(library.catalogue().get(id).unwrap(), tail).await.unwrap().entries().len()
}

async fn conforms(mut recorder: Recorder, reading: Reading) {
    let desk = recorder.desk.clone();
    let (old, open) = (desk.record("a"), desk.record("b"));
    desk.play(old, 200);
    desk.seal(old, true);
    desk.play(open, 120_000);
    let remote = Arc::new(Remote::new(config(&recorder, reading)).unwrap());
    let following = tokio::spawn({
        let remote = remote.clone();
        async move { remote.follow().await }
    });
    timeout(PATIENCE, remote.known()).await.unwrap();
    let library = &*remote.library();

    // What there is.
    assert_eq!(library.catalogue().streams(), desk.catalogue.streams());
    let ids = |library: &dyn Library| {
        let page = library.catalogue().list(&Query { limit: 10, ..Query::default() });
        page.recordings.iter().map(|recording| recording.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(library), [old, open]);
    assert_eq!(library.catalogue().get(old).unwrap().seal, desk.catalogue.get(old).unwrap().seal);

    // How far it goes.
    let mut tail = library.tail(open).unwrap();
    assert_eq!((tail.current().end, tail.current().is_sealed()), (Frame::new(120_000), false));
    let sealed = library.tail(old).unwrap().current();
    assert_eq!((sealed.end, sealed.is_sealed()), (Frame::new(200), true));
    assert!(library.tail(RecordingId::new(1, &[9; 10])).is_none());

    // Exactly what was recorded, across segments, up to the tail.
    assert!(read(library, open, 0..120_000).await == counting(0..120_000));
    assert!(read(library, open, 50_020..50_022).await == counting(50_020..50_022));
    assert!(read(library, old, 199..200).await == counting(199..200));
    let mut reader = library.reader(&library.catalogue().get(old).unwrap());
    assert!(reader.read(Frame::new(200)..Frame::new(201)).await.is_err(), "nothing is there");

    // Waveform data: what the folder holds of it, and no more than is made.
    assert!(peaks(library, open, 0..120_000, 10).await.unwrap().points.is_empty(), "nothing is made yet");
    desk.draw(open);
    for (frames, width) in [(0..120_000, 10), (7..119_999, 100), (60_000..60_100, 100), (5..5, 1), (0..120_000, 4_096)]
    {
        let told = peaks(library, open, frames.clone(), width).await.unwrap();
        let due = PeaksReader::open(&desk.data, desk.catalogue.get(open).unwrap())
            .read(Frame::new(frames.start)..Frame::new(frames.end), width);
        assert_eq!(told, due.unwrap(), "{frames:?} in {width}");
    }
    let fine = peaks(library, open, 70_000..70_002, 2).await.unwrap();
    let numbers: Vec<_> = fine.points.iter().map(|point| (point.min, point.max, point.rms)).collect();
    assert_eq!(numbers, [(4_464, 4_464, 4_464), (1, 1, 1), (4_465, 4_465, 4_465), (1, 1, 1)]);
    desk.draw(old);
    assert_eq!(peaks(library, old, 0..200, 1).await.unwrap().end, Frame::new(200));

    // How loud it is: what the folder holds of it. The left channel is a saw from lowest to highest sample.
    for (frames, minutes) in [(0..120_000, 60), (0..120_000, 0), (7..8, 1)] {
        let told = loudness(library, open, frames.clone(), minutes).await.unwrap();
        let frames = Frame::new(frames.start)..Frame::new(frames.end);
        let due = Measured::read(&desk.data, &desk.catalogue.get(open).unwrap(), frames, minutes).unwrap();
        assert_eq!(told, due);
        assert!(told.integrated.is_some_and(|lufs| (-25.0..-15.0).contains(&lufs)), "{told:?}");
        assert_eq!((told.end, told.minutes.len()), (Frame::new(120_000), minutes.min(1) as usize));
    }

    // It grows: tail, audio, timeline.
    assert_eq!(entries(library, open, tail.current()).await, 2);
    let early = tail.current();
    for n in 1..=3 {
        desk.play(open, 10);
        let end = Frame::new(120_000 + n * 10);
        while tail.current().end < end {
            assert!(timeout(PATIENCE, tail.changed()).await.unwrap());
        }
        assert!(read(library, open, end.get() - 15..end.get()).await == counting(end.get() - 15..end.get()));
        assert_eq!(entries(library, open, tail.current()).await, 2 + 2 * n as usize);
    }
    let whole = library.timeline(library.catalogue().get(open).unwrap(), tail.current()).await.unwrap();
    assert_eq!(whole.entries(), desk.writers()[&open].timeline().entries());
    assert_eq!(entries(library, open, early).await, 8, "what is known is not forgotten");

    // A next one of the same stream; the first is sealed without a word to those who watch tails.
    let next = desk.record("b");
    desk.seal(open, false);
    assert!(timeout(PATIENCE, tail.changed()).await.unwrap());
    assert_eq!((tail.current().end, tail.current().is_sealed()), (Frame::new(120_030), true));
    until("the next one", || library.catalogue().get(next).and(library.tail(next))).await;
    assert_eq!(library.catalogue().latest(&"b".parse().unwrap()).unwrap().id, next);
    assert_eq!(library.catalogue().previous(next).unwrap().id, open);
    assert!(read(library, open, 119_000..120_030).await == counting(119_000..120_030));
    assert_eq!(entries(library, open, tail.current()).await, 8);

    // A mark in a finished recording is seen soon, although its tail never moves again.
    let mark = Mark { frame: Frame::new(7), text: "later".parse().unwrap() };
    desk.data.annotate(&"b".parse().unwrap(), open, &Entry::Mark(mark)).unwrap();
    let marked = async {
        while entries(library, open, tail.current()).await != 9 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, marked).await.unwrap();

    // The recorder is away: what is known stays. It comes back, and what changed meanwhile is known.
    let mut tail = library.tail(next).unwrap();
    recorder.stop();
    desk.play(next, 5);
    desk.delete(old);
    let newest = desk.record("c");
    assert_eq!(ids(library), [old, open, next]);
    recorder.start();
    until("the newest", || library.catalogue().get(newest)).await;
    until("one is gone", || library.catalogue().get(old).is_none().then_some(())).await;
    while tail.current().end < Frame::new(5) {
        assert!(timeout(PATIENCE, tail.changed()).await.unwrap());
    }
    assert!(read(library, next, 0..5).await == counting(0..5));

    // Deleted: gone from the list, and not to be read any more.
    let gone = library.catalogue().get(open).unwrap();
    desk.delete(open);
    until("it is gone", || library.catalogue().get(open).is_none().then_some(())).await;
    assert!(library.tail(open).is_none());
    let error = library.reader(&gone).read(Frame::new(0)..Frame::new(10)).await.unwrap_err();
    assert!(error.to_string().contains("could not be read"), "{error}");
    assert!(library.peaks(gone, Frame::new(0)..Frame::new(10), 10).await.is_err());
    following.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_folder_of_a_recorder_conforms() {
    let recorder = Recorder::new();
    let folder = recorder.folder();
    conforms(recorder, Reading::Dir(folder)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorder_conforms() {
    conforms(Recorder::new(), Reading::Recorder).await;
}

/// A recorder that is broken, or something that is none.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_asked_for_is_not_passed_on() {
    let recorder = Recorder::new();
    let desk = recorder.desk.clone();
    let id = desk.record("live");
    desk.play(id, 5_000);
    let remote = Arc::new(Remote::new(config(&recorder, Reading::Recorder)).unwrap());
    let following = tokio::spawn({
        let remote = remote.clone();
        async move { remote.follow().await }
    });
    timeout(PATIENCE, remote.known()).await.unwrap();
    let library = remote.library();
    let mut reader = library.reader(&library.catalogue().get(id).unwrap());
    let asked = Frame::new(1_000)..Frame::new(4_000);
    let lies: [Lie; 6] = [
        |blocks| blocks.clear(),
        |blocks| blocks[0].first_frame += 1,
        |blocks| blocks[1].first_frame -= 1,
        |blocks| blocks[2].pcm = blocks[2].pcm.slice(1..),
        |blocks| blocks.push(ReadFramesResponse { first_frame: 4_000, pcm: vec![0; 4].into() }),
        |blocks| drop(blocks.remove(0)),
    ];
    for (n, lie) in lies.into_iter().enumerate() {
        *desk.lie.lock().unwrap() = Some(lie);
        let error = reader.read(asked.clone()).await.unwrap_err().to_string();
        assert!(error.contains("gave") && error.len() < 600, "{n}: {error}");
    }
    *desk.lie.lock().unwrap() = Some(|blocks| blocks.truncate(2));
    assert!(
        reader.read(asked.clone()).await.unwrap().load().await.unwrap() == counting(1_000..3_000),
        "less is no lie"
    );
    *desk.lie.lock().unwrap() = None;
    assert!(reader.read(asked).await.unwrap().load().await.unwrap() == counting(1_000..4_000));
    // Points that do not fit their frames, or are more than were asked for.
    let lies: [fn(&mut v1::GetPeaksResponse); 4] = [
        |told| told.frames_per_point = 0,
        |told| told.end_frame += 1 << 40,
        |told| told.points.truncate(7),
        |told| (told.frames_per_point, told.points) = (1, vec![0; told.points.len() * 50]),
    ];
    for lie in lies {
        *desk.peaks_lie.lock().unwrap() = Some(lie);
        let error = peaks(&*library, id, 0..5_000, 100).await.unwrap_err().to_string();
        assert!(error.contains("do not fit"), "{error}");
    }
    *desk.peaks_lie.lock().unwrap() = None;
    let lies: [fn(&mut v1::GetLoudnessResponse); 2] =
        [|told| told.minutes = vec![v1::LoudnessMinute::default(); 9], |told| told.first_frame = told.end_frame + 1];
    for lie in lies {
        *desk.loudness_lie.lock().unwrap() = Some(lie);
        let error = loudness(&*library, id, 0..5_000, 8).await.unwrap_err().to_string();
        assert!(error.contains("do not fit"), "{error}");
    }
    *desk.loudness_lie.lock().unwrap() = None;
    assert_eq!(peaks(&*library, id, 0..5_000, 100).await.unwrap().points.len(), 200);
    following.abort();
}

#[tokio::test]
async fn settings_are_checked() {
    let remote = |url: &str, reading| {
        Remote::new(RemoteConfig { recorder_url: url.into(), reading, redis: None }).err().map(|e| e.to_string())
    };
    let url = "http://127.0.0.1:1";
    assert_eq!(remote(url, Reading::Recorder), None, "it may come later");
    assert!(remote("recorder:7070", Reading::Recorder).unwrap().contains("LIVETAPE_RECORDER_URL"));
    assert!(remote(url, Reading::Dir("/nowhere/at/all".into())).unwrap().contains("/nowhere/at/all"));
}
