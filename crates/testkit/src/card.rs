//! A sound card: takes samples as fast as they sound and no faster, and notes what is heard.
//!
//! It is a named pipe of 48 kHz, 16 bits, stereo. Players write there raw, or play on an ALSA device made of it
//! ([`Card::alsa`]). What it hears is the tone that names the second, [`crate::tone`], on which its log is made.

use crate::time_signal::{mono, tone_second};
use crate::wait;
use anyhow::{Result, bail};
use livetape_audio::{SampleFormat, Spec};
use rustix::fs::{CWD, Mode, OFlags, mkfifoat};
use std::fs::{File, OpenOptions, Permissions, set_permissions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Samples of each channel in a second.
pub const RATE: u32 = 48_000;
/// Bytes in a second.
const SECOND: usize = 4 * RATE as usize;
/// What is looked at at once: 0.2 s, as short as a tone can be told in.
const PIECE: usize = SECOND / 5;
/// Every fourth sample is enough for tones below 1.3 kHz.
const THIN: usize = 4;
/// How much a card takes ahead of time.
const AHEAD: Duration = Duration::from_millis(100);
const NAP: Duration = Duration::from_millis(5);
/// Nothing for so long is the end of what was played.
const PAUSE: Duration = Duration::from_millis(400);

/// The card. It is gone when dropped; who plays on it then gets an error.
#[derive(Debug)]
pub struct Card {
    folder: tempfile::TempDir,
    shared: Arc<Shared>,
    ears: Option<JoinHandle<()>>,
    /// How much of the log was waited for.
    known: Mutex<usize>,
}

#[derive(Debug, Default)]
struct Shared {
    log: Mutex<Log>,
    stop: AtomicBool,
}

/// What was heard, in pieces of 0.2 s.
#[derive(Debug, Default)]
struct Log {
    /// The second (mod 100) that a piece names; `None` for silence and noise.
    pieces: Vec<Option<u64>>,
    /// For how long nothing came, as far as was looked.
    empty: Option<(Instant, Duration)>,
    /// The loudest sample, from 0 to 1: of all, and since the card was quiet.
    peak: f32,
    lately: f32,
}

impl Card {
    /// Makes one that anybody may play on.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        // Players that refuse to run as root run as somebody else, who keeps its own files beside the pipe.
        set_permissions(folder.path(), Permissions::from_mode(0o777))?;
        let shared = Arc::<Shared>::default();
        let pipe = folder.path().join("card");
        mkfifoat(CWD, &pipe, Mode::from_raw_mode(0o666))?;
        set_permissions(&pipe, Permissions::from_mode(0o666))?;
        // Open for writing as well: it has no end when a player closes it.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let pipe = OpenOptions::new().read(true).write(true).custom_flags(flags).open(pipe)?;
        let ears = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.take(pipe)
        });
        Ok(Self { folder, shared, ears: Some(ears), known: Mutex::default() })
    }

    /// The pipe: 48 kHz, s16le, 2 channels.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("card")
    }

    /// A folder for the files of a player.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Configuration of ALSA (`ALSA_CONFIG_PATH`) in which this is the only card.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn alsa(&self) -> Result<PathBuf> {
        let path = self.folder.path().join("asound.conf");
        let text = format!(
            "pcm.!default {{ type plug; slave {{ pcm card; format S16_LE; rate {RATE}; channels 2 }} }}\n\
             pcm.card {{ type file; file {:?}; format raw; slave.pcm {{ type null }} }}\n\
             ctl.!default {{ type null }}\n",
            self.path()
        );
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// Waits until nothing is played any more, and forgets what was.
    ///
    /// # Errors
    /// When somebody goes on playing.
    pub fn quiet(&self, limit: Duration) -> Result<()> {
        // What lies in the pipe is looked at first: that nothing was taken for a while says nothing of a busy machine.
        self.shared.log(|log| log.empty = None);
        wait::until("the card to be quiet", limit, || {
            self.shared.log(|log| log.empty.is_some_and(|(_, long)| long > PAUSE).then_some(()))
        })?;
        *self.known() = self.shared.log(|log| {
            log.lately = 0.0;
            log.pieces.len()
        });
        Ok(())
    }

    /// Waits for a tone, after what was waited for before, and gives its second (mod 100).
    ///
    /// # Errors
    /// When none is heard in time.
    pub fn hears_something(&self, limit: Duration) -> Result<u64> {
        let mut known = self.known();
        let start = *known;
        let (at, second) = wait::until("a tone", limit, || {
            self.shared.log(|log| {
                let pieces = log.pieces.get(start..)?;
                // Where it begins, and where the second changes, a piece may name either.
                let at = pieces.windows(2).position(|two| two[0].is_some() && two[0] == two[1])?;
                Some((start + at + 2, pieces[at]?))
            })
        })?;
        *known = at;
        Ok(second)
    }

    /// Waits until this second is heard, after what was waited for before.
    ///
    /// # Errors
    /// When it is not in time; with what is heard instead.
    pub fn hears(&self, second: u64, limit: Duration) -> Result<()> {
        self.hears_after(second, limit).map(drop)
    }

    /// The same, and gives how many other seconds were heard before it; the rest of the one that was waited for last is one of them.
    ///
    /// # Errors
    /// As [`Card::hears`].
    pub fn hears_after(&self, second: u64, limit: Duration) -> Result<usize> {
        let mut known = self.known();
        let start = *known;
        let found = wait::until(&format!("second {second}"), limit, || {
            self.shared.log(|log| {
                let at = log.pieces.iter().skip(start).position(|heard| *heard == Some(second % 100));
                at.map(|at| start + at + 1)
            })
        });
        match found {
            Ok(at) => {
                let mut before = self.shared.log(|log| log.pieces[start..at - 1].to_vec());
                before.retain(|heard| heard.is_some_and(|heard| heard != second % 100));
                before.dedup();
                *known = at;
                Ok(before.len())
            }
            Err(error) => bail!("{error}, but {:?}", self.heard(start)),
        }
    }

    fn known(&self) -> MutexGuard<'_, usize> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was heard since, each second once; `None` for silence and noise between them.
    fn heard(&self, start: usize) -> Vec<Option<u64>> {
        let mut heard = self.shared.log(|log| log.pieces[start..].to_vec());
        heard.dedup();
        heard
    }

    /// The loudest sample so far, from 0 to 1.
    pub fn peak(&self) -> f32 {
        self.shared.log(|log| log.peak)
    }

    /// The loudest sample since [`Card::quiet`], from 0 to 1.
    pub fn peak_lately(&self) -> f32 {
        self.shared.log(|log| log.lately)
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(ears) = self.ears.take() {
            let _ = ears.join();
        }
    }
}

