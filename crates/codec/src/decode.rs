//! Decoders behind one small face: what is in a file or a stream of bytes, as blocks of samples, with its tags.
//!
//! WAV, RF64, AIFF, CAF, FLAC, MP3 (and MP1, MP2), Ogg with Vorbis, Opus or FLAC, MP4 with AAC, ALAC or Opus, AAC by itself, and
//! what else the library knows. What encoders have put before and after the audio is taken off, where the container
//! says how much that is.
//!
//! Whatever comes in: an error or a bounded number of samples comes out. But a decoder is much code that others wrote, and
//! it may panic or never return: who feeds it bytes of strangers runs it on a thread of its own ([`Handle`]).

mod chunks;
mod gapless;
mod input;
mod piped;
mod tags;

pub use input::{Handle, Input};
pub use tags::Tags;

use crate::convert::Sound;
use gapless::Trim;
use livetape_audio::{ChannelLayout, FrameCount, SampleFormat};
use std::sync::LazyLock;
use std::time::Duration;
use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_AAC, CODEC_ID_ALAC, CODEC_ID_FLAC, CODEC_ID_MP3, CODEC_ID_OPUS, CODEC_ID_PCM_F32BE, CODEC_ID_PCM_F32LE,
    CODEC_ID_PCM_F64BE, CODEC_ID_PCM_F64LE, CODEC_ID_VORBIS,
};
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::common::Limit;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;

/// Most bytes of one tag, and of one picture, that are read.
const MAX_TAG: usize = 1 << 20;
/// Packets one after another that cannot be decoded, or hold nothing: more is no audio file.
const MAX_EMPTY: u32 = 1_000;
/// Most frames for each byte: the most that any codec can say in a byte of silence, several times over.
const MAX_FRAMES_PER_BYTE: u64 = 16_384;

/// Codecs that are not integers, whatever their bits.
const FLOATS: [AudioCodecId; 4] = [CODEC_ID_PCM_F32LE, CODEC_ID_PCM_F32BE, CODEC_ID_PCM_F64LE, CODEC_ID_PCM_F64BE];

/// Codecs of which the library has only mono and stereo. Of more channels it refuses AAC and Opus, and makes noise of Vorbis: where
/// channels are not coupled, it takes the classes of one channel's last partitions for those of the next one's first.
const STEREO_AT_MOST: [(AudioCodecId, &str); 3] =
    [(CODEC_ID_AAC, "AAC"), (CODEC_ID_OPUS, "Opus"), (CODEC_ID_VORBIS, "Vorbis")];

static CODECS: LazyLock<CodecRegistry> = LazyLock::new(|| {
    let mut codecs = CodecRegistry::new();
    symphonia::default::register_enabled_codecs(&mut codecs);
    codecs.register_audio_decoder::<symphonia_adapter_libopus::OpusDecoder>();
    codecs
});

/// Why something cannot be decoded, or not further.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// No container that is known.
    #[error("it is no audio file, or of a kind that is not known: {0}")]
    Unknown(String),
    /// A container without audio.
    #[error("there is no audio in it")]
    NoAudio,
    /// Audio of a kind that is not known.
    #[error("its audio cannot be decoded: {0}")]
    Codec(String),
    /// It is damaged, or lies.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// It ends before it should.
    #[error("it ends early: the rest is missing")]
    Cut,
    /// Reading failed.
    #[error("it cannot be read: {0}")]
    Read(std::io::Error),
}

impl From<Error> for DecodeError {
    fn from(error: Error) -> Self {
        match error {
            Error::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Self::Cut,
            Error::IoError(error) => Self::Read(error),
            Error::Unsupported(what) => Self::Codec(what.into()),
            error => Self::Damaged(error.to_string()),
        }
    }
}

/// Frames one after another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Block<'a> {
    /// Their shape, which may change from block to block.
    pub sound: Sound,
    /// Interleaved, full scale ±1.0.
    pub samples: &'a [f64],
}

