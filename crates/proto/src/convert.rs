//! Wire types to audio types and back. Every refusal names the field.

mod opening;
mod tail;
mod timeline;

pub use opening::Opening;

use crate::v1;
use livetape_audio::{ChannelLayout, GapReason, NameError, RecordingMode, SampleFormat, SealReason, Spec, SpecError};

/// Why a message can never be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMessage {
    /// A name or text breaks its rules.
    #[error(transparent)]
    Name(#[from] NameError),
    /// An impossible spec.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A field that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// An instance has another length.
    #[error("instance has {0} bytes: draw 16 random ones when the source begins to capture")]
    Instance(usize),
    /// Something that a later version says.
    #[error("{what} {value:?} is not known to this version")]
    Unknown {
        /// The field.
        what: &'static str,
        /// The beginning of its value.
        value: String,
    },
}

impl InvalidMessage {
    /// The field of the message.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Name(NameError::Stream(_) | NameError::Extension(_) | NameError::Pattern(_)) => "stream",
            Self::Name(NameError::Recording(_)) => "resume_recording_id",
            Self::Name(NameError::Text { what, .. }) | Self::Unknown { what, .. } => what,
            Self::Spec(SpecError::Rate(_)) => "spec.rate",
            Self::Spec(SpecError::Channels(_)) => "spec.channels",
            Self::Spec(SpecError::Format(_)) => "spec.format",
            Self::Spec(SpecError::Layout(_) | SpecError::Speakers { .. }) => "spec.channel_mask",
            Self::Missing(field) => field,
            Self::Instance(_) => "instance",
        }
    }
}

impl TryFrom<v1::Spec> for Spec {
    type Error = InvalidMessage;
    fn try_from(spec: v1::Spec) -> Result<Self, InvalidMessage> {
        let unknown = |_| InvalidMessage::Unknown { what: "spec.format", value: spec.format.to_string() };
        let format = match v1::SampleFormat::try_from(spec.format).map_err(unknown)? {
            v1::SampleFormat::Unspecified => return Err(InvalidMessage::Missing("spec.format")),
            v1::SampleFormat::S16 => SampleFormat::S16,
            v1::SampleFormat::S24 => SampleFormat::S24,
            v1::SampleFormat::S32 => SampleFormat::S32,
            v1::SampleFormat::F32 => SampleFormat::F32,
        };
        let layout = ChannelLayout::of_mask(spec.channel_mask).map_err(SpecError::from)?;
        Ok(Self::new(format, spec.rate, spec.channels)?.for_speakers(layout)?)
    }
}

impl From<Spec> for v1::Spec {
    fn from(spec: Spec) -> Self {
        let format = match spec.format() {
            SampleFormat::S16 => v1::SampleFormat::S16,
            SampleFormat::S24 => v1::SampleFormat::S24,
            SampleFormat::S32 => v1::SampleFormat::S32,
            SampleFormat::F32 => v1::SampleFormat::F32,
        };
        let (channels, channel_mask) = (u32::from(spec.channels()), spec.layout().mask());
        Self { format: format.into(), rate: spec.rate(), channels, channel_mask }
    }
}

impl From<v1::GapReason> for GapReason {
    fn from(reason: v1::GapReason) -> Self {
        match reason {
            v1::GapReason::Unspecified => Self::Other,
            v1::GapReason::SourceRestarted => Self::SourceRestarted,
            v1::GapReason::Xrun => Self::Xrun,
            v1::GapReason::Overflow => Self::Overflow,
            v1::GapReason::DeviceAway => Self::DeviceAway,
            v1::GapReason::DeviceChanged => Self::DeviceChanged,
            v1::GapReason::Suspended => Self::Suspended,
        }
    }
}

impl From<GapReason> for v1::GapReason {
    fn from(reason: GapReason) -> Self {
        match reason {
            GapReason::Other => Self::Unspecified,
            GapReason::SourceRestarted => Self::SourceRestarted,
            GapReason::Xrun => Self::Xrun,
            GapReason::Overflow => Self::Overflow,
            GapReason::DeviceAway => Self::DeviceAway,
            GapReason::DeviceChanged => Self::DeviceChanged,
            GapReason::Suspended => Self::Suspended,
        }
    }
}

impl From<v1::SealReason> for SealReason {
    /// A reason of a later version counts as the plainest one: that it has ended is all that matters then.
    fn from(reason: v1::SealReason) -> Self {
        match reason {
            v1::SealReason::Unspecified | v1::SealReason::SourceEnded => Self::SourceEnded,
            v1::SealReason::SourceLost => Self::SourceLost,
            v1::SealReason::Rolled => Self::Rolled,
            v1::SealReason::SizeLimit => Self::SizeLimit,
            v1::SealReason::SpecChanged => Self::SpecChanged,
            v1::SealReason::Operator => Self::Operator,
        }
    }
}

impl From<SealReason> for v1::SealReason {
    fn from(reason: SealReason) -> Self {
        match reason {
            SealReason::SourceEnded => Self::SourceEnded,
            SealReason::SourceLost => Self::SourceLost,
            SealReason::Rolled => Self::Rolled,
            SealReason::SizeLimit => Self::SizeLimit,
            SealReason::SpecChanged => Self::SpecChanged,
            SealReason::Operator => Self::Operator,
        }
    }
}

impl From<v1::RecordingMode> for RecordingMode {
    fn from(mode: v1::RecordingMode) -> Self {
        match mode {
            v1::RecordingMode::Unspecified | v1::RecordingMode::Always => Self::Always,
            v1::RecordingMode::OnDemand => Self::OnDemand,
        }
    }
}

impl From<RecordingMode> for v1::RecordingMode {
    fn from(mode: RecordingMode) -> Self {
        match mode {
            RecordingMode::Always => Self::Always,
            RecordingMode::OnDemand => Self::OnDemand,
        }
    }
}
