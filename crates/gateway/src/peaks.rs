//! Waveform data of a part of a recording, as audiowaveform writes it, so that other players can use it: as JSON, to which
//! what its format has no place for is added, and as its binary `.dat`, version 2.

use crate::context::Context;
use crate::listing;
use crate::problem::Problem;
use crate::query::{PeaksAddress, Query};
use crate::recording::{known, unattended};
use crate::reply::{Reply, json, set_text, text};
use crate::request::{FIRST_FRAME, Path, RECORDING, Request};
use axum::extract::State;
use http::StatusCode;
use http::header::{self, HeaderName, HeaderValue};
use livetape_audio::{Frame, RecordingId, Tail};
use livetape_store::{Peaks, Recording};
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// How far the points go.
const END_FRAME: HeaderName = HeaderName::from_static("x-livetape-end-frame");
/// Bits of a sample, the version of the format, and what its flags are where samples have 16 bits.
const BITS: u32 = 16;
const VERSION: i32 = 2;
const FLAGS: u32 = 0;
/// When to ask again for what is being made.
const AGAIN: Duration = Duration::from_secs(2);

type Here = State<Arc<Context>>;

/// `GET /recordings/{id}/peaks`: as the client likes it better.
pub(crate) async fn either(here: Here, id: Path<RecordingId>, query: Query<PeaksAddress>, request: Request) -> Reply {
    let accepts = request.header(header::ACCEPT).unwrap_or_default();
    let binary = accepts.contains("application/octet-stream") && !accepts.contains("json");
    let reply = if binary { dat(here, id, query).await } else { as_json(here, id, query).await };
    reply.map(|mut reply| {
        reply.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
        reply
    })
}

/// `GET /recordings/{id}/peaks.json`.
pub(crate) async fn as_json(
    State(context): Here,
    Path(id): Path<RecordingId>,
    Query(address): Query<PeaksAddress>,
) -> Reply {
    let (recording, tail, peaks) = find(&context, id, address).await?;
    json(&Waveform::new(&recording, tail, &peaks))
}

/// `GET /recordings/{id}/peaks.dat`.
pub(crate) async fn dat(
    State(context): Here,
    Path(id): Path<RecordingId>,
    Query(address): Query<PeaksAddress>,
) -> Reply {
    let (recording, _, peaks) = find(&context, id, address).await?;
    let mut reply = text(StatusCode::OK, "application/octet-stream", binary(&recording, &peaks)?);
    let headers = reply.headers_mut();
    headers.insert(FIRST_FRAME, HeaderValue::from(peaks.first.get()));
    headers.insert(END_FRAME, HeaderValue::from(peaks.end.get()));
    set_text(headers, RECORDING, &recording.id.to_string());
    set_text(headers, header::CONTENT_DISPOSITION, "inline; filename=\"peaks.dat\"");
    Ok(reply)
}

/// The peaks of the part that is asked for, as far as it is recorded and they are made.
async fn find(
    context: &Context,
    id: RecordingId,
    address: PeaksAddress,
) -> Result<(Arc<Recording>, Tail, Peaks), Problem> {
    let recording = known(context, id)?;
    let tail = context.library.tail(id).ok_or_else(unattended)?.current();
    let timeline = listing::timeline_for(context, &recording, tail, address.view).await?;
    let view = address.view.resolve(recording.spec, &timeline, &tail, Duration::ZERO)?;
    let end = view.known_end(&timeline, &tail).unwrap_or(tail.end).max(view.first);
    let frames = view.first..end;
    let read = context.library.peaks(recording.clone(), frames.clone(), address.width).await;
    let is_whole = |peaks: &Peaks| peaks.end >= end || !tail.is_sealed();
    let peaks = match (read, &context.operations) {
        (Ok(peaks), _) if is_whole(&peaks) => Ok(peaks),
        // The recorder has them made, and may know better.
        (_, Some(operations)) => operations.peaks(&recording, frames, address.width).await,
        (read, None) => read,
    };
    let peaks = peaks.map_err(|error| match known(context, id) {
        Ok(_) => Problem::unread(&error),
        Err(gone) => gone,
    })?;
    if peaks.points.is_empty() && !is_whole(&peaks) {
        known(context, id)?;
        return Err(Problem::later("the peaks of this recording are being made", "ask again in a moment", AGAIN));
    }
    Ok((recording, tail, peaks))
}

/// The JSON of audiowaveform, and more.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Waveform {
    version: i32,
    channels: u16,
    sample_rate: u32,
    samples_per_pixel: u64,
    bits: u32,
    length: usize,
    /// For each point lowest and highest sample of all channels.
    data: Vec<i16>,
    /// For each point the root mean square of all channels.
    rms: Vec<u16>,
    recording: RecordingId,
    /// Where the first point begins, and the frame after the last one that is told of.
    first_frame: Frame,
    end_frame: Frame,
    /// How far the recording goes.
    frames: Frame,
}

impl Waveform {
    fn new(recording: &Recording, tail: Tail, peaks: &Peaks) -> Self {
        let spec = recording.spec;
        Self {
            version: VERSION,
            channels: spec.channels(),
            sample_rate: spec.rate(),
            samples_per_pixel: peaks.frames_per_point.get(),
            bits: BITS,
            length: length(recording, peaks),
            data: peaks.points.iter().flat_map(|point| [point.min, point.max]).collect(),
            rms: peaks.points.iter().map(|point| point.rms).collect(),
            recording: recording.id,
            first_frame: peaks.first,
            end_frame: peaks.end,
            frames: tail.end,
        }
    }
}

fn length(recording: &Recording, peaks: &Peaks) -> usize {
    peaks.points.len() / usize::from(recording.spec.channels())
}

/// The bytes of a `.dat`: its head of 24 bytes, then lowest and highest sample of each channel for each point.
fn binary(recording: &Recording, peaks: &Peaks) -> Result<Vec<u8>, Problem> {
    let wide = || {
        let error = "the points are wider than a .dat can say";
        Problem::bad_request(error, "ask for more points, for a shorter part, or for the JSON")
    };
    let frames_per_point = i32::try_from(peaks.frames_per_point.get()).map_err(|_| wide())?;
    let spec = recording.spec;
    let (rate, channels) = (spec.rate().to_le_bytes(), u32::from(spec.channels()).to_le_bytes());
    let length = u32::try_from(length(recording, peaks)).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes =
        [VERSION.to_le_bytes(), FLAGS.to_le_bytes(), rate, frames_per_point.to_le_bytes(), length, channels].concat();
    bytes.extend(peaks.points.iter().flat_map(|point| [point.min, point.max]).flat_map(i16::to_le_bytes));
    Ok(bytes)
}
