//! `livetape export`: a view of a recording to a file, sample-exact, while recording goes on or after.

use crate::archive::{Archive, Contents, progress};
use crate::when::clock;
use anyhow::{Context, ensure};
use livetape_audio::{Container, DataSize, Frame, FrameCount, Moment, View, ViewAddress};
use livetape_store::{Recording, TapeReader};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Frames of one read.
const BLOCK: FrameCount = FrameCount::new(32 * 1024);

/// Flags of `livetape export`.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    archive: Archive,
    /// Id of a recording, or name of a stream for its newest recording
    recording: String,
    /// File to write: .wav, .rf64 or .pcm; - for PCM on standard output
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Where to start: seconds from the beginning, or a time of day such as 2026-11-20T14:30:00Z
    #[arg(long, value_name = "WHEN")]
    from: Option<Moment>,
    /// Where to end
    #[arg(long, value_name = "WHEN")]
    to: Option<Moment>,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

/// Writes the file.
pub(crate) fn run(args: &ExportArgs) -> anyhow::Result<()> {
    let contents = args.archive.open()?;
    let recording = contents.find(&args.recording)?;
    let frames = resolve(args, &contents, recording)?;
    let count = frames.end.since(frames.start);
    if args.out == Path::new("-") {
        let mut out = BufWriter::new(std::io::stdout().lock());
        copy(&contents, recording, frames, &mut out)?;
        return out.flush().context("writing");
    }
    let container = container(&args.out, recording, count)?;
    ensure!(args.force || !args.out.exists(), "{} exists; --force replaces it", args.out.display());
    // The file gets its name when it is complete: what has the name is never half of it.
    let folder = args.out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Readable as other files are: the mask of the process takes away what it does not grant.
    let mode = std::fs::Permissions::from_mode(0o666);
    let part = tempfile::Builder::new().prefix(".livetape-").suffix(".part").permissions(mode).tempfile_in(folder);
    let part = part.with_context(|| format!("cannot write in {}", folder.display()))?;
    let mut out = BufWriter::with_capacity(1 << 20, part.as_file());
    out.write_all(&container.header(recording.spec, DataSize::Known(count)))?;
    copy(&contents, recording, frames, &mut out)?;
    if recording.spec.bytes(count) % 2 == 1 && container != Container::Pcm {
        out.write_all(&[0])?; // RIFF chunks have an even size.
    }
    out.flush().context("writing")?;
    drop(out);
    File::sync_all(part.as_file())?;
    part.persist(&args.out).with_context(|| format!("cannot name the file {}", args.out.display()))?;
    eprintln!("{}: {} of {}", args.out.display(), clock(recording.spec.duration(count)), recording.id);
    Ok(())
}

fn resolve(args: &ExportArgs, contents: &Contents, recording: &Recording) -> anyhow::Result<Range<Frame>> {
    let tail = contents.tail(recording)?;
    let timeline = contents.timeline(recording, &tail)?;
    let address = ViewAddress { from: args.from, to: args.to };
    ensure!(tail.end > Frame::ZERO, "recording {} is empty", recording.id);
    let view: View = address.resolve(recording.spec, &timeline, &tail, Duration::ZERO)?;
    Ok(view.first..view.known_end(&timeline, &tail).unwrap_or(tail.end))
}

fn container(out: &Path, recording: &Recording, count: FrameCount) -> anyhow::Result<Container> {
    let ext = out.extension().and_then(|e| e.to_str()).unwrap_or_default();
    let container = Container::from_extension(ext)
        .with_context(|| format!("{}: the name has to end in .wav, .rf64 or .pcm", out.display()))?;
    let bytes = recording.spec.bytes(count) + container.header_len(recording.spec);
    if container == Container::Wav && bytes >= u64::from(u32::MAX) {
        eprintln!(
            "{bytes} bytes do not fit into the size fields of a plain WAV: writing RF64, which most programs read"
        );
        return Ok(Container::Rf64);
    }
    Ok(container)
}

fn copy(contents: &Contents, recording: &Recording, frames: Range<Frame>, out: &mut impl Write) -> anyhow::Result<()> {
    let mut reader = TapeReader::open(&contents.dir, recording);
    let bar = progress(recording.spec.bytes(frames.end.since(frames.start)));
    let mut at = frames.start;
    while at < frames.end {
        let pcm = reader.read(at..frames.end.min(at + BLOCK))?;
        let (read, _) = recording.spec.frames_in(pcm.len() as u64);
        ensure!(!read.is_zero(), "frame {at} cannot be read");
        out.write_all(&pcm).context("writing")?;
        at = at + read;
        bar.inc(pcm.len() as u64);
    }
    bar.finish_and_clear();
    Ok(())
}
