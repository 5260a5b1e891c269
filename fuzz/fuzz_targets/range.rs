//! Any `Range` and `If-Range` against any length: what is decided to be sent exists, and is what was asked for.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| livetape_gateway::fuzzing::range(data));
