//! Sound cards without hardware: PCMs of ALSA's `file` plugin whose samples come from named pipes, and go to them. They are
//! as real to a program as a card, and bit-exact.
//!
//! A program that is to see them, and only them, is started with `ALSA_CONFIG_PATH` set to [`Alsa::config`]. It has to take
//! blocks of [`BLOCK`] frames: the plugin does not complete short reads.

use crate::{counting, spawn};
use anyhow::{Context, Result};
use livetape_audio::{Frame, FrameCount};
use rustix::fs::{CWD, Mode, OFlags};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Frames of a block.
pub const BLOCK: u32 = 480;
/// What a pipe takes in one piece or not at all.
const ATOMIC: u64 = 4096;

/// A folder with ALSA's configuration and a pipe for each card.
#[derive(Debug)]
pub struct Alsa {
    dir: tempfile::TempDir,
}

impl Alsa {
    /// Microphones and loudspeakers of these names; the first of all is the default. Besides them, `two`: a card of two
    /// channels and no others that records silence.
    ///
    /// # Errors
    /// If there is no room for them.
    pub fn new(microphones: &[&str], speakers: &[&str]) -> Result<Self> {
        let alsa = Self { dir: tempfile::tempdir()? };
        let mut config = String::from(TWO);
        for name in microphones.iter().chain(speakers) {
            let pipe = alsa.pipe(name);
            rustix::fs::mkfifoat(CWD, &pipe, Mode::from_raw_mode(0o600))?;
            // What a microphone hears is also written to its file.
            let files = if speakers.contains(name) {
                format!("file \"{}\"", pipe.display())
            } else {
                format!("file /dev/null infile \"{}\"", pipe.display())
            };
            config += &format!(
                "pcm.{name} {{ type file slave.pcm {{ type null }} {files} format raw\n\
                 hint {{ show on description \"Test card {name}\" }} }}\n"
            );
        }
        if let Some(first) = microphones.iter().chain(speakers).next() {
            config += &format!("pcm.!default \"{first}\"\n");
        }
        std::fs::write(alsa.config(), config)?;
        Ok(alsa)
    }

    /// For `ALSA_CONFIG_PATH`.
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("asound.conf")
    }

    /// The name of the file that says that the card `taken` is.
    pub const TAKEN: &str = "is-taken";

    /// Makes a card `taken` that records silence, and that another program has, as ALSA says it, while there is a file
    /// [`Alsa::TAKEN`] beside the configuration: now. It is a plugin, so a C compiler is needed.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn taken(&self) -> Result<()> {
        let dir = self.dir.path();
        let (taken, source, library) = (dir.join(Self::TAKEN), dir.join("taken.c"), dir.join("taken.so"));
        std::fs::write(&source, format!("#define TAKEN {:?}\n{PLUGIN}", taken.display().to_string()))?;
        let mut cc = spawn::command("cc");
        cc.args(["-shared", "-fPIC", "-o"]).args([&library, &source]);
        spawn::run(cc, Duration::from_secs(60))?.ok()?;
        let config = format!(
            "pcm_type.taken {{ lib \"{}\" }}\n\
             pcm.taken {{ type taken hint {{ show on description \"Somebody else's\" }} }}\n",
            library.display()
        );
        OpenOptions::new().append(true).open(self.config())?.write_all(config.as_bytes())?;
        std::fs::write(&taken, "")?;
        Ok(())
    }

    fn pipe(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("{name}.pipe"))
    }

    /// Lets a card hear counting PCM from frame 0 on, in real time, until the microphone is dropped.
    ///
    /// # Errors
    /// If there is no such card.
    pub fn microphone(&self, name: &str) -> Result<Microphone> {
        self.microphone_of(name, 4, counting::encode)
    }

    /// Lets a card hear what `samples` makes, of `frame_bytes` bytes a frame, at 48 kHz.
    ///
    /// # Errors
    /// If there is no such card.
    pub fn microphone_of(
        &self,
        name: &str,
        frame_bytes: u64,
        samples: impl Fn(Frame, FrameCount) -> Vec<u8> + Send + 'static,
    ) -> Result<Microphone> {
        let block = ATOMIC / frame_bytes / u64::from(BLOCK) * u64::from(BLOCK);
        self.microphone_for(name, block * frame_bytes, frame_bytes, samples)
    }

    /// The same for a program that reads so many bytes at once, at most 4096: it gets what lies in the pipe as one block.
    ///
    /// # Errors
    /// If there is no such card.
    pub fn microphone_for(
        &self,
        name: &str,
        block_bytes: u64,
        frame_bytes: u64,
        samples: impl Fn(Frame, FrameCount) -> Vec<u8> + Send + 'static,
    ) -> Result<Microphone> {
        anyhow::ensure!(block_bytes <= ATOMIC, "a pipe takes at most {ATOMIC} bytes in one piece");
        let block = FrameCount::new(block_bytes / frame_bytes);
        let pipe = open(&self.pipe(name))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || speak(pipe, block, &samples, &stopped));
        Ok(Microphone { stop, thread: Some(thread) })
    }

    /// Listens to what a card plays, in real time: 4 bytes a frame, 48 kHz.
    ///
    /// # Errors
    /// If there is no such card.
    pub fn speaker(&self, name: &str) -> Result<Speaker> {
        Ok(Speaker { pipe: open(&self.pipe(name))? })
    }
}

