//! Compiles `proto/` in pure Rust: no protoc is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=../../proto");
    let files = protox::compile(["livetape/v1/ingest.proto"], ["../../proto"])?;
    // Bytes instead of Vec<u8>: no copy for each chunk of audio.
    tonic_prost_build::configure().bytes(".livetape.v1.Append.pcm").compile_fds(files)?;
    Ok(())
}
