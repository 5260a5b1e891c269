//! Flags of the sources.

use super::File;
use anyhow::{Context, ensure};
use livetape_audio::{SampleFormat, StreamName, Title};
use livetape_capture::{CaptureConfig, Shape, SourceConfig, SourceSpec, SpoolConfig};
use livetape_proto::RecorderAddress;
use serde::Deserialize;
use std::path::PathBuf;

/// Flags of the sources.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct CaptureFlags {
    /// Name of the stream that the source goes to; once for each --source [default: live]
    #[arg(long = "stream", value_name = "NAME")]
    streams: Vec<StreamName>,
    /// time-signal, tone, noise, counting, stdin, device:ID, or none; once for each --stream [default: time-signal]
    #[arg(long = "source", value_name = "SPEC")]
    sources: Vec<SourceSpec>,
    /// Frames per second of the sources, 8000 to 192000 [default: 48000]
    #[arg(long, value_name = "HZ")]
    rate: Option<u32>,
    /// Channels of the sources, 1 to 8 [default: 2]
    #[arg(long)]
    channels: Option<u32>,
    /// Sample format of the sources: s16, s24, s32 or f32, little-endian [default: s16]
    #[arg(long)]
    format: Option<SampleFormat>,
    /// Frames of a block that a sound card gives at once: its buffer has two of them [default: 50 ms of audio]
    #[arg(long, value_name = "FRAMES")]
    buffer_frames: Option<u32>,
    /// Where audio waits that the recorder cannot take, so that it survives this process [default: in memory only]
    #[arg(long, env = "LIVETAPE_SPOOL_DIR", value_name = "DIR")]
    spool_dir: Option<PathBuf>,
}

/// A source in the configuration file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileSource {
    stream: StreamName,
    source: String,
    rate: Option<u32>,
    channels: Option<u32>,
    format: Option<SampleFormat>,
    buffer_frames: Option<u32>,
    title: Option<Title>,
}

impl CaptureFlags {
    /// Checked settings of sources that push to `recorder`.
    pub(crate) fn config(&self, recorder: RecorderAddress, file: &File) -> anyhow::Result<CaptureConfig> {
        let spool = self.spool_dir.clone().or_else(|| file.spool_dir.clone()).map(SpoolConfig::new);
        Ok(CaptureConfig { spool, ..CaptureConfig::new(recorder, self.sources(file)?) })
    }

    /// Sources of the flags; without any, those of the file; without any, the time signal.
    pub(super) fn sources(&self, file: &File) -> anyhow::Result<Vec<SourceConfig>> {
        if self.streams.is_empty() && self.sources.is_empty() && !file.source.is_empty() {
            return file.source.iter().map(|source| self.of_file(source)).collect();
        }
        let n = self.streams.len().max(self.sources.len()).max(1);
        ensure!(
            n == 1 || (self.streams.len() == n && self.sources.len() == n),
            "{} times --stream and {} times --source: say --stream once for each --source",
            self.streams.len(),
            self.sources.len()
        );
        let one = |i: usize| {
            Ok(SourceConfig {
                stream: self.streams.get(i).cloned().map_or_else(|| "live".parse(), Ok)?,
                source: self.sources.get(i).cloned().unwrap_or(SourceSpec::TimeSignal),
                shape: self.shape(None, None, None)?,
                buffer: self.buffer_frames,
                title: Title::default(),
            })
        };
        (0..n).map(one).collect()
    }

    fn of_file(&self, source: &FileSource) -> anyhow::Result<SourceConfig> {
        let place = || format!("source of stream {}", source.stream);
        Ok(SourceConfig {
            stream: source.stream.clone(),
            source: source.source.parse().with_context(place)?,
            shape: self.shape(source.format, source.rate, source.channels).with_context(place)?,
            buffer: self.buffer_frames.or(source.buffer_frames),
            title: source.title.clone().unwrap_or_default(),
        })
    }

    fn shape(&self, format: Option<SampleFormat>, rate: Option<u32>, channels: Option<u32>) -> anyhow::Result<Shape> {
        let (format, rate) = (self.format.or(format), self.rate.or(rate));
        let shape = Shape { format, rate, channels: self.channels.or(channels) };
        shape.spec()?;
        Ok(shape)
    }
}