/// Something that is being decoded.
pub struct Decoder {
    format: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track: u32,
    handle: Handle,
    sound: Sound,
    own: SampleFormat,
    tags: Option<Tags>,
    /// What the tags of a FLAC say about loudspeakers.
    mask: Option<u32>,
    trim: Trim,
    samples: Vec<f64>,
    frames: FrameCount,
    /// Packets that could not be decoded.
    damaged: u64,
    /// Of them and of those that held nothing, how many came one after another.
    empty: u32,
    /// Nobody has said where it ends: where the bytes do.
    endless: bool,
    /// It comes from somewhere, and nobody can know its length.
    live: bool,
    ended: bool,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("sound", &self.sound).field("frames", &self.frames).finish_non_exhaustive()
    }
}

impl Decoder {
    /// Reads as far as needed to know what it is. `extension` is a hint from its name, without the dot.
    ///
    /// # Errors
    /// [`DecodeError`] if it is nothing that can be decoded.
    pub fn open(mut input: Input, extension: Option<&str>) -> Result<Self, DecodeError> {
        let (edits, found) = (gapless::edits(&mut input), chunks::look(&mut input));
        let whole = found.long.is_some_and(|long| input.read_as_wav(long));
        if let Some(at) = found.endless {
            input.leave_open(at);
        }
        let live = !symphonia::core::io::MediaSource::is_seekable(&input);
        let handle = input.handle();
        let stream = MediaSourceStream::new(Box::new(input), MediaSourceStreamOptions::default());
        let mut hint = Hint::new();
        if let Some(extension) = extension {
            hint.with_extension(extension);
        }
        let limit = Limit::Maximum(MAX_TAG);
        let limits = MetadataOptions::default().limit_tag_bytes(limit).limit_visual_bytes(limit);
        let mut format = symphonia::default::get_probe()
            .probe(&hint, stream, FormatOptions::default(), limits)
            .map_err(|error| match error {
                Error::Unsupported(what) => DecodeError::Unknown(what.into()),
                error => DecodeError::Unknown(DecodeError::from(error).to_string()),
            })?;
        let tags = tags::all(&mut format.metadata());
        let mut decoder = Self::of_track(format, handle, live)?;
        decoder.trim.container(edits, tags.smpb);
        if let Some(long) = found.long {
            decoder.trim.only(long.frames);
        }
        decoder.mask = tags.mask;
        decoder.tags = Some(if tags.tags.is_empty() { found.tags } else { tags.tags });
        decoder.endless =
            found.endless.is_some() || whole || (live && decoder.format.format_info().short_name == "wave");
        // What the head says may be wrong or missing: what the first frames are, counts.
        decoder.fill()?;
        if decoder.samples.is_empty() { Err(DecodeError::NoAudio) } else { Ok(decoder) }
    }

    fn of_track(format: Box<dyn FormatReader>, handle: Handle, live: bool) -> Result<Self, DecodeError> {
        let track = format.default_track(TrackType::Audio).ok_or(DecodeError::NoAudio)?;
        let params = track.codec_params.as_ref().and_then(|params| params.audio()).ok_or(DecodeError::NoAudio)?;
        let trim = Trim::of(&*format, track, params);
        let (track, own) = (track.id, own_format(params));
        let decoder = make_decoder(params, live)?;
        Ok(Self {
            live,
            decoder,
            format,
            track,
            handle,
            sound: Sound::new(0, 0),
            own,
            tags: None,
            mask: None,
            trim,
            samples: Vec::new(),
            frames: FrameCount::ZERO,
            damaged: 0,
            empty: 0,
            endless: false,
            ended: false,
        })
    }

    fn fill(&mut self) -> Result<(), DecodeError> {
        self.samples.clear();
        while !self.ended && self.samples.is_empty() {
            self.step()?;
        }
        Ok(())
    }

    /// The shape of what comes next.
    pub const fn sound(&self) -> Sound {
        self.sound
    }

