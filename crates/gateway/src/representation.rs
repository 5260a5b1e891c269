//! The virtual file behind a URL: a header that is made when it is read, then recorded frames, as they are or compressed, then
//! at most one byte of padding. Here are its length so far, its entity tag, and which slices any range of its bytes consists of.
//!
//! Pure. Audio never moves in it: the header's length depends on the spec alone.

use crate::encoded::track_of;
use crate::rendition::Rendition;
use bytes::Bytes;
use livetape_audio::container::broadcast_header;
use livetape_audio::{Container, DataSize, End, Frame, FrameCount, RecordingId, Spec, View};
use livetape_codec::encode::{Encoding, Joined, Pick, Track, cpu_class};
use std::ops::Range;

/// Raised whenever the bytes of an existing representation change, so that changed bytes never share a tag.
const FORMAT_VERSION: u32 = 2;

/// One virtual file.
#[derive(Clone, Debug)]
pub(crate) struct Representation {
    recording: RecordingId,
    spec: Spec,
    rendition: Rendition,
    /// Where its bytes are, if they are packets of one length.
    track: Option<Track>,
    /// Its name in the entity tag.
    kind: &'static str,
    view: View,
    end: Option<Frame>,
    snapshot: bool,
    header: Bytes,
}

/// A piece of a representation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Slice {
    /// These bytes.
    Bytes(Bytes),
    /// `len` bytes of recorded audio, from byte `skip` of frame `first` on.
    Frames {
        /// The frame.
        first: Frame,
        /// Bytes of it that come before the piece; less than a frame.
        skip: usize,
        /// Length in bytes, at least 1.
        len: u64,
    },
    /// `len` bytes of compressed audio, from byte `at` after the header on.
    Encoded {
        /// The byte.
        at: u64,
        /// Length in bytes, at least 1.
        len: u64,
    },
}

/// A place in the audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Of what was recorded: so many bytes behind the beginning of a frame, less than it has.
    Recorded(Frame, usize),
    /// Of what is compressed: so many bytes behind the header; for FLAC, so many blocks.
    Encoded(u64),
}

/// The rest of a growing representation: header bytes, then audio for as long as it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rest {
    /// What is left of the header.
    pub header: Bytes,
    /// Where the audio goes on.
    pub place: Place,
}

impl Representation {
    /// A view of a recording in a container. `end` is the exclusive last frame if it is final.
    pub(crate) fn new(
        recording: RecordingId,
        spec: Spec,
        rendition: Rendition,
        view: View,
        end: Option<Frame>,
    ) -> Self {
        let frames = end.map(|end| end.since(view.first));
        let track = match rendition {
            Rendition::Packets(encoding) => Some(track_of(recording, encoding, Joined::Beginning)),
            _ => None,
        };
        let header = match (rendition, &track) {
            (Rendition::Pcm(container), _) => container.header(spec, frames.map_or(DataSize::Growing, DataSize::Known)),
            (Rendition::Flac(flac), _) => flac.header(frames.map(FrameCount::get)),
            (Rendition::Packets(_), track) => track.as_ref().map(Track::header).unwrap_or_default(),
        };
        let kind = rendition.kind().extension();
        Self { recording, spec, rendition, track, kind, view, end, snapshot: false, header: header.into() }
    }

    /// Some frames that are there as a broadcast WAV, a file of its own. `bext` never changes for them.
    pub(crate) fn clip(recording: RecordingId, spec: Spec, frames: Range<Frame>, bext: &[u8]) -> Self {
        let view = View { first: frames.start, end: End::At(frames.end) };
        let header = broadcast_header(spec, frames.end.since(frames.start), bext).into();
        let plain = Self::new(recording, spec, Rendition::Pcm(Container::Wav), view, Some(frames.end));
        Self { header, kind: "clip", ..plain }
    }

    /// The same as an MP3 that says where it begins and ends, to the sample.
    pub(crate) fn mp3_clip(recording: RecordingId, spec: Spec, frames: Range<Frame>, encoding: Encoding) -> Self {
        let view = View { first: frames.start, end: End::At(frames.end) };
        let plain = Self::new(recording, spec, Rendition::Packets(encoding.clip()), view, Some(frames.end));
        let length = frames.end.since(frames.start).get();
        let header = plain.track.as_ref().map(|track| track.info(length)).unwrap_or_default();
        Self { header: header.into(), kind: "clip", ..plain }
    }

