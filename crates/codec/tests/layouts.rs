//! For which loudspeaker each channel is: what files of every format say about it, as ffmpeg writes them, and which channel that is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that unwraps says all there is to say"
)]

use livetape_audio::{ChannelLayout, Container, DataSize, FrameCount, SampleFormat, Speaker, Spec};
use livetape_codec::decode::{Decoder, Input};
use livetape_testkit::ffmpeg::encode;
use std::path::{Path, PathBuf};

const RATE: u32 = 48_000;
const FRAMES: u64 = 48_000;

/// What is heard from a loudspeaker, in Hz: of low frequencies one that no codec takes away.
const fn hertz(speaker: Speaker) -> u32 {
    match speaker {
        Speaker::LowFrequency => 60,
        other => 300 + 200 * other as u32,
    }
}

/// A WAV in which each loudspeaker has its own tone; whether its head says which one that is.
fn wav(dir: &Path, layout: ChannelLayout, says: bool) -> PathBuf {
    let spec = Spec::new(SampleFormat::S16, RATE, layout.channels().into()).unwrap();
    let told = if says { spec.for_speakers(layout).unwrap() } else { spec };
    let sample = |n: u64, hertz: u32| {
        (6_000.0 * (n as f64 * f64::from(hertz) * std::f64::consts::TAU / f64::from(RATE)).sin()) as i16
    };
    let frame = |n| layout.speakers().map(move |speaker| sample(n, hertz(speaker)));
    let mut file = Container::Wav.header(told, DataSize::Known(FrameCount::new(FRAMES)));
    file.extend((0..FRAMES).flat_map(frame).flat_map(i16::to_le_bytes));
    let path = dir.join(format!("in-{says}.wav"));
    std::fs::write(&path, file).unwrap();
    path
}

/// What is said of the channels, and the tone that each has.
fn heard(input: Input, name: &Path) -> (ChannelLayout, Vec<u32>) {
    let mut decoder = Decoder::open(input, name.extension().and_then(|e| e.to_str())).unwrap();
    let (layout, channels) = (decoder.sound().layout, usize::from(decoder.sound().channels));
    let mut samples = Vec::new();
    while let Some(block) = decoder.next().unwrap() {
        assert_eq!(block.sound.layout, layout);
        samples.extend_from_slice(block.samples);
    }
    let half = &samples[samples.len() / channels / 2 * channels..];
    // Rising zero crossings of the second half.
    let tone = |channel: usize| {
        let one: Vec<f64> = half.iter().skip(channel).step_by(channels).copied().collect();
        let rising = one.windows(2).filter(|pair| pair[0] < 0.0 && pair[1] >= 0.0).count();
        (rising as f64 * f64::from(RATE) / one.len() as f64).round() as u32
    };
    (layout, (0..channels).map(tone).collect())
}

/// What a file says, and that each of its channels is what it says: read as a file, and as a stream where it can be one.
fn check(name: &Path) -> ChannelLayout {
    let bytes = std::fs::read(name).unwrap();
    let streamed = Input::stream(std::io::Cursor::new(bytes.clone()));
    let is_file = name.extension().is_some_and(|e| e == "m4a" || e == "caf");
    let inputs = [Some(Input::bytes(bytes)), Some(streamed).filter(|_| !is_file)];
    let mut all = inputs.into_iter().flatten().map(|input| {
        let (said, tones) = heard(input, name);
        let due: Vec<u32> = said.speakers().map(hertz).collect();
        let near = tones.iter().zip(&due).all(|(tone, due)| tone.abs_diff(*due) <= 4);
        assert!(near || !said.is_known(), "{} {said}: {tones:?}, not {due:?}", name.display());
        said
    });
    let first = all.next().unwrap();
    assert!(all.all(|said| said == first), "{}", name.display());
    first
}

const LAYOUTS: [&str; 7] = [
    "FL+FR+FC",
    "FL+FR+BL+BR",
    "FL+FR+FC+BC",
    "FL+FR+FC+BL+BR",
    "FL+FR+FC+LFE+BL+BR",
    "FL+FR+FC+LFE+SL+SR",
    "FL+FR+FC+LFE+BL+BR+SL+SR",
];

#[test]
fn formats_say_where_a_channel_is_heard() {
    let dir = tempfile::tempdir().unwrap();
    // ALAC has no name for some layouts, for which ffmpeg makes others. Into Ogg it writes no mask, and in FLAC it takes side for back.
    let without_side = LAYOUTS.iter().copied().filter(|layout| *layout != "FL+FR+FC+LFE+SL+SR").collect::<Vec<_>>();
    let formats: [(&str, &[&str], &[&str]); 5] = [
        ("a.wav", &["-c:a", "pcm_s24le"], &LAYOUTS),
        ("a.flac", &["-c:a", "flac"], &without_side),
        ("a.oga", &["-c:a", "flac"], &["FL+FR+FC", "FL+FR+BL+BR", "FL+FR+FC+LFE+BL+BR"]),
        ("a.caf", &["-c:a", "pcm_s16le"], &LAYOUTS[..5]),
        ("a.m4a", &["-c:a", "alac"], &["FL+FR+FC", "FL+FR+FC+BL+BR", "FL+FR+FC+LFE+BL+BR"]),
    ];
    for layout in LAYOUTS.map(|name| name.parse::<ChannelLayout>().unwrap()) {
        let input = wav(dir.path(), layout, true);
        assert_eq!(check(&input), layout);
        for (name, args, of) in formats {
            let name = dir.path().join(name);
            if of.contains(&layout.to_string().as_str()) {
                encode(&input, args, &name).unwrap();
                assert_eq!(check(&name), layout, "{}", name.display());
            }
        }
    }
}

