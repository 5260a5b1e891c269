//! What the tags of a file say about what is heard.

use symphonia::core::meta::{Metadata, MetadataRevision, RawValue, StandardTag};

/// Most characters of a tag.
const MAX_CHARS: usize = 256;

/// Who plays what. Empty where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    /// Name of the piece.
    pub title: String,
    /// Who plays it.
    pub artist: String,
}

impl Tags {
    /// Whether they say nothing.
    pub const fn is_empty(&self) -> bool {
        self.title.is_empty() && self.artist.is_empty()
    }

    /// `Artist - Title`, or what there is of it. At most 256 characters, none of them control characters.
    pub fn line(&self) -> String {
        let both = !self.title.is_empty() && !self.artist.is_empty();
        let line = format!("{}{}{}", self.artist, if both { " - " } else { "" }, self.title);
        line.chars().take(MAX_CHARS).collect()
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) tags: Tags,
    /// iTunes' way to say what the encoder has added: kept as text.
    pub(super) smpb: Option<String>,
    /// FLAC's way to say that its channels are for other loudspeakers than usual, or for none (RFC 9639, section 8.6.2).
    pub(super) mask: Option<u32>,
}

/// All that is there: a file may have tags of several kinds.
pub(super) fn all(metadata: &mut Metadata<'_>) -> Found {
    let mut found = Found::default();
    while let Some(revision) = metadata.pop() {
        found.take(&revision);
    }
    if let Some(revision) = metadata.current() {
        found.take(revision);
    }
    found
}

/// What has come since, the newest first: a picture may have come behind what counts.
pub(super) fn newer(metadata: &mut Metadata<'_>) -> Option<Found> {
    if metadata.is_latest() {
        return None;
    }
    // It was looked at already.
    metadata.pop();
    let mut found = Found::default();
    let before: Vec<_> = std::iter::from_fn(|| metadata.pop()).collect();
    found.take(metadata.current()?);
    before.iter().rev().for_each(|revision| found.take(revision));
    Some(found)
}

impl Found {
    fn take(&mut self, revision: &MetadataRevision) {
        let tracks = revision.per_track.iter().flat_map(|track| &track.metadata.tags);
        for tag in revision.media.tags.iter().chain(tracks) {
            match &tag.std {
                Some(StandardTag::TrackTitle(text)) => keep(&mut self.tags.title, text),
                Some(StandardTag::Artist(text)) => keep(&mut self.tags.artist, text),
                _ => {}
            }
            let RawValue::String(text) = &tag.raw.value else { continue };
            if tag.raw.key.ends_with("iTunSMPB") {
                self.smpb = Some(text.to_string());
            }
            if self.mask.is_none() && tag.raw.key.eq_ignore_ascii_case("WAVEFORMATEXTENSIBLE_CHANNEL_MASK") {
                // Something that is no mask says all the same that it is not as usual.
                let hex = text.trim().to_ascii_lowercase();
                self.mask = hex.strip_prefix("0x").and_then(|hex| u32::from_str_radix(hex, 16).ok()).or(Some(0));
            }
        }
    }
}

/// The first that says something counts: a file may have tags of several kinds.
pub(super) fn keep(kept: &mut String, text: &str) {
    if kept.is_empty() {
        let spaced = text.chars().take(4 * MAX_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
        *kept = spaced.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MAX_CHARS).collect();
    }
}
