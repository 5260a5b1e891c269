//! Flags of the sources.

use super::access::Policy;
use super::clients::LimitFlags;
use super::{File, bytes, local};
use anyhow::{Context, ensure};
use bytesize::ByteSize;
use livetape_audio::{ChannelLayout, SampleFormat, StreamName, StreamPattern, StreamRules, Title};
use livetape_capture::sources::file::{Pace, Playing};
use livetape_capture::{CaptureConfig, IntakeConfig, Shape, SourceConfig, SourceSpec, SpoolConfig};
use livetape_proto::RecorderAddress;
use livetape_service::{Proxies, TlsFiles};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where sources of other programs connect, unless told otherwise.
const INTAKE_PORT: u16 = 8000;

/// Flags of the sources.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct CaptureFlags {
    /// Name of the stream that the source goes to; once for each --source [default: live]
    #[arg(long = "stream", value_name = "NAME")]
    streams: Vec<StreamName>,
    /// time-signal, tone, noise, silence, counting, stdin, file:PATH, device:ID, relay:URL, push, or none; once for each --stream [default: time-signal]
    #[arg(long = "source", value_name = "SPEC")]
    sources: Vec<SourceSpec>,
    #[command(flatten)]
    how: SourceFlags,
}

/// How sources are captured.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct SourceFlags {
    /// Frames per second of the sources, 8000 to 192000 [default: 48000; a file's own]
    #[arg(long, value_name = "HZ")]
    rate: Option<u32>,
    /// Channels of the sources, 1 to 8 [default: 2; a file's own]
    #[arg(long)]
    channels: Option<u32>,
    /// Which loudspeaker each of their channels is for, as in FL+FR+FC+LFE+BL+BR, or none [default: what a source says]
    #[arg(long)]
    layout: Option<ChannelLayout>,
    /// Sample format of the sources: s16, s24, s32 or f32, little-endian [default: s16; a file's own]
    #[arg(long)]
    format: Option<SampleFormat>,
    /// How fast files are played: as they sound, or as fast as the recorder takes them [default: realtime]
    #[arg(long, value_enum)]
    pace: Option<FilePace>,
    /// Play files from the beginning again after the last one
    #[arg(long = "loop")]
    repeat: bool,
    /// Play files in another order each time
    #[arg(long)]
    shuffle: bool,
    /// What takes over while nothing comes of the source, and hands back: silence, tone, …, file:PATH [default: nothing]
    #[arg(long, value_name = "SPEC")]
    fallback: Option<SourceSpec>,
    /// Frames of a block that a sound card gives at once: its buffer has two of them [default: 50 ms of audio]
    #[arg(long, value_name = "FRAMES")]
    buffer_frames: Option<u32>,
    /// Where audio waits that the recorder cannot take, so that it survives this process [default: in memory only]
    #[arg(long, env = "LIVETAPE_SPOOL_DIR", value_name = "DIR")]
    spool_dir: Option<PathBuf>,
    /// Most of it for each stream, 1MiB to 1TiB; beyond, the oldest is given up and becomes a gap [default: 1GiB]
    #[arg(long, env = "LIVETAPE_SPOOL_SIZE", value_name = "SIZE")]
    spool_size: Option<ByteSize>,
    /// Most audio of each source that waits in memory, 1MiB to 64GiB; at least two seconds of it [default: 4MiB]
    #[arg(long, env = "LIVETAPE_QUEUE_SIZE", value_name = "SIZE")]
    queue_size: Option<ByteSize>,
}

/// How fast files are played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FilePace {
    /// As they sound.
    Realtime,
    /// As fast as the recorder takes them.
    Fast,
}

/// A source in the configuration file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileSource {
    stream: StreamName,
    source: String,
    rate: Option<u32>,
    channels: Option<u32>,
    layout: Option<ChannelLayout>,
    format: Option<SampleFormat>,
    buffer_frames: Option<u32>,
    pace: Option<FilePace>,
    #[serde(rename = "loop")]
    repeat: Option<bool>,
    shuffle: Option<bool>,
    fallback: Option<String>,
    title: Option<Title>,
    genre: Option<Title>,
}

impl FileSource {
    const fn shape(&self) -> Shape {
        Shape { format: self.format, rate: self.rate, channels: self.channels, layout: self.layout }
    }
}

/// Where sources of other programs connect.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct IntakeFlags {
    /// Where sources of other programs connect, as to Icecast: see docs/sources.md [default: 127.0.0.1:8000]
    #[arg(long, env = "LIVETAPE_SOURCE_ADDR", value_name = "ADDR")]
    source_addr: Option<SocketAddr>,
}

impl IntakeFlags {
    fn given(&self, file: &File) -> Option<SocketAddr> {
        self.source_addr.or(file.source_addr)
    }

