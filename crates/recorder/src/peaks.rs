//! Waveform data and loudness for those who ask: read from what [`crate::waveforms`] makes.

use crate::lookup::{blocking, unread};
use crate::status;
use crate::stream::Shared;
use livetape_audio::{Frame, RecordingId, Tail};
use livetape_proto::{MAX_WIDTH, v1};
use livetape_store::{Measured, Minute, PeaksReader, Recording, StoreError};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tonic::{Code, Status};

/// How long a reading waits for others.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn get(
    shared: &Shared,
    recording: Arc<Recording>,
    tail: Tail,
    request: &v1::GetPeaksRequest,
) -> Result<v1::GetPeaksResponse, Status> {
    if !(1..=MAX_WIDTH).contains(&request.width) {
        return Err(status::invalid("width", format!("{} points: 1 to {MAX_WIDTH} are possible", request.width)));
    }
    let (id, frames, width) = (recording.id, span(request.first_frame..request.end_frame, tail)?, request.width);
    let mut reader = PeaksReader::open(&shared.dir, recording);
    let asked = frames.clone();
    let peaks = read(shared, id, move || reader.read(asked, width)).await?;
    remake(shared, id, tail, peaks.end < frames.end);
    Ok(v1::GetPeaksResponse::new(peaks.first, peaks.end, peaks.frames_per_point, &peaks.points))
}

pub(crate) async fn loudness(
    shared: &Shared,
    recording: Arc<Recording>,
    tail: Tail,
    request: &v1::GetLoudnessRequest,
) -> Result<v1::GetLoudnessResponse, Status> {
    let most = request.minutes;
    if most > Measured::MAX_MINUTES {
        let text = format!("{most} minutes: 0 to {} are possible", Measured::MAX_MINUTES);
        return Err(status::invalid("minutes", text));
    }
    let (id, frames) = (recording.id, span(request.first_frame..request.end_frame, tail)?);
    let (dir, asked) = (shared.dir.clone(), frames.clone());
    let told = read(shared, id, move || Measured::read(&dir, &recording, asked, most)).await?;
    remake(shared, id, tail, told.end < frames.end);
    let minute = |minute: &Minute| v1::LoudnessMinute {
        first_frame: minute.first.get(),
        end_frame: minute.end.get(),
        integrated_lufs: minute.integrated,
    };
    Ok(v1::GetLoudnessResponse {
        first_frame: told.first.get(),
        end_frame: told.end.get(),
        integrated_lufs: told.integrated,
        minutes: told.minutes.iter().map(minute).collect(),
    })
}

/// Frames that are asked for, as far as they are recorded.
fn span(asked: Range<u64>, tail: Tail) -> Result<Range<Frame>, Status> {
    let (first, end) = (Frame::new(asked.start), Frame::new(asked.end).min(tail.end));
    if asked.end < asked.start || first > tail.end {
        let text = format!("frames {first} to {} are not there: the recording ends at {}", asked.end, tail.end);
        return Err(status::refused(Code::OutOfRange, "PAST_END", [("end_frame", tail.end.to_string())], text));
    }
    Ok(first..end)
}

/// Reads when it is one's turn. What is damaged is made anew.
async fn read<T: Send + 'static>(
    shared: &Shared,
    id: RecordingId,
    reading: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Status> {
    let busy = || status::later(Code::Unavailable, "BUSY", "too many read peaks now; ask again later");
    let _reading =
        timeout(PATIENCE, shared.waveforms.reads.acquire()).await.map_err(|_| busy())?.map_err(|_| busy())?;
    match blocking(reading).await? {
        Ok(told) => Ok(told),
        Err(error @ StoreError::Damaged { .. }) => {
            tracing::warn!(recording = %id, %error, "made again");
            shared.waveforms.want(id, true);
            Err(status::later(Code::Unavailable, "NOT_MADE", "this is being made; ask again later"))
        }
        Err(error) => Err(unread(id, &error)),
    }
}

/// Has made what is missing of a finished recording.
fn remake(shared: &Shared, id: RecordingId, tail: Tail, is_missing: bool) {
    if tail.is_sealed() && is_missing {
        shared.waveforms.want(id, false);
    }
}
