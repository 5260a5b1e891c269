use super::*;
use crate::encode::block::tests::{frames, signal};
use crate::encode::tests::decoded;
use crate::encode::{Pick, encode};
use livetape_audio::{SampleFormat, Spec};
use proptest::prelude::*;

fn codecs() -> impl Iterator<Item = Codec> {
    [Codec::Mp3, Codec::Opus].into_iter().filter(|codec| codec.is_built_in())
}

fn encoding(codec: Codec, rate: u32) -> Encoding {
    let spec = Spec::new(SampleFormat::S16, rate, 2).unwrap();
    Encoding::new(codec, spec, 64, Some(Pick::first(1))).unwrap()
}

/// All bytes of a recording of so many frames, cut out piece by piece.
fn file(track: &Track, pcm: &[u8], frames_: u64) -> Vec<u8> {
    let (encoding, mut out) = (track.encoding(), Vec::new());
    let len = track.len(frames_, true);
    while (out.len() as u64) < len {
        let at = out.len() as u64;
        let block = track.block_at(at);
        let packets = encode(encoding, block, &frames(pcm, encoding.spec(), encoding.needs(block))).unwrap();
        let piece = track.cut(at..len.min(at + 9_999), &packets.into(), Some(frames_));
        assert!(!piece.is_empty());
        out.extend(piece);
    }
    assert_eq!(out.len() as u64, len);
    out
}

/// The frame of the loudest sample of what a decoder hears.
fn loudest(bytes: Vec<u8>) -> usize {
    let heard = decoded(bytes);
    (0..heard.len()).max_by(|&a, &b| heard[a].abs().total_cmp(&heard[b].abs())).unwrap()
}

/// A click is heard at its time: at the beginning, in the midst, behind a joint, and where somebody joined.
#[test]
fn frame_0_is_heard_at_time_0() {
    for codec in codecs() {
        for rate in [44_100, 48_000, 96_000, 22_050] {
            let encoding = encoding(codec, rate);
            let total = u64::from(rate) * 4;
            for click in [u64::from(rate) / 20, u64::from(rate) * 2 + 77] {
                let mut pcm = vec![0; total as usize * 4];
                for n in 0..4 {
                    // Half a wave at about 6 kHz, which any bitrate carries.
                    let at = (click as usize + n) * 4;
                    pcm[at..at + 2].copy_from_slice(&[9_000_i16, 30_000, 30_000, 9_000][n].to_le_bytes());
                }
                let track = Track::new(encoding, Joined::Beginning, 7);
                let heard = loudest([track.header(), file(&track, &pcm, total)].concat());
                let should = (click as f64 + 1.5) * f64::from(encoding.rate()) / f64::from(rate);
                assert!((heard as f64 - should).abs() < 2.0, "{codec:?} {rate}: {heard} for {should}");
                let joined = Track::new(encoding, Joined::Block(1), 7);
                if click > total / 3 {
                    let heard = loudest([joined.header(), file(&joined, &pcm, total)].concat());
                    let first = joined.first_frame() as f64 * f64::from(encoding.rate()) / f64::from(rate);
                    assert!(
                        (first + heard as f64 - should).abs() < 2.5,
                        "{codec:?} {rate} joined: {heard} {first} {should}"
                    );
                }
            }
        }
    }
}

/// Links of a chain: each with its title, and together what is heard without any.
#[test]
fn a_title_changes_between_two_samples() {
    let (encoding, total) = (encoding(Codec::Opus, 48_000), 48_000 * 4 + 77);
    let pcm = signal("music", 48_000, 2, 5);
    let pcm = &pcm[..total as usize * 4];
    let whole = Track::new(encoding, Joined::Beginning, 7);
    let plain = decoded([whole.header(), file(&whole, pcm, total)].concat());
    // In the midst of a block, at its end, and right after that.
    for pages in [[7, 8], [5, 6], [1, 10]] {
        let mut track = Track::new(encoding, Joined::Beginning, 7);
        let (mut links, mut bytes, mut at) = (Vec::new(), track.titled("first"), 0);
        let page = track.page_end(0).unwrap();
        for (n, end) in pages.map(|n| n * page).into_iter().chain([track.len(total, true)]).enumerate() {
            if n < 2 {
                track.close(end);
            }
            while at < end {
                let block = encode(
                    encoding,
                    track.block_at(at),
                    &frames(pcm, encoding.spec(), encoding.needs(track.block_at(at))),
                );
                let piece = track.cut(at..end, &block.unwrap().into(), Some(total));
                at += piece.len() as u64;
                bytes.extend(piece);
            }
            links.push(std::mem::take(&mut bytes));
            if n < 2 {
                assert!(track.is_closed(at));
                let number = track.block_at(at - 1);
                let block = encode(encoding, number, &frames(pcm, encoding.spec(), encoding.needs(number))).unwrap();
                bytes = track.go_on(at, 8 + n as u32, "then", &block);
                assert!(bytes.windows(10).any(|w| w == b"TITLE=then") && !track.is_closed(at));
            }
        }
        for link in &links {
            let last = (0..link.len()).rev().find(|&at| link[at..].starts_with(b"OggS")).unwrap();
            assert_eq!(link[last + 5] & 4, 4, "the end of a link is marked");
        }
        let heard: Vec<f64> = links.into_iter().flat_map(decoded).collect();
        assert_eq!(heard.len(), plain.len());
        // A decoder that was at home when it was heard says the same, but for what it remembers.
        let (noise, sound) =
            heard.iter().zip(&plain).fold((0.0, 0.0), |(n, s), (a, b)| (n + (a - b).powi(2), s + b * b));
        assert!(noise < sound * 1e-3, "{pages:?}: {noise} of {sound}");
    }
}

