//! Any bytes as an audio file and as a stream: opened, decoded and converted as a file source does it. It may panic, as the source
//! takes care of that; it may not take more time or memory than its size allows, nor break memory.

#![no_main]

use libfuzzer_sys::fuzz_target;
use livetape_audio::{SampleFormat, Spec};
use livetape_codec::convert::Converter;
use livetape_codec::decode::{Decoder, Input};
use std::collections::HashSet;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

/// More is only more of the same.
const MAX_FRAMES: u64 = 2_000_000;

fn play(input: Input) {
    let Ok(mut decoder) = Decoder::open(input, None) else { return };
    let Ok(spec) = Spec::new(SampleFormat::S16, 48_000, 2) else { return };
    let _ = decoder.tags().map(|tags| tags.line());
    let Ok(mut converter) = Converter::new(decoder.sound(), spec) else { return };
    let mut out = Vec::new();
    while let Ok(Some(block)) = decoder.next() {
        if block.sound != converter.from() {
            let Ok(other) = Converter::new(block.sound, spec) else { return };
            converter = other;
        }
        let part = 8_192_usize.next_multiple_of(usize::from(block.sound.channels.max(1)));
        for samples in block.samples.chunks(part) {
            out.clear();
            if converter.push(samples, &mut out).is_err() {
                return;
            }
        }
        if decoder.frames().get() > MAX_FRAMES {
            return;
        }
    }
}

fuzz_target!(
    init: {
        // A panic inside a decoder costs its file and nothing else; where it was, is said once.
        let seen = Mutex::new(HashSet::new());
        std::panic::set_hook(Box::new(move |panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            if seen.lock().is_ok_and(|mut seen| seen.insert(place.clone())) {
                eprintln!("contained: a panic at {place}");
            }
        }));
    },
    |data: &[u8]| {
        let (file, stream) = (Input::bytes(data.to_vec()), Input::stream(Cursor::new(data.to_vec())));
        for input in [file, stream] {
            let _ = catch_unwind(AssertUnwindSafe(|| play(input)));
        }
    }
);