    /// What exists of a view now, as a file of its own.
    pub(crate) fn snapshot(recording: RecordingId, spec: Spec, rendition: Rendition, view: View, edge: Frame) -> Self {
        let end = Some(edge.max(view.first));
        Self { snapshot: true, ..Self::new(recording, spec, rendition, view, end) }
    }

    /// The part of the recording that it is.
    pub(crate) const fn view(&self) -> View {
        self.view
    }

    /// Where it ends, if that is settled.
    pub(crate) const fn end(&self) -> Option<Frame> {
        self.end
    }

    /// Whether its length is final.
    pub(crate) const fn is_finished(&self) -> bool {
        self.end.is_some()
    }

    /// Length in bytes: the final one, or what exists while the recording goes to `edge`.
    pub(crate) fn bytes(&self, edge: Frame) -> u64 {
        if self.rendition.kind().is_compressed() {
            return self.audio_at() + self.encoded_bytes(edge);
        }
        let audio = self.spec.bytes(self.end.unwrap_or(edge).since(self.view.first));
        self.audio_at() + audio + self.padding(audio)
    }

    /// Bytes of compressed audio, as far as that can be said before it is made.
    fn encoded_bytes(&self, edge: Frame) -> u64 {
        let frames = self.end.unwrap_or(edge).since(self.view.first);
        self.track.as_ref().map_or(0, |track| track.len(frames.get(), self.end.is_some()))
    }

    /// Bytes of a second.
    pub(crate) fn byte_rate(&self) -> u64 {
        self.track.as_ref().map_or(self.spec.byte_rate(), Track::byte_rate)
    }

    /// The entity tag, strong and quoted. PCM has no header that could change when its recording ends, so then
    /// its tag does not change either.
    pub(crate) fn etag(&self) -> String {
        let grows_on = match self.rendition {
            Rendition::Pcm(container) => container == Container::Pcm,
            Rendition::Packets(_) => true,
            Rendition::Flac(_) => false,
        };
        let open = self.end.is_none() || (grows_on && self.view.end == End::Open && !self.snapshot);
        let last = match self.end {
            Some(end) if !open => end.to_string(),
            _ => "open".to_owned(),
        };
        let sizes = if open { "growing" } else { "known" };
        let (id, first, kind) = (self.recording, self.view.first, self.kind);
        let how = match self.rendition {
            Rendition::Pcm(_) => String::new(),
            Rendition::Packets(encoding) => {
                let (channels, made_by) = (channels(encoding.pick()), encoding.codec().made_by());
                format!("-{}-{channels}-{made_by}-{}", encoding.kbps(), cpu_class())
            }
            Rendition::Flac(flac) => format!("-{}", channels(flac.pick())),
        };
        format!("\"{id}-{first}-{last}-{kind}{how}-{sizes}-{FORMAT_VERSION}\"")
    }

    /// The slices that make up `range`, which lies within [`Representation::bytes`].
    pub(crate) fn slices(&self, range: Range<u64>, edge: Frame) -> Vec<Slice> {
        let audio_at = self.audio_at();
        let audio = self.spec.bytes(self.end.unwrap_or(edge).since(self.view.first));
        let mut slices = Vec::with_capacity(2);
        if range.start < audio_at {
            slices.push(Slice::Bytes(self.header_part(range.start, range.end)));
        }
        if self.track.is_some() {
            let (from, to) = (range.start.max(audio_at) - audio_at, range.end.saturating_sub(audio_at));
            if from < to {
                slices.push(Slice::Encoded { at: from, len: to - from });
            }
            return slices;
        }
        let (from, to) = (range.start.max(audio_at), range.end.min(audio_at + audio));
        if from < to {
            let (first, skip) = self.locate(from);
            slices.push(Slice::Frames { first, skip, len: to - from });
        }
        if range.end > audio_at + audio && range.start <= audio_at + audio {
            slices.push(Slice::Bytes(Bytes::from_static(&[0])));
        }
        slices
    }