/// `multi` has as many channels as are bound.
const TWO: &str = "
pcm.two {
  type multi
  slaves.a { pcm { type null } channels 2 }
  bindings.0 { slave a channel 0 }
  bindings.1 { slave a channel 1 }
  hint { show on description \"Two channels\" }
}
";

/// What `snd_pcm_open` calls, and the name by which it knows the version.
const PLUGIN: &str = r#"
#include <errno.h>
#include <unistd.h>
int _snd_pcm_null_open(void **, const char *, void *, void *, int, int);
int _snd_pcm_taken_open(void **pcm, const char *name, void *root, void *conf, int stream, int mode) {
    return access(TAKEN, F_OK) ? _snd_pcm_null_open(pcm, name, root, conf, stream, mode) : -EBUSY;
}
char __snd_pcm_taken_open_dlsym_pcm_001;
"#;

/// Opened for reading and writing, so that nobody waits for the other end.
fn open(pipe: &Path) -> Result<File> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK;
    let file = rustix::fs::open(pipe, flags, Mode::empty());
    Ok(file.with_context(|| format!("no card {}", pipe.display()))?.into())
}

fn speak(mut pipe: File, block: FrameCount, samples: &impl Fn(Frame, FrameCount) -> Vec<u8>, stop: &AtomicBool) {
    let (mut at, began) = (Frame::ZERO, Instant::now());
    while !stop.load(Ordering::Acquire) {
        let written = pipe.write_all(&samples(at, block));
        // Nobody hears it yet.
        if written.is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        }
        at = at + block;
        let due = began + Duration::from_nanos(at.get() * 1_000_000_000 / 48_000);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

/// What a card hears. Drop it after the program that listens: that waits for more in the middle of a read.
#[derive(Debug)]
pub struct Microphone {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Microphone {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What a card plays.
#[derive(Debug)]
pub struct Speaker {
    pipe: File,
}

impl Speaker {
    /// Hears it at the pace at which it sounds, until `enough` says so of all that was heard, and then what is still there.
    ///
    /// # Errors
    /// If it takes longer than `limit`.
    pub fn hear(&mut self, limit: Duration, mut enough: impl FnMut(&[u8]) -> bool) -> Result<Vec<u8>> {
        let began = Instant::now();
        let (mut heard, mut block, mut due) = (Vec::new(), vec![0; BLOCK as usize * 4], began);
        let mut last = false;
        loop {
            last = last || enough(&heard);
            anyhow::ensure!(began.elapsed() < limit, "heard {} bytes in {limit:?}", heard.len());
            match self.pipe.read(&mut block) {
                Ok(n) => {
                    heard.extend_from_slice(&block[..n]);
                    due += Duration::from_nanos(n as u64 / 4 * 1_000_000_000 / 48_000);
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock && last => return Ok(heard),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(2));
                    due = due.max(Instant::now());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
