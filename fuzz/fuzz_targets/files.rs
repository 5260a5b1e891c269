//! Any bytes in the index, the timeline and the description of a recording, with checksums that hold and without: recovery,
//! readers and `verify` find their way, and nothing is published that the audio does not prove.
//!
//! Input: a byte that says which file, whether checksums are made to hold and whether the recording was sealed; an offset of two
//! bytes; then what stands there. Of the timeline: the payloads of records, one on each line.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use livetape_audio::{
    Anchor, Durable, Entry, Epoch, Frame, FrameCount, Generation, Instance, RecordingId, SampleFormat, SealReason, Spec,
    Tail, WallTime,
};
use livetape_store::{DataDir, Disk, Recording, TapeReader, TapeWriter, TimelineFollower, durable_end, verify::verify};
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

const FRAMES: u64 = 1_000;

struct Tape {
    dir: DataDir,
    recording: Recording,
    folder: PathBuf,
    /// Names and bytes as they were left.
    files: Vec<(PathBuf, Vec<u8>)>,
}

static TAPE: LazyLock<Tape> = LazyLock::new(|| make().expect("the tape is made"));

fn start() -> WallTime {
    WallTime::from_unix_nanos(1_763_649_000_000_000_000)
}

fn make() -> Result<Tape, Box<dyn std::error::Error>> {
    let memory = PathBuf::from("/dev/shm");
    let root = if memory.exists() { memory } else { std::env::temp_dir() };
    let root = root.join(format!("livetape-fuzz-{}", std::process::id()));
    fs::create_dir_all(&root)?;
    let dir = DataDir::open(&root, Disk::default())?;
    let spec = Spec::new(SampleFormat::S16, 8_000, 2)?;
    let recording = Recording {
        id: RecordingId::new(1_763_649_000_000, &[1; 10]),
        stream: "a".parse()?,
        spec,
        source: "fuzz".parse()?,
        title: "fuzz".parse()?,
        started: start(),
        epoch: Epoch(1),
        instance: Instance([1; 16]),
        segment_frames: FrameCount::new(400),
        seal: None,
        notes: Default::default(),
        locked: false,
        titled: false,
        genre: Default::default(),
    };
    let mut tape = TapeWriter::create(&dir, recording)?;
    tape.note(Entry::Anchor(Anchor { frame: Frame::ZERO, time: start() }))?;
    for block in 0..FRAMES / 100 {
        let audio: Bytes = (block * 100..(block + 1) * 100).flat_map(|n| (n as u32).to_le_bytes()).collect();
        tape.append(&[audio], start().after_frames(FrameCount::new(block * 100), spec))?;
        tape.sync()?;
    }
    let recording = tape.recording().clone();
    drop(tape);
    let folder = root.join("a").join(recording.id.to_string());
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        files.push((path.clone(), fs::read(path)?));
    }
    files.sort();
    Ok(Tape { dir, recording, folder, files })
}

/// What is to stand in a file, and in which.
fn damaged<'a>(tape: &'a Tape, data: &[u8]) -> Option<(&'a PathBuf, Vec<u8>)> {
    let (&[how, low, high], rest) = data.split_first_chunk::<3>()?;
    let ends = |suffix: &'static str| tape.files.iter().filter(move |(path, _)| path.to_string_lossy().ends_with(suffix));
    match how % 4 {
        0 => {
            let mut bytes = Vec::new();
            for payload in rest.split(|byte| *byte == b'\n') {
                bytes.extend_from_slice(&u32::try_from(payload.len()).ok()?.to_le_bytes());
                bytes.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
                bytes.extend_from_slice(payload);
            }
            if how & 4 != 0 {
                let mut whole = ends("timeline.log").next()?.1.clone();
                whole.extend_from_slice(&bytes);
                bytes = whole;
            }
            Some((&ends("timeline.log").next()?.0, bytes))
        }
        1 => Some((&ends("timeline.log").next()?.0, rest.to_vec())),
        2 => Some((&ends("recording.json").next()?.0, rest.to_vec())),
        _ => {
            let (path, bytes) = ends(".idx").nth(usize::from(how >> 4) % 3)?;
            let mut bytes = bytes.clone();
            let at = usize::from(u16::from_le_bytes([low, high])) % (bytes.len() + 1);
            let end = (at + rest.len()).min(1 << 16);
            bytes.resize(bytes.len().max(end), 0);
            bytes.get_mut(at..end)?.copy_from_slice(rest.get(..end - at)?);
            if how & 4 != 0 {
                for block in bytes.chunks_exact_mut(32).filter(|block| block.iter().any(|byte| *byte != 0)) {
                    let check = crc32fast::hash(&block[..28]).to_le_bytes();
                    block[28..].copy_from_slice(&check);
                }
            }
            Some((path, bytes))
        }
    }
}

fn restore(tape: &Tape) {
    let known = |path: &PathBuf| tape.files.iter().any(|(known, _)| known == path);
    for entry in fs::read_dir(&tape.folder).into_iter().flatten().flatten() {
        if !known(&entry.path()) {
            _ = fs::remove_file(entry.path());
        }
    }
    for (path, bytes) in &tape.files {
        fs::write(path, bytes).expect("the file is put back");
    }
}

fn look(tape: &Tape, sealed: bool) {
    let Tape { dir, .. } = tape;
    let Ok(mut recording) = dir.load(&tape.recording.stream, tape.recording.id) else { return };
    let proven = durable_end(dir, &recording).map(Durable::end);
    _ = verify(dir, &recording, &mut |_| {});
    if let Ok(end) = proven {
        let tail = Tail::open(Durable(end), Generation(1));
        let mut follower = TimelineFollower::open(dir, &recording);
        _ = follower.refresh(&tail);
        _ = follower.timeline().time_of(end);
        _ = follower.timeline().frame_at(start(), end);
        if recording == tape.recording {
            let audio = TapeReader::open(dir, &recording).read(Frame::ZERO..end.min(Frame::new(FRAMES)));
            assert!(end <= Frame::new(FRAMES), "{end} frames are proven of {FRAMES}");
            if let Ok(audio) = audio {
                let counts = |(n, frame): (usize, &[u8])| frame == (n as u32).to_le_bytes();
                assert!(audio.chunks_exact(4).enumerate().all(counts), "other audio");
            }
        }
    }
    recording.seal = None;
    let Ok((mut writer, _)) = TapeWriter::recover(dir, recording, start()) else { return };
    if writer.recording().spec == tape.recording.spec {
        let next = writer.durable().end();
        _ = writer.append(&[Bytes::from_static(&[0; 400])], start().after_frames(next.since(Frame::ZERO), tape.recording.spec));
        _ = writer.sync();
    }
    if sealed {
        _ = writer.seal(SealReason::Operator, None, start());
    }
}

fuzz_target!(|data: &[u8]| {
    let tape = &*TAPE;
    if let Some((path, bytes)) = damaged(tape, data) {
        fs::write(path, bytes).expect("the file is written");
        look(tape, data.first().is_some_and(|how| how & 8 != 0));
        restore(tape);
    }
});