    /// The sample format in which nothing of it is lost: `f32` for all that was compressed with loss.
    pub const fn own_format(&self) -> SampleFormat {
        self.own
    }

    /// What its tags say, if that is new since this was last asked.
    pub const fn tags(&mut self) -> Option<Tags> {
        self.tags.take()
    }

    /// How far it has come: decoded frames since the beginning.
    pub const fn frames(&self) -> FrameCount {
        self.frames
    }

    /// How far it has come, in time.
    pub fn position(&self) -> Duration {
        Duration::from_secs_f64(self.frames.get() as f64 / f64::from(self.sound.rate.max(1)))
    }

    /// Packets that could not be decoded, and are missing from what came out.
    pub const fn damaged(&self) -> u64 {
        self.damaged
    }

    /// The next frames; `None` at the end.
    ///
    /// # Errors
    /// [`DecodeError`] when there are no more although there should be; what came before is good.
    #[allow(clippy::should_implement_trait, reason = "a block borrows from the decoder")]
    pub fn next(&mut self) -> Result<Option<Block<'_>>, DecodeError> {
        // The first block was decoded when it was opened.
        if self.frames > FrameCount::ZERO {
            self.fill()?;
        }
        if self.samples.is_empty() {
            return Ok(None);
        }
        let channels = u64::from(self.sound.channels.max(1));
        self.frames = self.frames + FrameCount::new(self.samples.len() as u64 / channels);
        if self.frames.get() > self.handle.length().saturating_add(64).saturating_mul(MAX_FRAMES_PER_BYTE) {
            return Err(DecodeError::Damaged("it goes on for longer than its bytes can say".into()));
        }
        Ok(Some(Block { sound: self.sound, samples: &self.samples }))
    }

    /// One packet.
    fn step(&mut self) -> Result<(), DecodeError> {
        if self.handle.is_stopped() {
            return Err(DecodeError::Read(std::io::Error::other("it was called off")));
        }
        if self.empty > MAX_EMPTY {
            return Err(DecodeError::Damaged(format!("{MAX_EMPTY} packets one after another without audio")));
        }
        match self.format.next_packet() {
            Ok(Some(packet)) if packet.track_id == self.track => self.packet(&packet)?,
            Ok(Some(_)) => self.empty += 1,
            Ok(None) => self.ended = true,
            Err(Error::ResetRequired) => self.restart()?,
            Err(error) => match DecodeError::from(error) {
                DecodeError::Cut if self.endless => self.ended = true,
                error => return Err(error),
            },
        }
        if let Some(found) = tags::newer(&mut self.format.metadata()) {
            self.mask = found.mask.or(self.mask);
            self.tags = Some(found.tags);
        }
        Ok(())
    }

    fn packet(&mut self, packet: &Packet) -> Result<(), DecodeError> {
        self.empty += 1;
        let codec = self.decoder.codec_params().codec;
        let Ok(buffer) = self.decoder.decode(packet) else {
            self.damaged += 1;
            return Ok(());
        };
        let (spec, frames) = (buffer.spec(), buffer.frames());
        // A container may have said something else.
        few_enough(codec, spec.channels().count())?;
        let channels = u16::try_from(spec.channels().count()).unwrap_or(u16::MAX);
        let layout = match (codec, self.format.format_info().short_name) {
            // Of seven and eight, the library takes some for others.
            (CODEC_ID_ALAC, _) if channels <= 6 => positions(spec.channels()),
            (CODEC_ID_ALAC, _) => ChannelLayout::UNKNOWN,
            (_, "wave" | "caf") => self.handle.labelled(),
            // Elsewhere the library does not see the tag.
            (CODEC_ID_FLAC, "flac" | "ogg") => match self.mask {
                Some(mask) => ChannelLayout::of_mask(mask).unwrap_or_default(),
                None => ChannelLayout::usual(channels),
            },
            // What it says of others it makes up.
            _ => ChannelLayout::UNKNOWN,
        };
        // Mono and stereo are that, whoever says so.
        let layout = Some(layout).filter(|layout| channels > 2 && layout.channels() == channels).unwrap_or_default();
        let sound = Sound { rate: spec.rate(), channels, layout };
        buffer.copy_to_vec_interleaved(&mut self.samples);
        let kept = self.trim.keep(packet, frames, sound.rate);
        let bytes = |frame: usize| frame.saturating_mul(usize::from(channels)).min(self.samples.len());
        let (from, to) = (bytes(kept.start), bytes(kept.end));
        self.samples.truncate(to);
        self.samples.drain(..from);
        if !self.samples.is_empty() {
            (self.sound, self.empty) = (sound, 0);
        }
        Ok(())
    }

    /// Another stream follows in the same file, as in recordings of internet radio.
    fn restart(&mut self) -> Result<(), DecodeError> {
        let track = self.format.default_track(TrackType::Audio).ok_or(DecodeError::NoAudio)?;
        let params = track.codec_params.as_ref().and_then(|params| params.audio()).ok_or(DecodeError::NoAudio)?;
        self.trim = Trim::of(&*self.format, track, params);
        (self.track, self.mask) = (track.id, None);
        self.decoder = make_decoder(params, self.live)?;
        self.empty += 1;
        Ok(())
    }
}

