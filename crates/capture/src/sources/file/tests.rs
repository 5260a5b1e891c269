//! Files in every state. WAV does: what other formats decode to is tested where the decoders are.

use super::*;
use livetape_audio::{Container, DataSize};
use livetape_testkit::counting;
use std::fs;
use std::io::Write;

const FAST: Playing = Playing { pace: Pace::Fast, repeat: false, shuffle: false };

/// A WAV file of counting PCM whose head says that there are `said` frames.
fn lying(dir: &Path, name: &str, first: u64, frames: u64, said: u64) -> PathBuf {
    let head = Container::Wav.header(counting::spec(48_000).unwrap(), DataSize::Known(FrameCount::new(said)));
    let pcm = counting::encode(Frame::new(first), FrameCount::new(frames));
    let path = dir.join(name);
    fs::write(&path, [&head[..], &pcm].concat()).unwrap();
    path
}

fn wav(dir: &Path, name: &str, first: u64, frames: u64) -> PathBuf {
    lying(dir, name, first, frames, frames)
}

/// What came: titles, each with the frame before which it came, the audio, and how it ended.
#[derive(Debug, Default)]
struct Heard {
    titles: Vec<(u64, String)>,
    pcm: Vec<u8>,
    error: Option<String>,
    times: Vec<u64>,
}

async fn hear(files: &mut Files, most: u64) -> Heard {
    let mut heard = Heard::default();
    files.begin(Frame::ZERO);
    while heard.pcm.len() as u64 / 4 < most {
        match files.next().await {
            Ok(Some(Piece::Audio(chunk))) => {
                heard.times.push(chunk.time.since(files.began.wall).as_millis() as u64);
                heard.pcm.extend_from_slice(&chunk.pcm);
            }
            Ok(Some(Piece::Title(title))) => heard.titles.push((heard.pcm.len() as u64 / 4, title.to_string())),
            Ok(Some(Piece::Gap(lost))) => panic!("{lost:?}"),
            Ok(None) => break,
            Err(error) => {
                heard.error = Some(error.to_string());
                break;
            }
        }
    }
    heard
}

async fn played(path: &Path) -> Heard {
    hear(&mut Files::open(path, FAST, Shape::default()).await.unwrap(), u64::MAX).await
}

async fn refused(path: &Path) -> String {
    Files::open(path, FAST, Shape::default()).await.map(|files| files.spec()).unwrap_err().to_string()
}

#[tokio::test]
async fn a_file_is_played_to_the_bit_and_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = wav(dir.path(), "one.wav", 0, 100_003);
    let heard = played(&path).await;
    assert!(heard.pcm == counting::encode(Frame::ZERO, FrameCount::new(100_003)));
    assert_eq!((heard.titles, heard.error), (vec![(0, "one".into())], None));
    assert_eq!((heard.times[0], heard.times[100]), (0, 2_000), "as if it had been played");
}

#[tokio::test]
async fn in_real_time_it_takes_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut files =
        Files::open(&wav(dir.path(), "a.wav", 0, 14_400), Playing::default(), Shape::default()).await.unwrap();
    let start = std::time::Instant::now();
    let heard = hear(&mut files, u64::MAX).await;
    assert_eq!(heard.pcm.len(), 14_400 * 4);
    assert!(start.elapsed() >= Duration::from_millis(300), "{:?}", start.elapsed());
}

#[tokio::test]
async fn folders_and_playlists_go_on_past_what_is_broken() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    wav(dir.path(), "01 first.wav", 0, 5_000);
    fs::write(at("02 empty.wav"), "").unwrap();
    fs::write(at("03 text.mp3"), "not audio at all, but text".repeat(100)).unwrap();
    lying(dir.path(), "04 cut.wav", 5_000, 10_000, 20_000);
    fs::write(at("cover.jpg"), [0xFF; 100]).unwrap();
    fs::create_dir(at("05 more")).unwrap();
    wav(&at("05 more"), "last.wav", 15_000, 3_000);
    let heard = played(dir.path()).await;
    assert!(heard.pcm == counting::encode(Frame::ZERO, FrameCount::new(18_000)), "{}", heard.pcm.len());
    let titles = [(0, "01 first"), (5_000, "04 cut"), (15_000, "last")].map(|(at, title)| (at, title.to_owned()));
    assert_eq!((heard.titles, heard.error), (titles.into(), None));

    // A playlist that names itself, what is not there, and the same file twice.
    fs::write(at("loop.m3u"), "loop.m3u\ngone.wav\n01 first.wav\nother.pls\n01%20first.wav\n").unwrap();
    fs::write(at("other.pls"), "[playlist]\nFile1=loop.m3u\nFile2=04 cut.wav\n").unwrap();
    let heard = played(&at("loop.m3u")).await;
    let runs: Vec<_> = counting::runs(&heard.pcm).iter().map(|run| (run.first, run.frames.get())).collect();
    assert_eq!(runs, [(0, 15_000), (0, 5_000)]);
}

