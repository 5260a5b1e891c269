//! Any path and query, as each address reads its own: nothing panics, refusals are short, and a view is inside its tape.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| livetape_gateway::fuzzing::address(data));
