//! Sources that push as Icecast's clients do, byte by byte, and what became of what they sent.

use crate::growing::SOON;
use anyhow::{Context, Result, ensure};
use livetape_audio::{Container, DataSize, Frame, FrameCount, Spec};
use livetape_capture::SourceSpec;
use livetape_capture::sources::voice;
use livetape_testkit::{counting, http, wait};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A source in the middle of a request.
#[derive(Debug)]
pub struct Push(TcpStream);

impl Push {
    /// Sends the head of a request: its first line, then fields, each as `Name: value`.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn begin(to: SocketAddr, line: &str, fields: &[&str]) -> Result<Self> {
        Self::begin_on(TcpStream::connect(to)?, to, line, fields)
    }

    /// The same on a connection that there is.
    ///
    /// # Errors
    /// When it is over.
    pub fn begin_on(mut stream: TcpStream, to: SocketAddr, line: &str, fields: &[&str]) -> Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SOON))?;
        stream.set_write_timeout(Some(SOON))?;
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        stream.write_all(format!("{line}\r\nHost: {to}\r\n{fields}\r\n").as_bytes())?;
        Ok(Self(stream))
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the connection is over.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.0.write_all(bytes)?)
    }

    /// Sends bytes as one chunk; none for the last one.
    ///
    /// # Errors
    /// When the connection is over.
    pub fn chunk(&mut self, bytes: &[u8]) -> Result<()> {
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.send(&chunk)
    }

    /// Sends bytes at this pace.
    ///
    /// # Errors
    /// When the connection is over.
    pub fn paced(&mut self, bytes: &[u8], bytes_per_second: u64) -> Result<()> {
        let (start, mut sent) = (Instant::now(), 0_u64);
        for block in bytes.chunks(usize::try_from(bytes_per_second / 50)?.max(1)) {
            self.send(block)?;
            sent += block.len() as u64;
            let due = Duration::from_micros(sent * 1_000_000 / bytes_per_second);
            std::thread::sleep(due.saturating_sub(start.elapsed()));
        }
        Ok(())
    }

    /// The next head of an answer: its status.
    ///
    /// # Errors
    /// When none comes.
    pub fn status(&mut self) -> Result<u16> {
        Ok(self.answer()?.0)
    }

    /// The next head of an answer: its status, and all of it.
    ///
    /// # Errors
    /// When none comes.
    pub fn answer(&mut self) -> Result<(u16, String)> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            ensure!(self.0.read(&mut byte)? > 0, "no answer, but {:?}", String::from_utf8_lossy(&head));
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).with_context(|| head.clone())?;
        Ok((status, head))
    }

    /// The rest of the answer.
    ///
    /// # Errors
    /// When the connection does not end.
    pub fn text(mut self) -> Result<String> {
        let mut text = Vec::new();
        self.0.read_to_end(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// A WAV file.
pub fn wav(spec: Spec, pcm: &[u8]) -> Vec<u8> {
    let (frames, _) = spec.frames_in(pcm.len() as u64);
    [Container::Wav.header(spec, DataSize::Known(frames)), pcm.to_vec()].concat()
}

/// A WAV file of counting PCM.
///
/// # Errors
/// If there is no such rate.
pub fn counting_wav(rate: u32, frames: u64) -> Result<Vec<u8>> {
    Ok(wav(counting::spec(rate)?, &counting::encode(Frame::ZERO, FrameCount::new(frames))))
}

/// The time signal of the first so many seconds of a recording, as a WAV file.
///
/// # Errors
/// If there is no such thing.
pub fn time_signal_wav(spec: Spec, seconds: u64) -> Result<Vec<u8>> {
    let mut voice = voice(&SourceSpec::TimeSignal, spec)?.context("it is a generator")?;
    let mut pcm = Vec::new();
    let frames = FrameCount::new(seconds * u64::from(spec.rate()));
    voice.render(Frame::ZERO, livetape_testkit::grpc_source::now(), frames, &mut pcm);
    Ok(wav(spec, &pcm))
}

/// The recordings of a stream, the oldest first.
///
/// # Errors
/// When the gateway does not say.
pub fn recordings(gateway: SocketAddr, stream: &str) -> Result<Vec<Value>> {
    let list = http::json(gateway, &format!("/recordings?stream={stream}"))?;
    Ok(list["recordings"].as_array().cloned().unwrap_or_default())
}

/// The one recording of a stream, as soon as it is as it should be.
///
/// # Errors
/// When there are others, or it is not soon.
pub fn recording(gateway: SocketAddr, stream: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
    let found = wait::until(&format!("a recording of {stream}"), SOON, || {
        let all = recordings(gateway, stream).ok()?;
        all.first().filter(|one| is(one)).map(|one| (one.clone(), all.len()))
    })?;
    ensure!(found.1 == 1, "there are {} recordings of {stream}", found.1);
    Ok(found.0)
}

/// All of a recording's PCM that there is now.
///
/// # Errors
/// When the gateway does not give it.
pub fn pcm(gateway: SocketAddr, recording: &Value) -> Result<Vec<u8>> {
    let id = recording["id"].as_str().context("it has an id")?;
    http::get(gateway, &format!("/recordings/{id}/audio.pcm?len=now")).send()?.body()
}

/// What is said on a recording's timeline, of one type.
///
/// # Errors
/// When the gateway does not say.
pub fn entries(gateway: SocketAddr, recording: &Value, kind: &str) -> Result<Vec<Value>> {
    let id = recording["id"].as_str().context("it has an id")?;
    let timeline = http::json(gateway, &format!("/recordings/{id}/timeline"))?;
    let entries = timeline["entries"].as_array().cloned().unwrap_or_default();
    Ok(entries.into_iter().filter(|entry| entry["type"] == kind).collect())
}
