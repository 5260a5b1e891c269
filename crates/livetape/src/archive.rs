//! A data folder as the tools see it: read-only, beside a recorder that may be running.

use anyhow::{Context, bail};
use livetape_audio::{Durable, RecordingId, StreamName, Tail, Timeline};
use livetape_store::{DataDir, Disk, Recording, TimelineFollower, durable_end};
use std::path::PathBuf;

/// Where the recordings are.
#[derive(Debug, clap::Args)]
pub(crate) struct Archive {
    /// Where recordings are kept
    #[arg(long, env = "LIVETAPE_DATA_DIR", default_value = "./data", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
}

/// Everything in the folder, oldest first within each stream, and whether something in it was no recording.
pub(crate) struct Contents {
    pub(crate) dir: DataDir,
    pub(crate) recordings: Vec<Recording>,
    pub(crate) problems: Vec<String>,
}

impl Archive {
    /// Opens the folder without changing anything in it.
    pub(crate) fn open(&self) -> anyhow::Result<Contents> {
        let place = || format!("data folder {}", self.data_dir.display());
        let dir = DataDir::open_read_only(&self.data_dir, Disk::default()).with_context(place)?;
        let scan = dir.scan().with_context(place)?;
        let mut recordings = scan.recordings;
        recordings.sort_by(|a, b| (&a.stream, a.id).cmp(&(&b.stream, b.id)));
        let problems = scan.problems.iter().map(|p| format!("{}: {}", p.path.display(), p.what)).collect();
        Ok(Contents { dir, recordings, problems })
    }
}

impl Contents {
    /// The recording with this id, or the newest of the stream with this name.
    pub(crate) fn find(&self, what: &str) -> anyhow::Result<&Recording> {
        let mut newest_first = self.recordings.iter().rev();
        if let Ok(id) = what.parse::<RecordingId>() {
            return newest_first.find(|r| r.id == id).with_context(|| format!("there is no recording {id}"));
        }
        let Ok(stream) = what.parse::<StreamName>() else {
            bail!("{what:?} is neither the id of a recording nor the name of a stream");
        };
        newest_first.find(|r| r.stream == stream).with_context(|| format!("there is no recording of stream {stream}"))
    }

    /// How far a recording goes at this moment, taken as its end.
    pub(crate) fn tail(&self, recording: &Recording) -> anyhow::Result<Tail> {
        let generation = self.dir.generation();
        if let Some(tail) = recording.sealed_tail(generation) {
            return Ok(tail);
        }
        let Durable(end) = durable_end(&self.dir, recording)?;
        Ok(Tail::sealed(Durable(end), None, generation))
    }

    /// The timeline up to `tail`.
    pub(crate) fn timeline(&self, recording: &Recording, tail: &Tail) -> anyhow::Result<Timeline> {
        let mut follower = TimelineFollower::open(&self.dir, recording);
        follower.refresh(tail)?;
        Ok(follower.timeline().clone())
    }
}

/// A bar for bytes, on a terminal only.
pub(crate) fn progress(bytes: u64) -> indicatif::ProgressBar {
    let bar = indicatif::ProgressBar::new(bytes);
    let style = "{wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} to go";
    indicatif::ProgressStyle::with_template(style).map_or(bar.clone(), |style| bar.with_style(style))
}