    /// Everything from byte `first` on.
    pub(crate) fn rest(&self, first: u64) -> Rest {
        let header = self.header_part(first, self.audio_at());
        let place = match self.rendition {
            Rendition::Pcm(_) => {
                let (first, skip) = self.locate(first.max(self.audio_at()));
                Place::Recorded(first, skip)
            }
            _ => Place::Encoded(first.saturating_sub(self.audio_at())),
        };
        Rest { header, place }
    }

    const fn audio_at(&self) -> u64 {
        self.header.len() as u64
    }

    /// RIFF pads a chunk of odd length; only a size that is known can be odd.
    fn padding(&self, audio: u64) -> u64 {
        if self.end.is_some() && self.rendition != Rendition::Pcm(Container::Pcm) { audio % 2 } else { 0 }
    }

    fn header_part(&self, from: u64, to: u64) -> Bytes {
        // Both are at most the header's length, which is small.
        let (from, to) = (from.min(self.audio_at()) as usize, to.min(self.audio_at()) as usize);
        self.header.slice(from..to.max(from))
    }

    fn locate(&self, byte: u64) -> (Frame, usize) {
        let (frames, skip): (FrameCount, u64) = self.spec.frames_in(byte.saturating_sub(self.audio_at()));
        // Less than a frame, which has at most 32 bytes.
        (self.view.first + frames, skip as usize)
    }
}

