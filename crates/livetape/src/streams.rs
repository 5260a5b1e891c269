//! `livetape streams`: what a data folder holds.

use crate::archive::Archive;
use crate::settings::{FileFlag, recorder};
use crate::when::clock;
use livetape_audio::{Frame, StreamRules};
use std::io::Write;

/// Flags of `livetape streams`.
#[derive(Debug, clap::Args)]
pub(crate) struct StreamsArgs {
    #[command(flatten)]
    archive: Archive,
    #[command(flatten)]
    file: FileFlag,
}

/// Prints a line for each recording.
pub(crate) fn run(args: &StreamsArgs) -> anyhow::Result<()> {
    let rules = StreamRules { allowed: None, modes: recorder::modes(&args.file.load()?) };
    let contents = args.archive.open()?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{:16} {:36} {:6} {:>10} {:>9}  {:20} {:9} FORMAT",
        "STREAM", "RECORDING", "STATE", "LENGTH", "MB", "STARTED", "RECORD"
    )?;
    for r in &contents.recordings {
        let tail = contents.tail(r)?;
        let frames = tail.end.since(Frame::ZERO);
        let state = if r.seal.is_some() { "sealed" } else { "open" };
        let started = contents.timeline(r, &tail)?.time_of(Frame::ZERO).unwrap_or(r.started);
        let started: String = started.to_string().chars().take(19).chain(['Z']).collect();
        let (length, mb) = (clock(r.spec.duration(frames)), r.spec.bytes(frames) as f64 / 1e6);
        let (stream, mode) = (r.stream.as_str(), rules.mode(&r.stream).as_str());
        writeln!(out, "{stream:16} {} {state:6} {length:>10} {mb:>9.1}  {started} {mode:9} {}", r.id, r.spec)?;
    }
    for problem in &contents.problems {
        writeln!(out, "not a recording: {problem}")?;
    }
    Ok(())
}
