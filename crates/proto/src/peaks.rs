//! Waveform data on its way: points as bytes.

use crate::v1::GetPeaksResponse;
use livetape_audio::peaks::Point;
use livetape_audio::{Frame, FrameCount, Spec};

/// Most points of one answer.
pub const MAX_WIDTH: u32 = 4096;

impl GetPeaksResponse {
    /// An answer.
    pub fn new(first: Frame, end: Frame, frames_per_point: FrameCount, points: &[Point]) -> Self {
        let bytes = points.iter().flat_map(|point| {
            let [a, b] = point.min.to_le_bytes();
            let [c, d] = point.max.to_le_bytes();
            let [e, f] = point.rms.to_le_bytes();
            [a, b, c, d, e, f]
        });
        Self {
            first_frame: first.get(),
            end_frame: end.get(),
            frames_per_point: frames_per_point.get(),
            points: bytes.collect(),
        }
    }

    /// The points, for each all channels of `spec` one after the other; `None` if there are not as many as the frames
    /// make.
    pub fn points_of(&self, spec: Spec) -> Option<Vec<Point>> {
        let (points, rest) = self.points.as_chunks::<6>();
        let span = self.end_frame.checked_sub(self.first_frame)?;
        let due = span.div_ceil(self.frames_per_point.max(1)).checked_mul(u64::from(spec.channels()))?;
        (rest.is_empty() && points.len() as u64 == due && self.frames_per_point > 0).then(|| {
            let point = |&[a, b, c, d, e, f]: &[u8; 6]| Point {
                min: i16::from_le_bytes([a, b]),
                max: i16::from_le_bytes([c, d]),
                rms: u16::from_le_bytes([e, f]),
            };
            points.iter().map(point).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::SampleFormat;

    #[test]
    fn there_and_back_and_nothing_else() {
        let spec = Spec::new(SampleFormat::S16, 8_000, 2).unwrap();
        let points = [(-32_768, 32_767, 32_768), (0, 0, 0), (-1, 2, 3), (5, 6, 700)];
        let points: Vec<_> = points.map(|(min, max, rms)| Point { min, max, rms }).into();
        let answer = GetPeaksResponse::new(Frame::new(512), Frame::new(900), FrameCount::new(256), &points);
        assert_eq!(answer.points_of(spec), Some(points));
        let wrong: [fn(&mut GetPeaksResponse); 5] = [
            |answer| answer.end_frame += 500,
            |answer| answer.end_frame = 0,
            |answer| answer.frames_per_point = 0,
            |answer| _ = answer.points.pop(),
            |answer| answer.points.clear(),
        ];
        for spoil in wrong {
            let mut spoilt = answer.clone();
            spoil(&mut spoilt);
            assert_eq!(spoilt.points_of(spec), None);
        }
    }
}
