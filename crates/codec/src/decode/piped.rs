//! A WAV that comes from somewhere, as a stream: where its audio ends, the stream says and not its head. Who writes a head before
//! anything was heard puts a size into it that is none (0, two GiB, "one second"), and there are more such sizes than the library
//! knows. So it is shown a head that leaves the end open; what is no audio behind it is left out here.
//!
//! RF64, which the library does not know, is a WAV by then. Whatever else comes is handed on as it is.

use super::input::Handle;
use livetape_audio::wav_reader::{self, AFTER, After, Layout, MAX_HEAD};
use std::io::{self, Read};

/// Bytes that are read at once while the head is looked for, or while something is left out.
const BLOCK: usize = 1 << 10;

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Piped {
    state: State,
    /// Bytes that were read already, before those that the source gives.
    ahead: io::Cursor<Vec<u8>>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Unknown,
    /// So many bytes until the audio is over according to its head, which comes first.
    Until(u64, Layout),
    /// Whatever comes is handed on.
    Open,
    Over,
}

impl Piped {
    /// Reads on from `source`, at most as much as there is room for. Nothing at the end. What a head says of the audio, `handle`
    /// is told.
    pub(super) fn read(&mut self, source: &mut dyn Read, handle: &Handle, buffer: &mut [u8]) -> io::Result<usize> {
        if let State::Unknown = self.state {
            self.state = self.find(source, handle)?;
        }
        if let State::Until(0, layout) = &self.state {
            let layout = layout.clone();
            self.state = self.behind(&layout, source)?;
        }
        match &mut self.state {
            State::Over => Ok(0),
            State::Until(left, _) => {
                let most = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                let n = pull(&mut self.ahead, source, buffer.get_mut(..most).unwrap_or_default())?;
                *left = left.saturating_sub(n as u64);
                Ok(n)
            }
            State::Unknown | State::Open => pull(&mut self.ahead, source, buffer),
        }
    }

    /// Reads until it is known what comes.
    fn find(&mut self, source: &mut dyn Read, handle: &Handle) -> io::Result<State> {
        let mut head = Vec::new();
        let state = loop {
            match wav_reader::find(&head) {
                Ok(Some(layout)) => {
                    handle.label(layout.speakers(&head));
                    layout.unsay(&mut head);
                    let until = layout.data_len.map(|len| len.saturating_add(layout.data_at as u64));
                    break until.map_or(State::Open, |until| State::Until(until, layout));
                }
                Ok(None) if head.len() <= MAX_HEAD && read(&mut self.ahead, source, BLOCK, &mut head)? > 0 => {}
                // What is wrong with it, the library says.
                Ok(None) | Err(_) => break State::Open,
            }
        };
        self.unread(head);
        Ok(state)
    }

    /// What is to be done where the audio is over according to its head.
    fn behind(&mut self, layout: &Layout, source: &mut dyn Read) -> io::Result<State> {
        let mut chunks = false;
        loop {
            let mut seen = Vec::new();
            while seen.len() < AFTER && read(&mut self.ahead, source, AFTER - seen.len(), &mut seen)? > 0 {}
            let after = layout.after(&seen);
            self.unread(seen);
            match after {
                // It may be of another shape.
                After::Another => return Ok(State::Over),
                After::Chunks(mut left) if !chunks => {
                    while left > 0 {
                        let most = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
                        let n = read(&mut self.ahead, source, most, &mut Vec::new())?;
                        if n == 0 {
                            return Ok(State::Over);
                        }
                        left = left.saturating_sub(n as u64);
                    }
                    chunks = true;
                }
                After::Chunks(_) | After::Audio => return Ok(State::Open),
            }
        }
    }

    /// Puts back what was read: it comes next.
    fn unread(&mut self, mut bytes: Vec<u8>) {
        let at = usize::try_from(self.ahead.position()).unwrap_or(usize::MAX);
        bytes.extend_from_slice(self.ahead.get_ref().get(at..).unwrap_or_default());
        self.ahead = io::Cursor::new(bytes);
    }
}

fn pull(ahead: &mut io::Cursor<Vec<u8>>, source: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    match ahead.read(buffer)? {
        0 if !buffer.is_empty() => {
            *ahead = io::Cursor::default();
            source.read(buffer)
        }
        n => Ok(n),
    }
}

