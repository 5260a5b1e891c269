//! Wire types to audio types and back. Every refusal names the field.

use crate::v1;
use livetape_audio::{
    GapReason, Instance, NameError, RecordingId, SampleFormat, SourceName, Spec, SpecError, StreamName, Title,
};

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
    /// `Open.instance` has another length.
    #[error("instance has {0} bytes: draw 16 random ones when the source begins to capture")]
    Instance(usize),
}

/// A checked [`v1::Open`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Where the audio goes.
    pub stream: StreamName,
    /// Who pushes.
    pub source: SourceName,
    /// Tells a source that comes back from one that was restarted.
    pub instance: Instance,
    /// Shape of the audio.
    pub spec: Spec,
    /// In whose numbers the source counts.
    pub resume: Option<RecordingId>,
    /// What people see.
    pub title: Title,
}

impl TryFrom<v1::Open> for Opening {
    type Error = InvalidMessage;
    fn try_from(open: v1::Open) -> Result<Self, InvalidMessage> {
        Ok(Self {
            stream: open.stream.parse()?,
            source: open.source.parse()?,
            instance: instance(&open.instance)?,
            spec: open.spec.ok_or(InvalidMessage::Missing("spec"))?.try_into()?,
            resume: open.resume_recording_id.map(|id| id.parse()).transpose()?,
            title: open.title.parse()?,
        })
    }
}

fn instance(bytes: &[u8]) -> Result<Instance, InvalidMessage> {
    bytes.try_into().map(Instance).map_err(|_| InvalidMessage::Instance(bytes.len()))
}

impl From<Opening> for v1::Open {
    fn from(opening: Opening) -> Self {
        Self {
            stream: opening.stream.into(),
            source: opening.source.into(),
            instance: opening.instance.0.to_vec(),
            spec: Some(opening.spec.into()),
            resume_recording_id: opening.resume.map(Into::into),
            title: opening.title.into(),
        }
    }
}

impl TryFrom<v1::Spec> for Spec {
    type Error = InvalidMessage;
    fn try_from(spec: v1::Spec) -> Result<Self, InvalidMessage> {
        let format = match spec.format() {
            v1::SampleFormat::Unspecified => return Err(InvalidMessage::Missing("spec.format")),
            v1::SampleFormat::S16 => SampleFormat::S16,
            v1::SampleFormat::S24 => SampleFormat::S24,
            v1::SampleFormat::S32 => SampleFormat::S32,
            v1::SampleFormat::F32 => SampleFormat::F32,
        };
        Ok(Self::new(format, spec.rate, spec.channels)?)
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
        Self { format: format.into(), rate: spec.rate(), channels: u32::from(spec.channels()) }
    }
}

impl From<v1::GapReason> for GapReason {
    fn from(reason: v1::GapReason) -> Self {
        match reason {
            v1::GapReason::Unspecified => Self::Other,
            v1::GapReason::SourceRestarted => Self::SourceRestarted,
            v1::GapReason::Xrun => Self::Xrun,
            v1::GapReason::Overflow => Self::Overflow,
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opening() -> Opening {
        Opening {
            stream: "studio-a".parse().unwrap(),
            source: "test".parse().unwrap(),
            instance: Instance([3; 16]),
            spec: Spec::new(SampleFormat::S24, 96_000, 6).unwrap(),
            resume: Some(RecordingId::new(1_763_649_000_000, &[1; 10])),
            title: "Studio A".parse().unwrap(),
        }
    }

    #[test]
    fn there_and_back() {
        assert_eq!(Opening::try_from(v1::Open::from(opening())), Ok(opening()));
    }

    #[test]
    fn hostile_openings_are_named() {
        type Break = fn(&mut v1::Open);
        let cases: [(Break, &str); 8] = [
            (|o| o.stream = "../etc".into(), "stream name"),
            (|o| o.stream = "a".repeat(10_000), "stream name"),
            (|o| o.source = "x\0".into(), "source"),
            (|o| o.instance = vec![1], "instance"),
            (|o| o.spec = None, "spec is missing"),
            (|o| o.spec = Some(v1::Spec { format: 1, rate: 1, channels: 1 }), "rate"),
            (|o| o.spec = Some(v1::Spec { format: 99, rate: 48_000, channels: 1 }), "spec.format"),
            (|o| o.resume_recording_id = Some("x".into()), "recording id"),
        ];
        for (break_it, word) in cases {
            let mut open = v1::Open::from(opening());
            break_it(&mut open);
            let message = Opening::try_from(open).unwrap_err().to_string();
            assert!(message.contains(word) && message.len() < 500, "{message}");
        }
    }
}
