//! Files that are empty, cut, damaged or lie: an error or a bounded number of samples, in bounded time; never the end of the
//! process. A decoder may panic, which those who use it contain: so does this.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that unwraps says all there is to say"
)]

use livetape_audio::{Container, DataSize, FrameCount};
use livetape_codec::decode::{DecodeError, Decoder, Input};
use livetape_testkit::{counting, spawn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::time::Duration;

/// Generous: a file of a few kilobytes takes milliseconds.
const LIMIT: Duration = Duration::from_secs(60);

/// Decodes on a thread of its own: the frames that came, and what was wrong.
fn decode(bytes: Vec<u8>, extension: &'static str) -> (u64, Option<String>) {
    let (sender, done) = mpsc::channel();
    std::thread::spawn(move || {
        let work = AssertUnwindSafe(|| {
            let mut decoder = match Decoder::open(Input::bytes(bytes), Some(extension)) {
                Ok(decoder) => decoder,
                Err(error) => return (0, Some(error.to_string())),
            };
            loop {
                match decoder.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => return (decoder.frames().get(), None),
                    Err(error) => return (decoder.frames().get(), Some(error.to_string())),
                }
            }
        });
        let _ = sender.send(catch_unwind(work).unwrap_or((0, Some("a panic, contained".into()))));
    });
    done.recv_timeout(LIMIT).expect("it ends")
}

/// A small file of each kind, as ffmpeg writes it.
fn corpus() -> Vec<(&'static str, Vec<u8>)> {
    let dir = tempfile::tempdir().unwrap();
    let kinds = [
        ("wav", "pcm_s16le"),
        ("aiff", "pcm_s16be"),
        ("caf", "alac"),
        ("flac", "flac"),
        ("m4a", "aac"),
        ("mp3", "libmp3lame"),
        ("ogg", "libvorbis"),
        ("opus", "libopus"),
        ("mka", "libopus"),
    ];
    let make = |(extension, codec)| {
        let path = dir.path().join(format!("a.{extension}"));
        let mut command = spawn::command("ffmpeg");
        command.args([
            "-nostdin",
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "sine=440:duration=0.25",
            "-ac",
            "2",
            "-ar",
            "48000",
        ]);
        command.args(["-metadata", "title=Title", "-c:a", codec]).arg(&path);
        let done = spawn::run(command, LIMIT).unwrap();
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        (extension, std::fs::read(path).unwrap())
    };
    kinds.into_iter().map(make).collect()
}

#[test]
fn cut_anywhere_and_damaged_anywhere() {
    let mut state = 7_u32;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    for (extension, whole) in corpus() {
        let (frames, error) = decode(whole.clone(), extension);
        assert!(error.is_none() && frames >= 11_000, "{extension}: {frames} {error:?}");
        let bound = |bytes: usize| (bytes as u64 + 64) * 16_384 + 65_536;
        for n in 0..24 {
            let cut = whole.len() * n / 24;
            let (frames, error) = decode(whole[..cut].to_vec(), extension);
            assert!(frames <= 12_500, "{extension} cut at {cut}: {frames}");
            assert!(cut > 0 || error.is_some(), "{extension}: nothing is no file");
        }
        for _ in 0..60 {
            let mut damaged = whole.clone();
            for _ in 0..1 + random(6) {
                // Heads are where lies cost most.
                let at = if random(2) == 0 { random(damaged.len().min(300)) } else { random(damaged.len()) };
                damaged[at] = [0, 0xFF, 0x7F, 0x80, random(256) as u8][random(5)];
            }
            let (frames, _) = decode(damaged, extension);
            assert!(frames <= bound(whole.len()), "{extension}: {frames}");
        }
    }
}

/// A WAV with counting PCM, whose head is changed.
fn wav(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let head = Container::Wav.header(counting::spec(48_000).unwrap(), DataSize::Known(FrameCount::new(10_000)));
    let mut bytes = [&head[..], &counting::encode(livetape_audio::Frame::ZERO, FrameCount::new(10_000))].concat();
    change(&mut bytes);
    bytes
}

#[test]
fn heads_that_lie() {
    let put =
        |at: usize, value: u32| move |bytes: &mut Vec<u8>| bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    let both = |value: u32| {
        wav(move |bytes| {
            put(4, value.saturating_add(36))(bytes);
            put(40, value)(bytes);
        })
    };
    // More audio than there is, less, and contradictions.
    assert!(decode(wav(put(40, 1_000_000)), "wav").0 <= 10_000);
    let (frames, error) = decode(both(1_000_000), "wav");
    // The library drops the block that is cut.
    assert!((8_800..=10_000).contains(&frames), "{frames} {error:?}");
    assert!(error.unwrap().contains("ends early"));
    assert_eq!(decode(wav(put(40, 400)), "wav"), (100, None));
    // Written to a pipe: the end is where it ends.
    let (frames, error) = decode(both(0xFFFF_FFFF), "wav");
    assert!((8_800..=10_000).contains(&frames) && error.is_none(), "{frames} {error:?}");
    // Rates and channels that no one has.
    for (at, value) in [(24, 0), (24, 0xFFFF_FFFF), (22, 0xFFFF), (22, 0), (32, 0), (34, 0)] {
        let (frames, _) = decode(wav(put(at, value)), "wav");
        assert!(frames <= 40_000, "{at} {value:#x}: {frames}");
    }
    // A FLAC that says it has 2^36 samples of 8 channels in blocks of 65535, and then ends.
    let mut flac = b"fLaC\x80\x00\x00\x22\xFF\xFF\xFF\xFF\0\0\0\0\0\0".to_vec();
    flac.extend([0x0B, 0xB8, 0x0F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
    flac.extend([0; 16]);
    assert_eq!(decode(flac, "flac").0, 0);
    // An MP4 whose tables say that they have four billion entries.
    let mut mp4 = b"\0\0\0\x14ftypM4A \0\0\0\0M4A ".to_vec();
    for kind in [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsz"] {
        mp4.extend(0x7FFF_FFFF_u32.to_be_bytes());
        mp4.extend(kind);
    }
    mp4.extend([0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
    assert_eq!(decode(mp4, "m4a").0, 0);
    // Tags larger than the file.
    let id3 = [b"ID3\x04\0\0\x7F\x7F\x7F\x7F".as_slice(), &[0; 200]].concat();
    assert_eq!(decode(id3, "mp3").0, 0);
}

#[test]
fn what_is_no_audio() {
    for bytes in
        [Vec::new(), vec![0; 100_000], vec![0xFF; 100_000], b"#!/bin/sh\necho no\n".repeat(5_000), vec![b'O'; 3]]
    {
        let (frames, error) = decode(bytes, "mp3");
        assert_eq!((frames, error.is_some()), (0, true));
    }
    // Sources that call it off are heard.
    let input = Input::bytes(wav(|_| {}));
    let handle = input.handle();
    let mut decoder = Decoder::open(input, None).unwrap();
    handle.stop();
    let stopped =
        std::iter::repeat_with(|| decoder.next().map(|block| block.is_some())).find(|next| !matches!(next, Ok(true)));
    assert!(matches!(stopped, Some(Err(DecodeError::Read(_)))), "{stopped:?}");
}