/// The loudspeakers of channels that are in the order of WAV.
fn positions(channels: &Channels) -> ChannelLayout {
    let mask = match channels {
        Channels::Positioned(positions) => u32::try_from(positions.bits()).ok(),
        _ => None,
    };
    mask.and_then(|mask| ChannelLayout::of_mask(mask).ok()).unwrap_or_default()
}

/// Whether the library decodes so many channels of a codec right.
fn few_enough(codec: AudioCodecId, channels: usize) -> Result<(), DecodeError> {
    match STEREO_AT_MOST.iter().find(|(limited, _)| *limited == codec && channels > 2) {
        None => Ok(()),
        Some((_, name)) => {
            let why = "only mono and stereo of it are known here: FLAC, ALAC and WAV can have eight";
            Err(DecodeError::Codec(format!("it is {name} with {channels} channels, and {why}")))
        }
    }
}

fn make_decoder(params: &AudioCodecParameters, live: bool) -> Result<Box<dyn AudioDecoder>, DecodeError> {
    few_enough(params.codec, params.channels.as_ref().map_or(0, Channels::count))?;
    let mut params = params.clone();
    if params.codec == CODEC_ID_OPUS {
        // The adapter would take off what the head says from the first packet alone, however short that is: see `gapless`.
        params.extra_data = None;
    }
    // The head of an MP3 file that somebody streams says how long that file is: more files may follow it.
    let options = AudioDecoderOptions::default().gapless(!(live && params.codec == CODEC_ID_MP3));
    let made = CODECS.make_audio_decoder(&params, &options);
    made.map_err(|error| DecodeError::Codec(error.to_string()))
}

fn own_format(params: &AudioCodecParameters) -> SampleFormat {
    use symphonia::core::audio::sample::SampleFormat as Sample;
    if FLOATS.contains(&params.codec) {
        return SampleFormat::F32;
    }
    // In an MP4, only ALAC's own head knows: the sixth byte.
    let alac = params.extra_data.as_ref().filter(|_| params.codec == CODEC_ID_ALAC).and_then(|head| head.get(5));
    match (params.sample_format, params.bits_per_sample.or(alac.map(|&bits| bits.into()))) {
        (Some(Sample::F32 | Sample::F64), _) | (None, None) => SampleFormat::F32,
        (_, Some(..=16)) | (Some(Sample::U8 | Sample::S8 | Sample::U16 | Sample::S16), _) => SampleFormat::S16,
        (_, Some(..=24)) | (Some(Sample::U24 | Sample::S24), _) => SampleFormat::S24,
        _ => SampleFormat::S32,
    }
}
