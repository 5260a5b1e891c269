//! Floor 1: audio files and streams to samples, samples to the shape of a stream, PCM to compressed renditions.
//!
//! ```text
//! file, bytes -> decode::Decoder -> blocks of samples, tags -> convert::Converter -> PCM of a Spec
//! PCM of a Spec -> encode::BlockEncoder, encode::flac -> blocks -> encode::Track -> bytes
//! ```
//!
//! Samples are `f64`, interleaved, full scale ±1.0: every sample of 16, 24 and 32 bits and every `f32` is one of them, so
//! what needs no conversion comes out bit by bit as it went in.
//! Not here: clocks, threads, playlists, what a broken file means for others.

pub mod convert;
pub mod decode;
pub mod encode;