/// Appends at most so many bytes; none at the end.
fn read(ahead: &mut io::Cursor<Vec<u8>>, source: &mut dyn Read, most: usize, to: &mut Vec<u8>) -> io::Result<usize> {
    let mut block = [0; BLOCK];
    let n = pull(ahead, source, block.get_mut(..most).unwrap_or(&mut []))?;
    to.extend_from_slice(block.get(..n).unwrap_or_default());
    Ok(n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::{Container, DataSize, FrameCount, SampleFormat, Spec};

    fn spec() -> Spec {
        Spec::new(SampleFormat::S16, 48_000, 2).unwrap()
    }

    /// Comes in pieces, as from a connection.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = self.1.min(buffer.len());
            self.0.read(&mut buffer[..most])
        }
    }

    fn through(bytes: &[u8]) -> Vec<u8> {
        let read = |piece: usize, room: usize| {
            let (mut piped, mut source, mut out) = (Piped::default(), Pieces(bytes, piece), Vec::new());
            let mut buffer = vec![0; room];
            loop {
                match piped.read(&mut source, &Handle::default(), &mut buffer).unwrap() {
                    0 => return out,
                    n => out.extend_from_slice(&buffer[..n]),
                }
            }
        };
        let out = read(usize::MAX, 1 << 16);
        for (piece, room) in [(1, 1), (1, 4096), (4096, 1), (7, 13), (1024, 1024)] {
            assert!(read(piece, room) == out, "pieces of {piece} and room for {room}");
        }
        out
    }

    /// The head that the library sees, whatever was said.
    fn open() -> Vec<u8> {
        Container::Wav.header(spec(), DataSize::Growing)
    }

    fn said(file: u32, data: u32) -> Vec<u8> {
        let mut head = open();
        head[4..8].copy_from_slice(&file.to_le_bytes());
        head[40..44].copy_from_slice(&data.to_le_bytes());
        head
    }

    const AUDIO: [u8; 8_000] = [0x55; 8_000];

    #[test]
    fn whatever_length_its_head_says() {
        let wanted = [&open(), &AUDIO[..]].concat();
        for size in [0, 4, 100, 7_996, 8_000, 8_004, 0x7FFF_F000, 0xFFFF_FFFF - 36, 0xFFFF_FFFF] {
            for file in [0, u32::wrapping_add(size, 36), u32::wrapping_add(size, 44), 0xFFFF_FFFF] {
                assert!(through(&[&said(file, size), &AUDIO[..]].concat()) == wanted, "{size:#x} of {file:#x}");
            }
        }
        for frames in [1, 2_000, 1 << 40] {
            let rf64 = Container::Rf64.header(spec(), DataSize::Known(FrameCount::new(frames)));
            let all = through(&[&rf64, &AUDIO[..]].concat());
            assert!(all.starts_with(b"RIFF\xff\xff\xff\xffWAVE") && all.ends_with(&AUDIO), "{frames}");
            assert_eq!(all.len(), rf64.len() + AUDIO.len());
        }
    }

    #[test]
    fn what_is_no_audio_is_left_out() {
        let wanted = [&open(), &AUDIO[..]].concat();
        let list = b"LIST\x1a\0\0\0INFOINAM\x0e\0\0\0behind the end";
        let head = said(36 + 8_000 + 34, 8_000);
        assert!(through(&[&head, &AUDIO[..], list].concat()) == wanted);
        assert!(through(&[&head, &AUDIO[..], &list[..20]].concat()) == wanted, "cut");
        let on = [&head, &AUDIO[..], list, b"and on"].concat();
        assert!(through(&on) == [&wanted[..], b"and on"].concat());
        assert!(
            through(&[&said(8_036, 8_000), &AUDIO[..], &said(8_036, 8_000), &AUDIO[..]].concat()) == wanted,
            "a second"
        );
        assert!(through(&[&head, &AUDIO[..], list, &said(8_036, 8_000)].concat()) == wanted, "a second behind it");
    }

    #[test]
    fn what_is_no_wav_is_handed_on() {
        let long = [&said(0, 0)[..36], b"junk\xff\xff\xff\x7f", &vec![7; MAX_HEAD + 5_000]].concat();
        for bytes in [&b""[..], b"R", b"RIFF", b"OggS and so on", &[9; 5_000], &said(0, 0)[..30], &long] {
            assert!(through(bytes) == bytes, "{} bytes", bytes.len());
        }
    }
}
