//! Opus packets: 20 ms each, all of one length. The low-delay mode, whose encoder remembers least: `docs/adr/0010-blocks-of-compressed-audio.md`.

use super::{EncodeError, Encoding};
use opus::{Application, Bandwidth, Bitrate, Channels, Encoder, Signal};

/// Frames that the encoder is late, at 48 kHz.
pub(super) const LOOK_AHEAD: u16 = 120;

pub(super) struct Opus {
    encoder: Encoder,
    channels: usize,
    packet_frames: usize,
    packet: Vec<u8>,
}

impl Opus {
    pub(super) fn new(encoding: Encoding) -> Result<Self, EncodeError> {
        let channels = if encoding.pick().len() == 1 { Channels::Mono } else { Channels::Stereo };
        let begin = || -> opus::Result<(Encoder, i32)> {
            let mut encoder = Encoder::new(encoding.rate(), channels, Application::LowDelay)?;
            encoder.set_bitrate(Bitrate::Bits(i32::from(encoding.kbps()) * 1000))?;
            encoder.set_vbr(false)?;
            encoder.set_complexity(COMPLEXITY)?;
            encoder.set_signal(Signal::Music)?;
            encoder.set_bandwidth(Bandwidth::Fullband)?;
            encoder.set_force_channels(Some(channels))?;
            let look_ahead = encoder.get_lookahead()?;
            Ok((encoder, look_ahead))
        };
        let (encoder, look_ahead) = begin().map_err(failed)?;
        if look_ahead != i32::from(LOOK_AHEAD) {
            return Err(EncodeError::Library(format!("libopus looks {look_ahead} frames ahead")));
        }
        let grid = encoding.grid();
        let packet = vec![0; grid.bytes(1) as usize];
        Ok(Self { encoder, channels: encoding.pick().len(), packet_frames: grid.packet_frames() as usize, packet })
    }

    /// Takes the frames of whole packets, full scale ±1.0, and appends the packets.
    pub(super) fn feed(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        for frames in samples.chunks_exact(self.packet_frames * self.channels) {
            let made = self.encoder.encode_float(frames, &mut self.packet).map_err(failed)?;
            if made != self.packet.len() {
                return Err(EncodeError::Library(format!("libopus made a packet of {made} bytes")));
            }
            out.extend_from_slice(&self.packet);
        }
        Ok(())
    }
}

const COMPLEXITY: i32 = 10;

/// Its version, as `libopus 1.6.1`.
pub(super) fn version() -> &'static str {
    opus::version()
}

fn failed(error: opus::Error) -> EncodeError {
    EncodeError::Library(format!("libopus: {error}"))
}