    /// The address, given or built in; built in, it is done without if another program has it.
    pub(crate) fn config(
        &self,
        policy: &Policy,
        tls: Option<TlsFiles>,
        allowed: Option<Vec<StreamPattern>>,
        (limits, proxies): (&LimitFlags, Proxies),
        file: &File,
    ) -> anyhow::Result<IntakeConfig> {
        let given = self.given(file);
        let built_in = IntakeConfig::new(given.unwrap_or(local(INTAKE_PORT)));
        let rules = StreamRules { allowed, ..StreamRules::default() };
        let (required, access, limits) = (given.is_some(), Some(policy.at(built_in.addr)?), limits.intake(file)?);
        Ok(IntakeConfig { required, access, tls, rules, limits, proxies, ..built_in })
    }

    /// The address, if it was given or somebody is to push to one of these sources.
    pub(crate) fn wanted(&self, sources: &[SourceConfig], file: &File) -> bool {
        self.given(file).is_some() || sources.iter().any(|source| source.source == SourceSpec::Push)
    }
}

impl CaptureFlags {
    /// Checked settings of sources that push to `recorder`.
    pub(crate) fn config(&self, recorder: RecorderAddress, file: &File) -> anyhow::Result<CaptureConfig> {
        self.how.keeping(CaptureConfig::new(recorder, self.sources(file)?), file)
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
            let stream = self.streams.get(i).cloned().map_or_else(|| "live".parse(), Ok)?;
            self.how.one(stream, self.sources.get(i).cloned().unwrap_or(SourceSpec::TimeSignal), Title::default())
        };
        (0..n).map(one).collect()
    }

    fn of_file(&self, source: &FileSource) -> anyhow::Result<SourceConfig> {
        let place = || format!("source of stream {}", source.stream);
        Ok(SourceConfig {
            stream: source.stream.clone(),
            source: source.source.parse().with_context(place)?,
            shape: self.how.shape(source.shape()).with_context(place)?,
            buffer: self.how.buffer_frames.or(source.buffer_frames),
            fallback: match (&self.how.fallback, &source.fallback) {
                (Some(flag), _) => Some(flag.clone()),
                (None, Some(text)) => Some(text.parse().with_context(place)?),
                (None, None) => None,
            },
            playing: self.how.playing(source.pace, source.repeat, source.shuffle),
            meter: None,
            ends: false,
            title: source.title.clone().unwrap_or_default(),
            genre: source.genre.clone().unwrap_or_default(),
        })
    }
}

impl SourceFlags {
    /// How much audio waits that the recorder cannot take, and where on disk, if anywhere.
    pub(crate) fn keeping(&self, config: CaptureConfig, file: &File) -> anyhow::Result<CaptureConfig> {
        let size = (self.spool_size, file.spool_size);
        let max_bytes = bytes("spool_size", size.0, size.1, SpoolConfig::USUAL_BYTES, 1 << 20..=1 << 40)?;
        let built_in = config.queue_bytes;
        let queue_bytes = bytes("queue_size", self.queue_size, file.queue_size, built_in, 1 << 20..=1 << 36)?;
        let dir = self.spool_dir.clone().or_else(|| file.spool_dir.clone());
        ensure!(
            dir.is_some() || size == (None, None),
            "spool_size (LIVETAPE_SPOOL_SIZE) says how large a spool may become, and there is none: say where, with spool_dir \
             (LIVETAPE_SPOOL_DIR)"
        );
        Ok(CaptureConfig { queue_bytes, spool: dir.map(|dir| SpoolConfig { dir, max_bytes }), ..config })
    }

    /// One source that these flags describe.
    pub(crate) fn one(&self, stream: StreamName, source: SourceSpec, title: Title) -> anyhow::Result<SourceConfig> {
        Ok(SourceConfig {
            stream,
            source,
            shape: self.shape(Shape::default())?,
            buffer: self.buffer_frames,
            fallback: self.fallback.clone(),
            playing: self.playing(None, None, None),
            meter: None,
            ends: false,
            title,
            genre: Title::default(),
        })
    }

    fn playing(&self, pace: Option<FilePace>, repeat: Option<bool>, shuffle: Option<bool>) -> Playing {
        let pace = match self.pace.or(pace) {
            Some(FilePace::Fast) => Pace::Fast,
            Some(FilePace::Realtime) | None => Pace::Realtime,
        };
        let (repeat, shuffle) = (self.repeat || repeat.unwrap_or(false), self.shuffle || shuffle.unwrap_or(false));
        Playing { pace, repeat, shuffle }
    }

    fn shape(&self, file: Shape) -> anyhow::Result<Shape> {
        let (format, rate) = (self.format.or(file.format), self.rate.or(file.rate));
        // Who says here how many channels there are, or what they are for, says it instead of the file, as far as both do.
        let known = self.layout.filter(|layout| layout.is_known());
        let channels = self.channels.or(file.channels.filter(|_| known.is_none()));
        let fits = |layout: &ChannelLayout| self.channels.is_none_or(|n| n == u32::from(layout.channels()));
        let shape = Shape { format, rate, channels, layout: self.layout.or(file.layout.filter(fits)) };
        shape.spec()?;
        Ok(shape)
    }
}
