//! How a view is wrapped for delivery. Headers are made when a view is read and never stored, so no size in
//! them can be left wrong or overflow. A header's length depends on the spec alone, so audio never moves.

use crate::position::FrameCount;
use crate::spec::Spec;
use crate::wav;

/// Container of a PCM rendition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Container {
    /// RIFF WAVE: 44 bytes of header, or 68 (`WAVE_FORMAT_EXTENSIBLE`) above 2 channels or 16 bits.
    Wav,
    /// RF64 (EBU Tech 3306): a WAV with 64-bit sizes, for files past 4 GiB.
    Rf64,
    /// The frames and nothing else.
    Pcm,
}

/// What the header says about the length of the audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataSize {
    /// Not known yet: the sizes are 0xFFFFFFFF, the one value that every player takes as "until it ends".
    Growing,
    /// Final. Sizes that do not fit are written as 0xFFFFFFFF too.
    Known(FrameCount),
}

/// Header of a broadcast WAV of so many frames, with this `bext` chunk ([`crate::bext`]); RF64 if it is longer than 4 GiB.
pub fn broadcast_header(spec: Spec, frames: FrameCount, bext: &[u8]) -> Vec<u8> {
    wav::with_chunk(spec, frames, b"bext", bext)
}

impl Container {
    /// Every container.
    pub const ALL: [Self; 3] = [Self::Wav, Self::Rf64, Self::Pcm];

    /// Extension in URLs and file names.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Rf64 => "rf64",
            Self::Pcm => "pcm",
        }
    }

    /// The container with this extension.
    pub fn from_extension(ext: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.extension() == ext)
    }

    /// The bytes before the audio.
    pub fn header(self, spec: Spec, size: DataSize) -> Vec<u8> {
        match self {
            Self::Wav => wav::riff_header(spec, size),
            Self::Rf64 => wav::rf64_header(spec, size),
            Self::Pcm => Vec::new(),
        }
    }

    /// Length of [`Container::header`], whatever the size.
    pub const fn header_len(self, spec: Spec) -> u64 {
        match self {
            Self::Wav => wav::riff_header_len(spec),
            Self::Rf64 => wav::rf64_header_len(spec),
            Self::Pcm => 0,
        }
    }
}
