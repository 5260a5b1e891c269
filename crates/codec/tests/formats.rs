//! Every format that people have, as ffmpeg writes it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that unwraps says all there is to say"
)]

use livetape_audio::{Frame, FrameCount, SampleFormat};
use livetape_codec::convert;
use livetape_codec::decode::{Decoder, Input};
use livetape_testkit::counting;
use livetape_testkit::ffmpeg::encode;
use std::fs::File;
use std::path::{Path, PathBuf};

/// No multiple of any codec's block.
const FRAMES: u64 = 48_017;

/// Counting PCM, or a tone that lossy codecs can keep, as a WAV file.
fn wav(dir: &Path, pcm: &[u8]) -> PathBuf {
    let spec = counting::spec(48_000).unwrap();
    let size = livetape_audio::DataSize::Known(FrameCount::new(pcm.len() as u64 / 4));
    let path = dir.join("in.wav");
    std::fs::write(&path, [&livetape_audio::Container::Wav.header(spec, size)[..], pcm].concat()).unwrap();
    path
}

fn tone() -> Vec<u8> {
    let sample = |n: u64| 8_000.0 * (n as f64 * 440.0 * std::f64::consts::TAU / 48_000.0).sin();
    (0..FRAMES).flat_map(|n| [sample(n), sample(n) / 2.0]).flat_map(|s| (s as i16).to_le_bytes()).collect()
}

struct Decoded {
    samples: Vec<f64>,
    own: SampleFormat,
    line: String,
    channels: usize,
    rate: u32,
}

fn decode(path: &Path) -> Decoded {
    let extension = path.extension().and_then(|e| e.to_str());
    let mut decoder = Decoder::open(Input::file(File::open(path).unwrap()), extension).unwrap();
    let line = decoder.tags().unwrap_or_default().line();
    let (own, sound) = (decoder.own_format(), decoder.sound());
    let mut samples = Vec::new();
    while let Some(block) = decoder.next().unwrap() {
        assert_eq!(block.sound, sound);
        samples.extend_from_slice(block.samples);
    }
    assert_eq!(decoder.damaged(), 0);
    Decoded { samples, own, line, channels: usize::from(sound.channels), rate: sound.rate }
}

#[test]
fn lossless_formats_are_bit_identical_and_keep_their_tags() {
    let dir = tempfile::tempdir().unwrap();
    let pcm = counting::encode(Frame::ZERO, FrameCount::new(FRAMES));
    let input = wav(dir.path(), &pcm);
    for (name, codec) in [
        ("a.wav", "pcm_s16le"),
        ("a.flac", "flac"),
        ("a.m4a", "alac"),
        ("a.aiff", "pcm_s16be"),
        ("a.caf", "pcm_s16le"),
        ("b.caf", "alac"),
        ("a.oga", "flac"),
    ] {
        let path = dir.path().join(name);
        let args = ["-c:a", codec, "-write_id3v2", "1", "-metadata", "title=Größe", "-metadata", "artist=Anna"];
        encode(&input, &args, &path).unwrap();
        let decoded = decode(&path);
        let mut back = Vec::new();
        convert::write(SampleFormat::S16, &decoded.samples, &mut back);
        assert_eq!((decoded.own, decoded.channels, decoded.rate), (SampleFormat::S16, 2, 48_000), "{name}");
        assert!(back == pcm, "{name}: {} bytes instead of {}", back.len(), pcm.len());
        let said = if name.ends_with("aiff") { "Anna - Gr" } else { "Anna - Größe" };
        assert!(decoded.line.starts_with(said), "{name}: {}", decoded.line);
    }
}

#[test]
fn rf64_is_a_wav_that_may_be_long() {
    let dir = tempfile::tempdir().unwrap();
    let pcm = counting::encode(Frame::ZERO, FrameCount::new(FRAMES));
    // Ours, and ffmpeg's with its tags before the audio and something after it.
    let spec = counting::spec(48_000).unwrap();
    let head = |frames| livetape_audio::Container::Rf64.header(spec, livetape_audio::DataSize::Known(frames));
    let ours = dir.path().join("ours.rf64");
    std::fs::write(&ours, [&head(FrameCount::new(FRAMES))[..], &pcm].concat()).unwrap();
    let theirs = dir.path().join("theirs.wav");
    let tagged = ["-c:a", "pcm_s16le", "-rf64", "always", "-metadata", "title=Größe", "-metadata", "artist=Anna"];
    encode(&wav(dir.path(), &pcm), &tagged, &theirs).unwrap();
    assert_eq!(std::fs::read(&theirs).unwrap()[..4], *b"RF64");
    let after = [&std::fs::read(&ours).unwrap()[..], b"LIST\x0e\0\0\0INFOINAM\x02\0\0\0at"].concat();
    let followed = dir.path().join("followed.rf64");
    std::fs::write(&followed, after).unwrap();
    for (path, line) in [(&ours, ""), (&theirs, "Anna - Größe"), (&followed, "at")] {
        let decoded = decode(path);
        let mut back = Vec::new();
        convert::write(SampleFormat::S16, &decoded.samples, &mut back);
        assert!(back == pcm, "{}: {} bytes instead of {}", path.display(), back.len(), pcm.len());
        assert_eq!(decoded.line, line, "{}", path.display());
    }
    // One that says that it is longer than 4 GiB, and is cut.
    std::fs::write(&ours, [&head(FrameCount::new(1 << 31))[..], &pcm].concat()).unwrap();
    let mut decoder = Decoder::open(Input::file(File::open(&ours).unwrap()), Some("rf64")).unwrap();
    let error = loop {
        match decoder.next() {
            Ok(Some(_)) => {}
            other => break other.map(|_| ()).unwrap_err(),
        }
    };
    assert!(error.to_string().contains("ends early"), "{error}");
    assert!((FRAMES - 1_200..=FRAMES).contains(&decoder.frames().get()), "{}", decoder.frames());
}