#[test]
fn a_file_that_does_not_say_is_not_guessed_at() {
    let dir = tempfile::tempdir().unwrap();
    let plain = wav(dir.path(), ChannelLayout::usual(6), false);
    assert_eq!(check(&plain), ChannelLayout::UNKNOWN);
    // Of which the library takes the first so many loudspeakers, or those of another order, or does not see the mask.
    let made: [(&str, &[&str], &str); 7] = [
        ("a.mov", &["-ar", "96000", "-c:a", "pcm_s16le"], "FL+FR+BL+BR"),
        ("a.mka", &["-c:a", "flac"], "FL+FR+FC+BC"),
        ("b.mka", &["-c:a", "pcm_s16le"], "FL+FR+BL+BR"),
        ("seven.m4a", &["-c:a", "alac"], "FL+FR+FC+LFE+BL+BR+BC"),
        ("eight.m4a", &["-c:a", "alac"], "FL+FR+FC+LFE+BL+BR+FLC+FRC"),
        ("seven.caf", &["-c:a", "alac"], "FL+FR+FC+LFE+BL+BR+BC"),
        ("eight.caf", &["-c:a", "alac"], "FL+FR+FC+LFE+BL+BR+FLC+FRC"),
    ];
    for (name, args, layout) in made {
        let (input, name) = (wav(dir.path(), layout.parse().unwrap(), true), dir.path().join(name));
        encode(&input, args, &name).unwrap();
        let bytes = std::fs::read(&name).unwrap();
        assert_eq!(heard(Input::bytes(bytes), &name).0, ChannelLayout::UNKNOWN, "{}", name.display());
    }
}

#[test]
fn a_mask_is_found_wherever_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let layout: ChannelLayout = "FL+FR+FC+BC".parse().unwrap();
    let (input, flac) = (wav(dir.path(), layout, true), dir.path().join("a.flac"));
    // More before the audio than a head usually has.
    let file = std::fs::read(&input).unwrap();
    let junk = [b"JUNK".to_vec(), 6_000_u32.to_le_bytes().to_vec(), vec![0; 6_000]].concat();
    let size = (file.len() + junk.len() - 8) as u32;
    std::fs::write(&input, [&file[..4], &size.to_le_bytes(), &file[8..12], &junk, &file[12..]].concat()).unwrap();
    assert_eq!(check(&input), layout);
    encode(&input, &["-c:a", "flac"], &flac).unwrap();
    let file = std::fs::read(&flac).unwrap();
    let at = file.windows(6).position(|six| six == b"=0x107").unwrap();
    for (mask, due) in [(b"=0X107", layout), (b"=0x000", ChannelLayout::UNKNOWN), (b"=what?", ChannelLayout::UNKNOWN)] {
        let mut file = file.clone();
        file[at..at + 6].copy_from_slice(mask);
        std::fs::write(&flac, file).unwrap();
        assert_eq!(check(&flac), due);
    }
}

#[test]
fn what_cannot_be_decoded_right_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (input, quadro) = (wav(dir.path(), ChannelLayout::usual(6), true), ChannelLayout::usual(4));
    let lossy: [(&str, &[&str], &str); 5] = [
        ("a.ogg", &["-c:a", "libvorbis"], "Vorbis with 6"),
        ("a.opus", &["-c:a", "libopus", "-b:a", "256k"], "Opus with 6"),
        ("a.aac", &["-c:a", "aac", "-b:a", "400k"], "AAC with 6"),
        ("a.m4a", &["-c:a", "aac", "-b:a", "400k"], "AAC with 6"),
        ("a.mka", &["-c:a", "libvorbis"], "Vorbis with 6"),
    ];
    let refused = |name: &Path| {
        let bytes = std::fs::read(name).unwrap();
        Decoder::open(Input::bytes(bytes), name.extension().and_then(|e| e.to_str())).unwrap_err().to_string()
    };
    for (name, args, says) in lossy {
        let name = dir.path().join(name);
        encode(&input, args, &name).unwrap();
        assert!(refused(&name).contains(says), "{}", refused(&name));
    }
    // A container that says less than there is: the Channels of a track of Matroska.
    let name = dir.path().join("a.mka");
    let mut lies = std::fs::read(&name).unwrap();
    let at = lies.windows(3).position(|three| three == [0x9F, 0x81, 6]).unwrap();
    lies[at + 2] = 2;
    std::fs::write(&name, lies).unwrap();
    assert!(refused(&name).contains("Vorbis with 6"), "{}", refused(&name));
    let name = dir.path().join("four.ogg");
    encode(&wav(dir.path(), quadro, true), &["-c:a", "libvorbis"], &name).unwrap();
    assert!(refused(&name).contains("Vorbis with 4 channels"), "{}", refused(&name));
}
