//! Any bytes as what a source sends, and as what a server of streams answers: heads, and bodies in chunks.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| livetape_capture::fuzzing::push(data));
