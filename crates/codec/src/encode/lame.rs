//! LAME, by its C interface: the one file with `unsafe` code.
//!
//! The wrapper crates hide the switch that turns the bit reservoir off, without which no block could be made alone. What has
//! to hold, and does: the handle comes from `lame_init`, is owned by one [`Lame`] and closed once; it is used by one thread
//! at a time, because whatever touches it takes `&mut self`; LAME reads as many samples as it is told there are, which is how
//! many the slice has, and writes at most as much as it is told there is room for.
#![allow(unsafe_code)]

use super::EncodeError;
use mp3lame_sys as sys;
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

/// Frames that it is given at once, at most, and room for what comes of them: 1.25 bytes for each and 7200, as it demands.
const STEP: usize = 1152;
const ROOM: usize = STEP * 5 / 4 + 7200;

/// What a call says if all went well.
const FINE: i32 = 0;

/// LAME computes tables that all its encoders share whenever one begins.
static BEGINNING: Mutex<()> = Mutex::new(());

/// An encoder.
pub(super) struct Lame {
    handle: NonNull<sys::lame_global_flags>,
    channels: usize,
}

// SAFETY: an encoder is memory that nobody else knows of, and nothing in it belongs to a thread.
unsafe impl Send for Lame {}

impl Lame {
    /// Constant bitrate, no reservoir, no header frame, no resampling.
    pub(super) fn new(rate: u32, channels: usize, kbps: u16) -> Result<Self, EncodeError> {
        let _beginning = BEGINNING.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: it takes nothing.
        let handle = NonNull::new(unsafe { sys::lame_init() });
        let lame = Self { handle: handle.ok_or_else(|| failed("lame_init", -1))?, channels };
        let (handle, rate) = (lame.handle.as_ptr(), rate as i32);
        let mode = if channels == 1 { sys::MPEG_mode::MONO } else { sys::MPEG_mode::JOINT_STEREO };
        // SAFETY: the handle is from `lame_init` and not closed; the values are plain numbers, and no function is called back.
        let said = unsafe {
            [
                ("errorf", sys::lame_set_errorf(handle, None)),
                ("debugf", sys::lame_set_debugf(handle, None)),
                ("msgf", sys::lame_set_msgf(handle, None)),
                ("in_samplerate", sys::lame_set_in_samplerate(handle, rate)),
                ("out_samplerate", sys::lame_set_out_samplerate(handle, rate)),
                ("num_channels", sys::lame_set_num_channels(handle, channels as i32)),
                ("mode", sys::lame_set_mode(handle, mode)),
                ("VBR", sys::lame_set_VBR(handle, sys::vbr_mode::vbr_off)),
                ("brate", sys::lame_set_brate(handle, i32::from(kbps))),
                ("quality", sys::lame_set_quality(handle, 3)),
                ("disable_reservoir", sys::lame_set_disable_reservoir(handle, 1)),
                ("bWriteVbrTag", sys::lame_set_bWriteVbrTag(handle, 0)),
                ("init_params", sys::lame_init_params(handle)),
            ]
        };
        match said.iter().find(|(_, code)| *code != FINE) {
            Some(&(name, code)) => Err(failed(name, code)),
            None => Ok(lame),
        }
    }

    /// Takes whole frames, full scale ±1.0, and appends the packets that are complete.
    pub(super) fn feed(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let mut room = [0; ROOM];
        for step in samples.chunks(STEP * self.channels) {
            let frames = (step.len() / self.channels) as i32;
            let (handle, pcm, into, size) = (self.handle.as_ptr(), step.as_ptr(), room.as_mut_ptr(), ROOM as i32);
            // SAFETY: the handle is open and nobody else uses it; `pcm` has `frames` frames, of two samples each or (given
            // for both channels, of which the second is not read) of one; `into` has room for `size` bytes.
            let made = unsafe {
                match self.channels {
                    1 => sys::lame_encode_buffer_ieee_float(handle, pcm, pcm, frames, into, size),
                    _ => sys::lame_encode_buffer_interleaved_ieee_float(handle, pcm, frames, into, size),
                }
            };
            let bytes = usize::try_from(made).ok().and_then(|made| room.get(..made));
            out.extend_from_slice(bytes.ok_or_else(|| failed("encode", made))?);
        }
        Ok(())
    }
}

/// Its version, as `3.100`.
pub(super) fn version() -> &'static str {
    // SAFETY: it takes nothing, and gives a text of its own that ends with a zero and never changes.
    let version = unsafe { std::ffi::CStr::from_ptr(sys::get_lame_version()) };
    version.to_str().unwrap_or_default()
}

impl Drop for Lame {
    fn drop(&mut self) {
        // SAFETY: the handle is open, and nobody uses it after this.
        unsafe { sys::lame_close(self.handle.as_ptr()) };
    }
}

fn failed(what: &str, code: i32) -> EncodeError {
    EncodeError::Library(format!("LAME refused {what}: {code}"))
}
