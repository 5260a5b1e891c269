//! The encoders and nothing else: one that goes on over all of the audio, for whoever connects, once for each.

use super::announce;
use anyhow::{Context, Result, bail};
use livetape_codec::encode::{Codec, Encoding, Flac, unbroken};
use livetape_testkit::grpc_source::stereo;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;

/// An encoding of stereo, by its name, such as `mp3-128`, or `flac`.
enum Bare {
    Packets(Encoding),
    Flac(Flac),
}

impl Bare {
    fn named(name: &str) -> Result<Self> {
        let spec = stereo();
        let (codec, kbps) = match name.split_once('-') {
            Some(("mp3", kbps)) => (Codec::Mp3, kbps),
            Some(("opus", kbps)) => (Codec::Opus, kbps),
            None if name == "flac" => return Ok(Self::Flac(Flac::new(spec, None)?)),
            _ => bail!("no encoding {name}"),
        };
        Ok(Self::Packets(Encoding::new(codec, spec, kbps.parse()?, None)?))
    }

    /// Bytes that the PCM becomes.
    fn encode(&self, pcm: &[u8]) -> Result<u64> {
        match self {
            Self::Packets(encoding) => Ok(unbroken(*encoding, pcm)?.len() as u64),
            Self::Flac(flac) => {
                let blocks = pcm.chunks(stereo().frame_bytes() as usize * Flac::BLOCK as usize);
                (0..).zip(blocks).map(|(n, block)| Ok(flac.encode(n, block)?.len() as u64)).sum()
            }
        }
    }
}

pub(super) fn run(name: &str, file: &Path) -> Result<()> {
    let (bare, pcm) = (Bare::named(name)?, std::fs::read(file)?);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    announce(listener.local_addr()?);
    for stream in listener.incoming() {
        stream?.write_all(&bare.encode(&pcm)?.to_le_bytes())?;
    }
    Ok(())
}

/// Lets it encode once. Gives how many bytes came out.
///
/// # Errors
/// When it is gone.
pub fn once(bare: SocketAddr) -> Result<u64> {
    let mut said = [0; 8];
    TcpStream::connect(bare)?.read_exact(&mut said).context("a bare encoder")?;
    Ok(u64::from_le_bytes(said))
}
