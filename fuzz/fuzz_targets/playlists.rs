//! Any bytes as a playlist: M3U, PLS, XSPF, beside files and where a stream is relayed from.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| livetape_capture::fuzzing::playlists(data));
