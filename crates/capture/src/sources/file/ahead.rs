//! What comes next by its tags: the files that are told are opened before they are played, one after another, each on a thread of
//! its own. One whose decoder panics or hangs is called by its name and costs nothing else.
//!
//! Not here: which files come (`queue`), and what is said of one while it plays (`decoding`).

use super::list;
use super::queue::name;
use crate::desk::UPCOMING;
use crate::sources::decoding::title_of;
use livetape_audio::Title;
use livetape_codec::decode::{Decoder, Handle, Input};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Files whose titles are remembered, so that a small folder that is played for ever is not read for ever.
const MOST: usize = 4 * UPCOMING;
/// Threads that may hang.
const MAX_HANGING: u32 = 2;

/// Titles of files, and the one that is being found out.
#[derive(Debug)]
pub(super) struct Ahead {
    known: HashMap<PathBuf, Title>,
    reading: Option<Reading>,
    hanging: u32,
    patience: Duration,
}

#[derive(Debug)]
struct Reading {
    path: PathBuf,
    begun: Instant,
    handle: Handle,
    said: oneshot::Receiver<Title>,
}

impl Ahead {
    /// `patience`: with a decoder that gives nothing.
    pub(super) fn new(patience: Duration) -> Self {
        Self { known: HashMap::new(), reading: None, hanging: 0, patience }
    }

    /// What this file is called, now that it plays.
    pub(super) fn is(&mut self, path: &Path, title: &Title) {
        self.known.insert(path.to_owned(), title.clone());
    }

    /// What these are called, as far as is known; what is not known yet is being found out.
    pub(super) fn titles(&mut self, files: &[PathBuf]) -> Vec<Title> {
        if self.known.len() > MOST {
            self.known.retain(|path, _| files.contains(path));
        }
        if self.reading.is_none() && self.hanging < MAX_HANGING {
            let next = files.iter().find(|path| !self.known.contains_key(*path));
            self.reading = next.map(|path| Reading::of(path));
        }
        files.iter().map(|path| self.known.get(path).cloned().unwrap_or_else(|| name(path))).collect()
    }

    /// Whether more is known than before.
    pub(super) fn has_learned(&mut self) -> bool {
        let Some(reading) = &mut self.reading else { return false };
        let title = match reading.said.try_recv() {
            Ok(title) => title,
            Err(oneshot::error::TryRecvError::Empty) if reading.begun.elapsed() < self.patience => return false,
            Err(oneshot::error::TryRecvError::Empty) => {
                self.hanging += 1;
                name(&reading.path)
            }
            // Its thread has panicked.
            Err(oneshot::error::TryRecvError::Closed) => name(&reading.path),
        };
        if let Some(reading) = self.reading.take() {
            self.known.insert(reading.path.clone(), title);
        }
        true
    }
}

impl Reading {
    fn of(path: &Path) -> Self {
        let (sender, said) = oneshot::channel();
        let (handle, path) = (Handle::default(), path.to_owned());
        let (under, file) = (handle.clone(), path.clone());
        // If there can be no thread, nobody says anything, as after a panic.
        let thread = std::thread::Builder::new().name("tags".into()).spawn(move || {
            let title = read(&file, under).unwrap_or_else(|| name(&file));
            let _ = sender.send(title);
        });
        drop(thread);
        Self { path, begun: Instant::now(), handle, said }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.handle.stop();
    }
}

