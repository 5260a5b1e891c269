//! The virtual file behind a URL: a header that is made when it is read, then recorded frames, then at most one byte
//! of padding. Here are its length so far, its entity tag, and which slices any range of its bytes consists of.
//!
//! Pure. Audio never moves in it: the header's length depends on the spec alone.

use bytes::Bytes;
use livetape_audio::container::broadcast_header;
use livetape_audio::{Container, DataSize, End, Frame, FrameCount, RecordingId, Spec, View};
use std::ops::Range;

/// Raised whenever the bytes of an existing representation change, so that changed bytes never share a tag.
const FORMAT_VERSION: u32 = 1;

/// One virtual file.
#[derive(Clone, Debug)]
pub(crate) struct Representation {
    recording: RecordingId,
    spec: Spec,
    container: Container,
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
}

/// The rest of a growing representation: header bytes, then audio for as long as it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rest {
    /// What is left of the header.
    pub header: Bytes,
    /// First frame.
    pub first: Frame,
    /// Bytes of it that come before the start; less than a frame.
    pub skip: usize,
}

impl Representation {
    /// A view of a recording in a container. `end` is the exclusive last frame if it is final.
    pub(crate) fn new(
        recording: RecordingId,
        spec: Spec,
        container: Container,
        view: View,
        end: Option<Frame>,
    ) -> Self {
        let size = end.map_or(DataSize::Growing, |end| DataSize::Known(end.since(view.first)));
        let header = container.header(spec, size).into();
        let kind = container.extension();
        Self { recording, spec, container, kind, view, end, snapshot: false, header }
    }

    /// Some frames that are there as a broadcast WAV, a file of its own. `bext` never changes for them.
    pub(crate) fn clip(recording: RecordingId, spec: Spec, frames: Range<Frame>, bext: &[u8]) -> Self {
        let view = View { first: frames.start, end: End::At(frames.end) };
        let header = broadcast_header(spec, frames.end.since(frames.start), bext).into();
        let plain = Self::new(recording, spec, Container::Wav, view, Some(frames.end));
        Self { header, kind: "clip", ..plain }
    }

    /// What exists of a view now, as a file of its own.
    pub(crate) fn snapshot(recording: RecordingId, spec: Spec, container: Container, view: View, edge: Frame) -> Self {
        let end = Some(edge.max(view.first));
        Self { snapshot: true, ..Self::new(recording, spec, container, view, end) }
    }

    /// The part of the recording that it is.
    pub(crate) const fn view(&self) -> View {
        self.view
    }

    /// Whether its length is final.
    pub(crate) const fn is_finished(&self) -> bool {
        self.end.is_some()
    }

    /// Length in bytes: the final one, or what exists while the recording goes to `edge`.
    pub(crate) fn bytes(&self, edge: Frame) -> u64 {
        let audio = self.spec.bytes(self.end.unwrap_or(edge).since(self.view.first));
        self.audio_at() + audio + self.padding(audio)
    }

    /// The entity tag, strong and quoted. PCM has no header that could change when its recording ends, so then
    /// its tag does not change either.
    pub(crate) fn etag(&self) -> String {
        let open =
            self.end.is_none() || (self.container == Container::Pcm && self.view.end == End::Open && !self.snapshot);
        let last = match self.end {
            Some(end) if !open => end.to_string(),
            _ => "open".to_owned(),
        };
        let sizes = if open { "growing" } else { "known" };
        let (id, first, kind) = (self.recording, self.view.first, self.kind);
        format!("\"{id}-{first}-{last}-{kind}-{sizes}-{FORMAT_VERSION}\"")
    }