/// What is decoded of a WAV of counting PCM with these sizes in its head, as 16 bits.
fn sized(file: &[u8], size: u32, input: impl Fn(Vec<u8>) -> Input) -> Vec<u8> {
    let mut file = file.to_vec();
    file[4..8].copy_from_slice(&size.wrapping_add(36).to_le_bytes());
    file[40..44].copy_from_slice(&size.to_le_bytes());
    let mut decoder = Decoder::open(input(file), Some("wav")).unwrap();
    let mut back = Vec::new();
    while let Some(block) = decoder.next().unwrap_or_else(|error| panic!("{size:#x}: {error}")) {
        convert::write(SampleFormat::S16, block.samples, &mut back);
    }
    back
}

#[test]
fn a_wav_ends_where_it_ends_if_its_head_does_not_know() {
    let dir = tempfile::tempdir().unwrap();
    let pcm = counting::encode(Frame::ZERO, FrameCount::new(FRAMES));
    let file = std::fs::read(wav(dir.path(), &pcm)).unwrap();
    for size in [0, 0x7FFF_F000, 0xFFFF_FFFF - 36, 0xFFFF_FFFF] {
        let back = sized(&file, size, Input::bytes);
        assert!(back == pcm, "{size:#x}: {} bytes instead of {}", back.len(), pcm.len());
    }
    // As a stream, which goes on, whatever it says.
    for size in [0, 192_000, pcm.len() as u32, 0x7FFF_F000, 0xFFFF_FFFF] {
        let back = sized(&file, size, |file| Input::stream(std::io::Cursor::new(file)));
        assert!(back == pcm, "{size:#x}: {} bytes instead of {}", back.len(), pcm.len());
    }
}

#[test]
fn deeper_samples_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let input = wav(dir.path(), &tone());
    for (name, codec, own) in [
        ("a.wav", "pcm_s24le", SampleFormat::S24),
        ("b.wav", "pcm_s32le", SampleFormat::S32),
        ("c.wav", "pcm_f32le", SampleFormat::F32),
        ("d.wav", "pcm_u8", SampleFormat::S16),
    ] {
        let path = dir.path().join(name);
        encode(&input, &["-c:a", codec, "-af", "volume=-3.3dB:precision=double"], &path).unwrap();
        let decoded = decode(&path);
        assert_eq!((decoded.own, decoded.samples.len() as u64), (own, FRAMES * 2), "{name}");
        let raw = dir.path().join("raw");
        encode(&path, &["-f", "f64le"], &raw).unwrap();
        let bytes = std::fs::read(&raw).unwrap();
        let wanted: Vec<f64> = bytes.as_chunks::<8>().0.iter().map(|&b| f64::from_le_bytes(b)).collect();
        assert!(decoded.samples == wanted, "{name}");
    }
}

#[test]
fn lossy_formats_begin_and_end_where_the_audio_did() {
    let dir = tempfile::tempdir().unwrap();
    let pcm = tone();
    let input = wav(dir.path(), &pcm);
    let mut wanted = Vec::new();
    convert::read(SampleFormat::S16, &pcm, &mut wanted);
    for (name, args) in [
        ("a.mp3", &["-c:a", "libmp3lame", "-b:a", "192k"][..]),
        ("v.mp3", &["-c:a", "libmp3lame", "-q:a", "2"]),
        ("a.ogg", &["-c:a", "libvorbis", "-q:a", "6"]),
        ("a.opus", &["-c:a", "libopus", "-b:a", "128k"]),
        ("b.opus", &["-c:a", "libopus", "-b:a", "128k", "-frame_duration", "2.5"]),
        ("a.m4a", &["-c:a", "aac", "-b:a", "192k"]),
        ("o.mp4", &["-c:a", "libopus", "-b:a", "128k"]),
        ("a.aac", &["-c:a", "aac", "-b:a", "192k", "-write_id3v2", "1"]),
    ] {
        let path = dir.path().join(name);
        encode(&input, &[args, &["-metadata", "title=Tone"]].concat(), &path).unwrap();
        let decoded = decode(&path);
        assert_eq!((decoded.own, decoded.line.as_str()), (SampleFormat::F32, "Tone"), "{name}");
        // ADTS says neither what the encoder has put before the audio, one block of 1024, nor where in the last one it ends.
        let before = if name.ends_with("aac") { 1_024 * 2 } else { 0 };
        let length = decoded.samples.len() as u64 - before;
        let rest = if before > 0 { length % 2_048 } else { 0 };
        assert!(
            if before > 0 {
                (FRAMES * 2..FRAMES * 2 + 2_048).contains(&length) && rest == 0
            } else {
                length == FRAMES * 2
            },
            "{name}: {length}"
        );
        // Away from the ends, where codecs ring.
        let inner = 4_000..wanted.len() - 4_000;
        let worst = inner.map(|n| (decoded.samples[n + before as usize] - wanted[n]).abs()).fold(0.0, f64::max);
        assert!(worst < 0.02, "{name}: off by {worst}");
    }
}