/// What its tags say. What is wrong with it is said when it is played.
fn read(path: &Path, handle: Handle) -> Option<Title> {
    #[cfg(test)]
    crate::sources::decoding::misbehave(&path.display().to_string());
    let input = Input::file(list::open(path).ok()?).under(handle);
    let extension = path.extension().map(|extension| extension.to_string_lossy());
    let tags = Decoder::open(input, extension.as_deref()).ok()?.tags()?;
    (!tags.is_empty()).then(|| title_of(&tags))
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::{Container, DataSize, Frame, FrameCount};
    use livetape_testkit::counting;
    use std::fs;

    /// A WAV of half a second with these tags, as ffmpeg writes them.
    fn tagged(path: &Path, artist: &str, title: &str) {
        let mut list = b"INFO".to_vec();
        for (id, text) in [(b"IART", artist), (b"INAM", title)] {
            let text = [text.as_bytes(), b"\0"].concat();
            list.extend([&id[..], &(text.len() as u32).to_le_bytes(), &text].concat());
            list.extend(vec![0; text.len() % 2]);
        }
        let head = Container::Wav.header(counting::spec(48_000).unwrap(), DataSize::Known(FrameCount::new(24_000)));
        let pcm = counting::encode(Frame::ZERO, FrameCount::new(24_000));
        let list = [b"LIST", &(list.len() as u32).to_le_bytes()[..], &list].concat();
        let mut file = [&head[..36], &list, &head[36..], &pcm].concat();
        let size = (file.len() - 8) as u32;
        file[4..8].copy_from_slice(&size.to_le_bytes());
        fs::write(path, file).unwrap();
    }

    /// Asks until nothing more is found out.
    fn settled(ahead: &mut Ahead, files: &[PathBuf]) -> Vec<String> {
        let began = Instant::now();
        loop {
            let titles = ahead.titles(files);
            if ahead.reading.is_none() {
                return titles.iter().map(ToString::to_string).collect();
            }
            while !ahead.has_learned() {
                assert!(began.elapsed() < Duration::from_secs(60), "{titles:?}");
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }

    #[test]
    fn by_tags_or_by_name_and_within_bounds() {
        let dir = tempfile::tempdir().unwrap();
        let mut files: Vec<_> = (0..40).map(|n| dir.path().join(format!("{n:02}.wav"))).collect();
        files.iter().for_each(|path| tagged(path, "Anna", &path.file_stem().unwrap().to_string_lossy()));
        fs::write(&files[1], "no audio").unwrap();
        fs::remove_file(&files[2]).unwrap();
        fs::write(&files[3], "").unwrap();
        tagged(&files[4], "", "");
        let mut ahead = Ahead::new(Duration::from_secs(60));
        let at_once = ahead.titles(&files[..UPCOMING]);
        assert!(at_once.len() == UPCOMING && at_once[0].as_str() == "00", "nobody waits: {at_once:?}");
        let titles = settled(&mut ahead, &files[..UPCOMING]);
        assert_eq!(titles[..6], ["Anna - 00", "01", "02", "03", "04", "Anna - 05"]);
        assert_eq!(ahead.known.len(), UPCOMING);

        // What was read is not read again; what is heard counts; and nothing grows without end.
        ahead.is(&files[0], &"Bert - 00".parse().unwrap());
        fs::remove_file(&files[5]).unwrap();
        let again = settled(&mut ahead, &files[..UPCOMING]);
        assert_eq!((again[0].as_str(), again[5].as_str()), ("Bert - 00", "Anna - 05"));
        ahead.known.extend((0..MOST).map(|n| (PathBuf::from(n.to_string()), Title::default())));
        files.rotate_left(3);
        settled(&mut ahead, &files[..UPCOMING]);
        assert_eq!(ahead.known.len(), UPCOMING);
    }

    #[test]
    fn decoders_that_panic_or_hang_cost_their_titles() {
        let dir = tempfile::tempdir().unwrap();
        let names = ["a panics for tests", "b hangs for tests", "c", "d hangs for tests", "e hangs for tests", "f"];
        let files = names.map(|name| dir.path().join(format!("{name}.wav")));
        files.iter().for_each(|path| tagged(path, "Anna", "x"));
        let mut ahead = Ahead::new(Duration::from_secs(3));
        let titles = settled(&mut ahead, &files);
        assert_eq!(titles, [names[0], names[1], "Anna - x", names[3], names[4], names[5]]);
        assert_eq!(ahead.hanging, MAX_HANGING, "after which nothing more is opened");
    }
}