#[tokio::test]
async fn a_single_broken_file_is_named_after_what_could_be_played() {
    let dir = tempfile::tempdir().unwrap();
    let heard = played(&lying(dir.path(), "cut.wav", 0, 48_000, 96_000)).await;
    counting::verify(&heard.pcm, Frame::ZERO).unwrap();
    assert!(heard.pcm.len() > 47_000 * 4, "{}", heard.pcm.len());
    let error = heard.error.unwrap();
    assert!(error.contains("cut.wav") && error.contains("ends early") && error.contains("past 0:00:0"), "{error}");
}

#[tokio::test]
async fn what_is_repeated_is_waited_for_when_it_is_gone() {
    let (dir, aside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = wav(dir.path(), "a.wav", 0, 4_800);
    let mut files = Files::open(dir.path(), Playing { repeat: true, ..FAST }, Shape::default()).await.unwrap();
    assert_eq!(hear(&mut files, 4_800).await.pcm.len(), 4_800 * 4);
    fs::remove_file(first).unwrap();
    let gone = timeout(Duration::from_millis(200), hear(&mut files, 1)).await;
    assert!(gone.is_err(), "{gone:?}");
    // Whole from the beginning on.
    fs::rename(wav(aside.path(), "b.wav", 4_800, 4_800), dir.path().join("b.wav")).unwrap();
    let heard = timeout(HANGS, hear(&mut files, 4_800)).await.unwrap();
    assert!(heard.pcm == counting::encode(Frame::new(4_800), FrameCount::new(4_800)), "{:?}", heard.error);
    assert_eq!(heard.titles, [(0, "b".into())]);
}

#[tokio::test]
async fn what_is_no_file_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let fifo = at("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    fs::write(at("empty.flac"), "").unwrap();
    fs::write(at("list.m3u"), "#EXTM3U\nempty.flac\n").unwrap();
    fs::write(at("nothing.m3u"), "#EXTM3U\n").unwrap();
    fs::write(at("web.pls"), "[playlist]\nFile1=http://example.org/a.mp3\n").unwrap();
    fs::write(at("bad.xspf"), "<playlist><a></b>").unwrap();
    fs::create_dir(at("folder")).unwrap();
    let cases = [
        (fifo, "a pipe"),
        (at("gone.wav"), "No such file"),
        (at("empty.flac"), "it is empty"),
        (at("list.m3u"), "it is empty"),
        (at("nothing.m3u"), "no audio file"),
        (at("web.pls"), "no audio file"),
        (at("bad.xspf"), "cannot be read"),
        (at("folder"), "no audio file"),
    ];
    assert!(refused(Path::new("/dev/zero")).await.contains("/dev/zero: this is a device"));
    for (path, word) in cases {
        let error = refused(&path).await;
        assert!(error.contains(word) && error.contains(&dir.path().display().to_string()), "{error}");
    }
}

#[tokio::test]
async fn the_first_file_decides_the_shape_and_what_was_said_counts_more() {
    let dir = tempfile::tempdir().unwrap();
    let path = wav(dir.path(), "a.wav", 0, 48_000);
    let said = Shape { rate: Some(44_100), channels: Some(1), ..Shape::default() };
    let mut files = Files::open(&path, FAST, said).await.unwrap();
    assert_eq!(files.spec().to_string(), "s16le;rate=44100;channels=1");
    assert_eq!(hear(&mut files, u64::MAX).await.pcm.len(), 44_100 * 2);
}

#[tokio::test]
async fn again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    wav(dir.path(), "a.wav", 0, 3_000);
    wav(dir.path(), "b.wav", 3_000, 3_000);
    let repeat = Playing { repeat: true, ..FAST };
    let mut files = Files::open(dir.path(), repeat, Shape::default()).await.unwrap();
    let heard = hear(&mut files, 20_000).await;
    assert!(counting::runs(&heard.pcm).iter().all(|run| run.first == 0), "{:?}", heard.titles);
    assert_eq!(heard.titles.len(), 7);
    // When nothing is left that can be played, it is waited for.
    fs::write(dir.path().join("a.wav"), "").unwrap();
    fs::remove_file(dir.path().join("b.wav")).unwrap();
    let gone = timeout(Duration::from_millis(200), hear(&mut files, u64::MAX)).await;
    assert!(gone.is_err(), "{gone:?}");
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_played() {
    let dir = tempfile::tempdir().unwrap();
    const FRAMES: u64 = 2_000_000;
    let open = async || {
        let path = wav(dir.path(), "a.wav", 0, FRAMES);
        let mut files = Files::open(&path, FAST, Shape::default()).await.unwrap();
        let before = hear(&mut files, 10_000).await;
        (path, files, before.pcm)
    };
    // Replaced by another: the one that was opened is played to its end.
    let (path, mut files, mut pcm) = open().await;
    fs::rename(wav(dir.path(), "b.wav", 500, 10), &path).unwrap();
    pcm.extend(hear(&mut files, u64::MAX).await.pcm);
    assert!(pcm == counting::encode(Frame::ZERO, FrameCount::new(FRAMES)));
    // Grown: what its head says is played.
    let (path, mut files, mut pcm) = open().await;
    fs::File::options().append(true).open(&path).unwrap().write_all(&[7; 10_000]).unwrap();
    pcm.extend(hear(&mut files, u64::MAX).await.pcm);
    assert!(pcm == counting::encode(Frame::ZERO, FrameCount::new(FRAMES)));
    // Cut: what is there is played, and what is missing is said.
    let (path, mut files, mut pcm) = open().await;
    fs::File::options().write(true).open(&path).unwrap().set_len(4_000_000).unwrap();
    let after = hear(&mut files, u64::MAX).await;
    pcm.extend(after.pcm);
    counting::verify(&pcm, Frame::ZERO).unwrap();
    assert!(after.error.unwrap().contains("ends early"));
}

#[tokio::test]
async fn a_decoder_that_panics_costs_its_file() {
    let dir = tempfile::tempdir().unwrap();
    wav(dir.path(), "a.wav", 0, 5_000);
    wav(dir.path(), "b panics for tests.wav", 0, 5_000);
    wav(dir.path(), "c.wav", 5_000, 5_000);
    let heard = played(dir.path()).await;
    assert!(heard.pcm == counting::encode(Frame::ZERO, FrameCount::new(10_000)), "{:?}", heard.titles);
    let error = refused(&dir.path().join("b panics for tests.wav")).await;
    assert!(error.contains("which is a bug"), "{error}");
    // What was heard before tells where it was.
    let heard = played(&wav(dir.path(), "d panics at last for tests.wav", 0, 60_000)).await;
    assert_eq!(heard.pcm.len(), 60_000 * 4);
    let error = heard.error.unwrap();
    assert!(error.contains("d panics") && error.contains("past 0:00:01.250") && error.contains("a bug"), "{error}");
}

#[tokio::test]
async fn a_decoder_that_hangs_is_left_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = wav(dir.path(), "hangs for tests.wav", 0, 5_000);
    let patience = Duration::from_millis(200);
    let error = Files::open_within(patience, &path, FAST, Shape::default()).await.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("has given nothing for 200ms"), "{error}");
    let path = wav(dir.path(), "hangs at last for tests.wav", 0, 60_000);
    let mut files = Files::open_within(patience, &path, FAST, Shape::default()).await.unwrap();
    let error = hear(&mut files, u64::MAX).await.error.unwrap();
    assert!(error.contains("past 0:00:01.250") && error.contains("has given nothing for 200ms"), "{error}");
}