    /// The slices that make up `range`, which lies within [`Representation::bytes`].
    pub(crate) fn slices(&self, range: Range<u64>, edge: Frame) -> Vec<Slice> {
        let audio_at = self.audio_at();
        let audio = self.spec.bytes(self.end.unwrap_or(edge).since(self.view.first));
        let mut slices = Vec::with_capacity(2);
        if range.start < audio_at {
            slices.push(Slice::Bytes(self.header_part(range.start, range.end)));
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
        let (first, skip) = self.locate(first.max(self.audio_at()));
        Rest { header, first, skip }
    }

    const fn audio_at(&self) -> u64 {
        self.header.len() as u64
    }

    /// RIFF pads a chunk of odd length; only a size that is known can be odd.
    fn padding(&self, audio: u64) -> u64 {
        if self.end.is_some() && self.container != Container::Pcm { audio % 2 } else { 0 }
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
        let wav = Representation::new(id(), stereo(), Container::Wav, View::WHOLE, None);
        assert!(!wav.is_finished());
        assert_eq!(wav.bytes(EDGE), 44 + 40_000);
        assert_eq!(wav.bytes(Frame::ZERO), 44);
        let slices = wav.slices(40..50, EDGE);
        let sizes_unknown = Bytes::from_static(&[0xFF; 4]);
        assert_eq!(slices, [Slice::Bytes(sizes_unknown), Slice::Frames { first: Frame::ZERO, skip: 0, len: 6 }]);
    }

    #[test]
    fn a_range_may_start_inside_a_frame() {
        let pcm = Representation::new(id(), stereo(), Container::Pcm, from(100), None);
        let middle = Slice::Frames { first: Frame::new(102), skip: 3, len: 10 };
        assert_eq!(pcm.slices(11..21, EDGE), [middle]);
        assert_eq!(pcm.rest(11), Rest { header: Bytes::new(), first: Frame::new(102), skip: 3 });
        let wav = Representation::new(id(), stereo(), Container::Wav, from(100), None);
        assert_eq!(wav.rest(46), Rest { header: Bytes::new(), first: Frame::new(100), skip: 2 });
        assert_eq!(wav.rest(0).header.len(), 44);
    }

    #[test]
    fn the_tag_covers_whatever_changes_bytes() {
        let wav = |view, end| Representation::new(id(), stereo(), Container::Wav, view, end).etag();
        let growing = wav(View::WHOLE, None);
        assert_eq!(growing, wav(View::WHOLE, None));
        let tags = [
            growing,
            wav(View::WHOLE, Some(EDGE)),
            wav(from(1), None),
            wav(View::WHOLE, Some(Frame::new(9_999))),
            Representation::new(id(), stereo(), Container::Pcm, View::WHOLE, None).etag(),
            Representation::new(id(), stereo(), Container::Rf64, View::WHOLE, None).etag(),
            Representation::snapshot(id(), stereo(), Container::Pcm, View::WHOLE, EDGE).etag(),
            Representation::new(RecordingId::new(1, &[1; 10]), stereo(), Container::Wav, View::WHOLE, None).etag(),
        ];
        for (n, tag) in tags.iter().enumerate() {
            assert!(tag.starts_with('"') && tag.ends_with('"') && tag.is_ascii());
            assert!(!tags.iter().skip(n + 1).any(|other| other == tag), "{tag}");
        }
    }

    #[test]
    fn pcm_keeps_its_tag_when_its_recording_ends() {
        let pcm = |view, end| Representation::new(id(), stereo(), Container::Pcm, view, end).etag();
        assert_eq!(pcm(View::WHOLE, None), pcm(View::WHOLE, Some(EDGE)));
        let clip = View { first: Frame::ZERO, end: End::At(EDGE) };
        assert_ne!(pcm(clip, None), pcm(clip, Some(EDGE)));
    }

    #[test]
    fn odd_audio_is_padded_when_its_size_is_known() {
        let mono24 = spec(SampleFormat::S24, 1);
        let odd = Frame::new(3);
        let wav = Representation::new(id(), mono24, Container::Wav, View::WHOLE, Some(odd));
        assert_eq!(wav.bytes(odd), 68 + 9 + 1);
        let pad = Slice::Bytes(Bytes::from_static(&[0]));
        assert_eq!(wav.slices(68..78, odd), [Slice::Frames { first: Frame::ZERO, skip: 0, len: 9 }, pad.clone()]);
        assert_eq!(wav.slices(77..78, odd), [pad]);
        assert_eq!(wav.slices(76..77, odd), [Slice::Frames { first: Frame::new(2), skip: 2, len: 1 }]);
        assert_eq!(Representation::new(id(), mono24, Container::Wav, View::WHOLE, None).bytes(odd), 68 + 9);
        assert_eq!(Representation::new(id(), mono24, Container::Pcm, View::WHOLE, Some(odd)).bytes(odd), 9);
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
            let r = Representation::new(id(), spec(format, channels), container, from(first), finished.then_some(edge));
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