#[test]
fn the_end_is_exact_in_opus_and_of_whole_packets_in_mp3() {
    for codec in codecs() {
        for (rate, total) in
            [(48_000, 100_000), (44_100, 44_100), (48_000, 48_000), (48_000, 47_880), (48_000, 1), (48_000, 9_480)]
        {
            let encoding = encoding(codec, rate);
            let pcm = signal("noise", rate, 2, 3);
            let pcm = &pcm[..total as usize * 4];
            let track = Track::new(encoding, Joined::Beginning, 7);
            let bytes = file(&track, pcm, total);
            let should = (total * u64::from(encoding.rate())).div_ceil(rate.into());
            match codec {
                Codec::Opus => {
                    let heard = decoded([track.header(), bytes].concat()).len() as u64;
                    assert_eq!(heard, should, "{rate} {total}");
                }
                Codec::Mp3 => {
                    let packets = should.div_ceil(encoding.grid().packet_frames());
                    assert_eq!(bytes.len() as u64, encoding.grid().bytes(packets), "{rate} {total}");
                }
            }
        }
    }
    let track = Track::new(encoding(Codec::Opus, 48_000), Joined::Beginning, 7);
    assert_eq!((track.len(0, true), track.len(0, false)), (0, 0));
}

#[test]
fn pages_are_sound() {
    let encoding = encoding(Codec::Opus, 44_100);
    let pcm = signal("speech", 44_100, 2, 3);
    for joined in [Joined::Beginning, Joined::Block(1)] {
        let track = Track::new(encoding, joined, 0xCAFE);
        let bytes = [track.header(), file(&track, &pcm, 44_100 * 3)].concat();
        let (mut at, mut number, mut granule) = (0, 0, 0);
        while at < bytes.len() {
            let page = &bytes[at..];
            assert_eq!((&page[..5], u32::from_le_bytes(page[14..18].try_into().unwrap())), (&b"OggS\0"[..], 0xCAFE));
            assert_eq!(u32::from_le_bytes(page[18..22].try_into().unwrap()), number);
            let now = u64::from_le_bytes(page[6..14].try_into().unwrap());
            let lacing = usize::from(page[26]);
            at += 27 + lacing + page[27..27 + lacing].iter().map(|&n| usize::from(n)).sum::<usize>();
            assert_eq!(page[5], u8::from(number == 0) * 2 + u8::from(at == bytes.len()) * 4);
            assert!(number < 2 || at == bytes.len() || now == granule + 9_600);
            (granule, number) = (now, number + 1);
        }
        let preskip = u64::from(u16::from_le_bytes(bytes[38..40].try_into().unwrap()));
        let heard = (44_100 * 3 - track.first_frame()) * 48_000 / 44_100;
        assert!(granule.abs_diff(preskip + heard) < 2, "{granule} {preskip} {heard}");
    }
}

#[cfg(feature = "mp3")]
#[test]
fn who_listens_to_mp3_shares_the_block() {
    let encoding = encoding(Codec::Mp3, 48_000);
    let block = Bytes::from(vec![1; usize::try_from(encoding.grid().block_bytes()).unwrap()]);
    let piece = Track::new(encoding, Joined::Beginning, 1).cut(100..2_000, &block, None);
    assert_eq!((piece.as_ptr(), piece.len()), (block[100..].as_ptr(), 1_900), "and has no copy of it");
}

proptest! {
    /// What there was of a growing recording is there when it is longer, and when it has ended.
    #[test]
    fn bytes_only_come_in_addition(n in 0..2_usize, rate in 8_000..192_000_u32, frames in 0..100_000_000_u64, more in 0..1_000_000_u64) {
        let codec = [Codec::Mp3, Codec::Opus][n];
        prop_assume!(codec.is_built_in());
        let spec = Spec::new(SampleFormat::S16, rate, 2).unwrap();
        let track = Track::new(Encoding::new(codec, spec, 64, None).unwrap(), Joined::Beginning, 1);
        let now = track.len(frames, false);
        prop_assert!(now <= track.len(frames + more, false) && now <= track.len(frames, true));
        prop_assert!(now.is_multiple_of(track.block_bytes()));
        // All of what they are made of is there.
        let blocks = now / track.block_bytes();
        prop_assert!(blocks == 0 || track.encoding().needs(blocks - 1).end as u64 <= frames);
        // And nothing that could be there is missing.
        prop_assert!(track.encoding().needs(blocks).end as u64 > frames);
        let all = track.len(frames, true);
        prop_assert!(all == 0 || track.block_at(all - 1) < track.encoding().blocks(frames));
        // What ends does not end with a page that was there before.
        prop_assert!(codec == Codec::Mp3 || frames == 0 || now < all);
    }

    #[test]
    fn any_part_is_a_part_of_the_whole(n in 0..2_usize, from in 0..30_000_usize, len in 1..9_000_usize, total in 100_000..144_000_u64) {
        let codec = [Codec::Mp3, Codec::Opus][n];
        prop_assume!(codec.is_built_in());
        let encoding = encoding(codec, 48_000);
        // Any bytes will do.
        let block = |n: u64| (0..encoding.grid().block_bytes()).map(|at| (at * 7 + n) as u8).collect::<Bytes>();
        let track = Track::new(encoding, Joined::Beginning, 1);
        let all = track.len(total, true) as usize;
        let piece = |at: usize, end: usize| track.cut(at as u64..end as u64, &block(track.block_at(at as u64)), Some(total));
        let together = |from: usize, to: usize| {
            let mut out = Vec::new();
            while from + out.len() < to { out.extend(piece(from + out.len(), to)); }
            out
        };
        let whole = together(0, all);
        let (from, to) = (from.min(all), (from + len).min(all));
        prop_assert!(together(from, to) == whole[from..to]);
    }
}
