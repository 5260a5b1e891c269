//! Compiles `proto/` in pure Rust: no protoc is needed.

use prost::Message;
use std::path::PathBuf;

const FILES: [&str; 4] = [
    "livetape/v1/ingest.proto",
    "livetape/v1/catalogue.proto",
    "livetape/v1/tape.proto",
    "livetape/v1/operation.proto",
];

/// Bytes instead of Vec<u8>: no copy for each chunk of audio.
const AUDIO: [&str; 3] =
    [".livetape.v1.Append.pcm", ".livetape.v1.ReadFramesResponse.pcm", ".livetape.v1.ExportResponse.data"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=../../proto/livetape");
    let files = protox::compile(FILES, ["../../proto"])?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is set by cargo")?);
    std::fs::write(out.join("livetape.v1.descriptors"), files.encode_to_vec())?;
    let mut config = tonic_prost_build::configure();
    for field in AUDIO {
        config = config.bytes(field);
    }
    config.compile_fds(files)?;
    Ok(())
}
