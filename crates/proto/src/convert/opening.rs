//! What a source says when it opens a stream.

use crate::{InvalidMessage, v1};
use livetape_audio::{Instance, RecordingId, SourceName, Spec, StreamName, Title};

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
    /// What kind of thing is heard; empty where nobody said.
    pub genre: Title,
    /// Nothing follows but what is not acknowledged yet, and the end.
    pub ending: bool,
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
            genre: open.genre.parse()?,
            ending: open.ending,
        })
    }
}

pub(super) fn instance(bytes: &[u8]) -> Result<Instance, InvalidMessage> {
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
            genre: opening.genre.into(),
            ending: opening.ending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::{ChannelLayout, SampleFormat};

    fn opening() -> Opening {
        Opening {
            stream: "studio-a".parse().unwrap(),
            source: "test".parse().unwrap(),
            instance: Instance([3; 16]),
            spec: Spec::new(SampleFormat::S24, 96_000, 6).unwrap().for_speakers(ChannelLayout::usual(6)).unwrap(),
            resume: Some(RecordingId::new(1_763_649_000_000, &[1; 10])),
            title: "Studio A".parse().unwrap(),
            genre: "Jazz".parse().unwrap(),
            ending: true,
        }
    }

    #[test]
    fn there_and_back() {
        assert_eq!(Opening::try_from(v1::Open::from(opening())), Ok(opening()));
    }

    #[test]
    fn hostile_openings_are_named() {
        type Break = fn(&mut v1::Open);
        let cases: [(Break, &str); 11] = [
            (|o| o.stream = "../etc".into(), "stream name"),
            (|o| o.stream = "a".repeat(10_000), "stream name"),
            (|o| o.source = "x\0".into(), "source"),
            (|o| o.genre = "g".repeat(257), "title"),
            (|o| o.instance = vec![1], "instance"),
            (|o| o.spec = None, "spec is missing"),
            (|o| o.spec = Some(v1::Spec { format: 1, rate: 1, channels: 1, channel_mask: 0 }), "rate"),
            (
                |o| o.spec = Some(v1::Spec { format: 99, rate: 48_000, channels: 1, channel_mask: 0 }),
                "spec.format \"99\" is not known",
            ),
            (|o| o.spec.as_mut().unwrap().channel_mask = 0x1F, "FL+FR+FC+LFE+BL is of 5 channels, and there are 6"),
            (|o| o.spec.as_mut().unwrap().channel_mask = 1 << 31, "0x80000000"),
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
