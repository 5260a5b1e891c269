//! `livetape verify`: every recorded byte against its checksum, read-only.

use crate::archive::{Archive, progress};
use livetape_audio::Frame;
use livetape_store::verify::verify;
use std::io::Write;

/// Flags of `livetape verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    archive: Archive,
    /// Id of a recording, or name of a stream for its newest recording; everything if absent
    recording: Option<String>,
}

/// Prints what was found and fails if anything was.
pub(crate) fn run(args: &VerifyArgs) -> anyhow::Result<()> {
    let contents = args.archive.open()?;
    let chosen = match &args.recording {
        Some(what) => vec![contents.find(what)?.clone()],
        None => contents.recordings.clone(),
    };
    let mut out = std::io::stdout().lock();
    let mut findings = if args.recording.is_none() { contents.problems.clone() } else { Vec::new() };
    for problem in &findings {
        writeln!(out, "not a recording: {problem}")?;
    }
    for recording in &chosen {
        let bytes = contents.tail(recording).map_or(0, |tail| recording.spec.bytes(tail.end.since(Frame::ZERO)));
        let bar = progress(bytes);
        let verdict = verify(&contents.dir, recording, &mut |read| bar.inc(read));
        bar.finish_and_clear();
        match verdict {
            Ok(verdict) if verdict.findings.is_empty() => {
                writeln!(
                    out,
                    "{} {}: good, {} blocks, {} bytes",
                    recording.stream, recording.id, verdict.blocks, verdict.bytes
                )?;
            }
            Ok(verdict) => findings.extend(verdict.findings.into_iter().map(|f| format!("{}: {f}", recording.id))),
            Err(error) => findings.push(format!("{}: {error}", recording.id)),
        }
    }
    for finding in &findings {
        writeln!(out, "{finding}")?;
    }
    anyhow::ensure!(findings.is_empty(), "{} findings", findings.len());
    Ok(())
}
