use super::*;
use crate::encode::block::tests::{frames, signal};
use crate::encode::tests::decoded;
use crate::encode::{Joined, Pick, encode};
use livetape_audio::{SampleFormat, Spec};

/// A whole clip of so many frames.
fn clip(rate: u32, kbps: u32, channels: u16, pcm: &[u8], total: u64) -> (Encoding, Vec<u8>) {
    let spec = Spec::new(SampleFormat::S16, rate, 2).unwrap();
    let encoding = Encoding::new(Codec::Mp3, spec, kbps, Some(Pick::first(channels))).unwrap().clip();
    let track = Track::new(encoding, Joined::Beginning, 7);
    let (mut out, len) = (track.info(total), track.len(total, true));
    for block in 0..encoding.blocks(total) {
        let made = encode(encoding, block, &frames(pcm, spec, encoding.needs(block))).unwrap();
        let at = block * encoding.block_bytes();
        out.extend(track.cut(at..len.min(at + encoding.block_bytes()), &made.into(), Some(total)));
    }
    assert_eq!(out.len() as u64, track.info(total).len() as u64 + len);
    (encoding, out)
}

/// Each sample of a tone is where it was, the first and the last as well.
#[test]
fn a_clip_has_just_its_frames() {
    for (rate, kbps) in [(48_000, 128), (44_100, 128), (32_000, 96), (22_050, 64), (8_000, 32)] {
        let pcm = signal("sine", rate, 2, 3);
        for total in [1, 400, 575, 576, 577, 1_151, 1_152, 1_153, 20 * 1_152, 2 * u64::from(rate) + 77] {
            let part = &pcm[..total as usize * 4];
            let heard = decoded(clip(rate, kbps, 1, part, total).1);
            assert_eq!(heard.len() as u64, total, "{rate} {total}");
            let (mut noise, mut sound) = (0.0, 0.0);
            for (heard, frame) in heard.iter().zip(part.chunks_exact(4)) {
                let sample = f64::from(i16::from_le_bytes([frame[0], frame[1]])) / 32_768.0;
                (noise, sound) = (noise + (heard - sample).powi(2), sound + sample * sample);
            }
            // Where it is cut out of nothing, there is something to be heard of that.
            assert!(total < 5_000 || noise < sound * 1e-2, "{rate} {total}: {noise} of {sound}");
        }
    }
    // Another rate than that of the recording.
    let pcm = signal("sine", 96_000, 2, 1);
    assert_eq!(decoded(clip(96_000, 128, 1, &pcm[..50_001 * 4], 50_001).1).len(), 25_001);
}

#[test]
fn its_head_is_that_of_what_follows_at_every_rate_and_bitrate() {
    for rate in [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000] {
        let pcm = vec![0; 4 * 3_000];
        for &kbps in Codec::Mp3.bitrates(rate) {
            for channels in [1, 2] {
                let (encoding, bytes) = clip(rate, kbps.into(), channels, &pcm, 3_000);
                let info = Track::new(encoding, Joined::Beginning, 7).info(3_000).len();
                let (head, next) = (&bytes[..4], &bytes[info..info + 4]);
                assert_eq!((head[0], head[1]), (next[0], next[1]), "{rate} {kbps} {channels}");
                assert_eq!(head[2] & 0b1100, next[2] & 0b1100, "{rate} {kbps} {channels}");
                // Each frame may be joint in its own way.
                assert_eq!(head[3] & 0b1100_1111, next[3] & 0b1100_1111, "{rate} {kbps} {channels}");
                let same = head[2] >> 4 == next[2] >> 4;
                assert!(same || info > encoding.grid().bytes(1) as usize, "{rate} {kbps} {channels}");
                assert_eq!(&bytes[4 + side(encoding)..][..4], b"Info");
            }
        }
    }
}

#[test]
fn of_what_is_no_clip_there_is_none() {
    let spec = Spec::new(SampleFormat::S16, 48_000, 2).unwrap();
    for encoding in [(Codec::Mp3, 128), (Codec::Opus, 96)].map(|(codec, kbps)| Encoding::new(codec, spec, kbps, None)) {
        let encoding = encoding.unwrap();
        assert!(Track::new(encoding, Joined::Beginning, 7).info(3_000).is_empty());
        assert_eq!(encoding.clip() == encoding, encoding.codec() == Codec::Opus);
    }
    assert_eq!(checksum(b"123456789"), 0xBB3D);
}