/// Channels as they stand in a tag, which may have no comma.
fn channels(pick: Pick) -> String {
    pick.to_string().replace(',', ".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::SampleFormat;
    use proptest::prelude::*;

    const EDGE: Frame = Frame::new(10_000);

    fn id() -> RecordingId {
        RecordingId::new(1_763_649_000_000, &[7; 10])
    }

    fn spec(format: SampleFormat, channels: u32) -> Spec {
        Spec::new(format, 48_000, channels).unwrap()
    }

    fn stereo() -> Spec {
        spec(SampleFormat::S16, 2)
    }

    fn from(first: u64) -> View {
        View { first: Frame::new(first), end: End::Open }
    }

    #[test]
    fn a_growing_wav() {
        let wav = Representation::new(id(), stereo(), Rendition::Pcm(Container::Wav), View::WHOLE, None);
        assert!(!wav.is_finished());
        assert_eq!(wav.bytes(EDGE), 44 + 40_000);
        assert_eq!(wav.bytes(Frame::ZERO), 44);
        let slices = wav.slices(40..50, EDGE);
        let sizes_unknown = Bytes::from_static(&[0xFF; 4]);
        assert_eq!(slices, [Slice::Bytes(sizes_unknown), Slice::Frames { first: Frame::ZERO, skip: 0, len: 6 }]);
    }

    #[test]
    fn a_range_may_start_inside_a_frame() {
        let pcm = Representation::new(id(), stereo(), Rendition::Pcm(Container::Pcm), from(100), None);
        let middle = Slice::Frames { first: Frame::new(102), skip: 3, len: 10 };
        assert_eq!(pcm.slices(11..21, EDGE), [middle]);
        assert_eq!(pcm.rest(11), Rest { header: Bytes::new(), place: Place::Recorded(Frame::new(102), 3) });
        let wav = Representation::new(id(), stereo(), Rendition::Pcm(Container::Wav), from(100), None);
        assert_eq!(wav.rest(46), Rest { header: Bytes::new(), place: Place::Recorded(Frame::new(100), 2) });
        assert_eq!(wav.rest(0).header.len(), 44);
    }

    #[test]
    fn the_tag_covers_whatever_changes_bytes() {
        let wav = |view, end| Representation::new(id(), stereo(), Rendition::Pcm(Container::Wav), view, end).etag();
        let growing = wav(View::WHOLE, None);
        assert_eq!(growing, wav(View::WHOLE, None));
        let tags = [
            growing,
            wav(View::WHOLE, Some(EDGE)),
            wav(from(1), None),
            wav(View::WHOLE, Some(Frame::new(9_999))),
            Representation::new(id(), stereo(), Rendition::Pcm(Container::Pcm), View::WHOLE, None).etag(),
            Representation::new(id(), stereo(), Rendition::Pcm(Container::Rf64), View::WHOLE, None).etag(),
            Representation::snapshot(id(), stereo(), Rendition::Pcm(Container::Pcm), View::WHOLE, EDGE).etag(),
            Representation::new(
                RecordingId::new(1, &[1; 10]),
                stereo(),
                Rendition::Pcm(Container::Wav),
                View::WHOLE,
                None,
            )
            .etag(),
        ];
        for (n, tag) in tags.iter().enumerate() {
            assert!(tag.starts_with('"') && tag.ends_with('"') && tag.is_ascii());
            assert!(!tags.iter().skip(n + 1).any(|other| other == tag), "{tag}");
        }
    }

    #[test]
    fn pcm_keeps_its_tag_when_its_recording_ends() {
        let pcm = |view, end| Representation::new(id(), stereo(), Rendition::Pcm(Container::Pcm), view, end).etag();
        assert_eq!(pcm(View::WHOLE, None), pcm(View::WHOLE, Some(EDGE)));
        let clip = View { first: Frame::ZERO, end: End::At(EDGE) };
        assert_ne!(pcm(clip, None), pcm(clip, Some(EDGE)));
    }

    #[test]
    fn odd_audio_is_padded_when_its_size_is_known() {
        let mono24 = spec(SampleFormat::S24, 1);
        let odd = Frame::new(3);
        let wav = Representation::new(id(), mono24, Rendition::Pcm(Container::Wav), View::WHOLE, Some(odd));
        assert_eq!(wav.bytes(odd), 68 + 9 + 1);
        let pad = Slice::Bytes(Bytes::from_static(&[0]));
        assert_eq!(wav.slices(68..78, odd), [Slice::Frames { first: Frame::ZERO, skip: 0, len: 9 }, pad.clone()]);
        assert_eq!(wav.slices(77..78, odd), [pad]);
        assert_eq!(wav.slices(76..77, odd), [Slice::Frames { first: Frame::new(2), skip: 2, len: 1 }]);
        assert_eq!(
            Representation::new(id(), mono24, Rendition::Pcm(Container::Wav), View::WHOLE, None).bytes(odd),
            68 + 9
        );
        assert_eq!(
            Representation::new(id(), mono24, Rendition::Pcm(Container::Pcm), View::WHOLE, Some(odd)).bytes(odd),
            9
        );
    }

    proptest! {
        /// The slices of any range have its length, lie in order, and one frame follows the other.
        #[test]
        fn slices_fill_the_range(
            format in prop::sample::select(SampleFormat::ALL.to_vec()),
            channels in 1_u32..=8,
            container in prop::sample::select(Container::ALL.to_vec()),
            first in 0_u64..500,
            frames in 0_u64..500,
            finished in any::<bool>(),
            (a, b) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        ) {
            let edge = Frame::new(first + frames);
            let r = Representation::new(id(), spec(format, channels), Rendition::Pcm(container), from(first), finished.then_some(edge));
            let total = r.bytes(edge);
            prop_assume!(total > 0);
            let (a, b) = (a.index(total as usize) as u64, b.index(total as usize) as u64);
            let range = a.min(b)..a.max(b) + 1;
            let mut whole = flat(&r, 0..total, edge);
            let part = flat(&r, range.clone(), edge);
            prop_assert_eq!(part.len() as u64, range.end - range.start);
            whole.drain(..range.start as usize);
            whole.truncate(part.len());
            prop_assert_eq!(whole, part);
        }
    }

    /// Every byte of the slices, audio as its frame and the byte in it.
    fn flat(r: &Representation, range: Range<u64>, edge: Frame) -> Vec<(u64, u64)> {
        let size = u64::from(r.spec.frame_bytes());
        let mut out = Vec::new();
        for slice in r.slices(range, edge) {
            match slice {
                Slice::Bytes(bytes) => out.extend(bytes.iter().map(|&b| (u64::MAX, u64::from(b)))),
                Slice::Encoded { .. } => panic!("nothing is compressed here"),
                Slice::Frames { first, skip, len } => {
                    assert!(skip < size as usize && len > 0);
                    let at = first.get() * size + skip as u64;
                    out.extend((at..at + len).map(|n| (n / size, n % size)));
                }
            }
        }
        assert!(out.iter().all(|&(frame, _)| frame == u64::MAX || frame < edge.get()));
        out
    }
}