impl Shared {
    fn log<T>(&self, look: impl FnOnce(&mut Log) -> T) -> T {
        look(&mut self.log.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes what is played, in its time.
    fn take(&self, mut pipe: File) {
        let mut piece = Vec::with_capacity(PIECE);
        let mut buffer = [0; 4096];
        // Until when what was taken sounds.
        let mut sounds = Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            if sounds > Instant::now() + AHEAD {
                std::thread::sleep(NAP);
                continue;
            }
            let room = buffer.len().min(PIECE - piece.len());
            match pipe.read(&mut buffer[..room]) {
                Ok(n) => {
                    piece.extend_from_slice(&buffer[..n]);
                    self.log(|log| log.empty = None);
                    sounds = sounds.max(Instant::now()) + Duration::from_secs(1) * n as u32 / SECOND as u32;
                }
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                    self.log(|log| {
                        let (since, long) = log.empty.get_or_insert((Instant::now(), Duration::ZERO));
                        *long = since.elapsed();
                    });
                    std::thread::sleep(NAP);
                }
                Err(_) => return,
            }
            if piece.len() == PIECE {
                self.hear(&piece);
                piece.clear();
            }
        }
    }

    fn hear(&self, piece: &[u8]) {
        let spec = Spec::new(SampleFormat::S16, RATE, 2).expect("16 bits, stereo");
        let samples = mono(piece, spec);
        let peak = samples.iter().fold(0.0, |peak: f32, sample| peak.max(sample.abs()));
        let thin: Vec<f32> = samples.into_iter().step_by(THIN).collect();
        let second = tone_second(&thin, RATE / THIN as u32).map(u64::from);
        self.log(|log| {
            log.pieces.push(second);
            log.peak = log.peak.max(peak);
            log.lately = log.lately.max(peak);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::{Frame, FrameCount};
    use std::io::Write;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn hears_in_real_time() {
        let card = Card::new().unwrap();
        let mut player = File::options().write(true).open(card.path()).unwrap();
        let second = |n: u64| crate::tone::pcm(Frame::new(n * 48_000), FrameCount::new(48_000), RATE, 2);
        let started = Instant::now();
        for n in [7, 8, 42] {
            player.write_all(&second(n)).unwrap();
        }
        drop(player);
        // The pipe and the card have taken a part of the last second.
        assert!(started.elapsed() > Duration::from_millis(2_000), "{:?}", started.elapsed());
        card.hears(7, PATIENCE).unwrap();
        assert_eq!(card.hears_after(42, PATIENCE).unwrap(), 2, "the rest of 7, and 8");
        let error = card.hears(8, Duration::from_millis(100)).unwrap_err().to_string();
        assert!(error.contains("second 8"), "it was before: {error}");
        assert_eq!(card.heard(0), [Some(7), Some(8), Some(42)]);
        card.quiet(PATIENCE).unwrap();
        File::options().write(true).open(card.path()).unwrap().write_all(&second(11)).unwrap();
        assert_eq!(card.hears_something(PATIENCE).unwrap(), 11);
        assert!((0.2..0.3).contains(&card.peak()), "{}", card.peak());
        card.quiet(PATIENCE).unwrap();
        assert!(card.peak_lately() < 0.01 && card.peak() > 0.2, "what was before it is quiet is forgotten");
    }

    #[test]
    fn tells_noise_from_a_tone() {
        let card = Card::new().unwrap();
        let noise: Vec<u8> = (0..PIECE as u32 * 2).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        File::options().write(true).open(card.path()).unwrap().write_all(&noise).unwrap();
        wait::until("noise", PATIENCE, || (card.peak() > 0.5).then_some(())).unwrap();
        assert_eq!(card.heard(0), [None]);
    }
}
