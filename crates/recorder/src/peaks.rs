//! Waveform data for those who ask: read from what [`crate::waveforms`] makes.

use crate::lookup::{blocking, unread};
use crate::status;
use crate::stream::Shared;
use livetape_audio::{Frame, Tail};
use livetape_proto::{MAX_WIDTH, v1};
use livetape_store::{PeaksReader, Recording, StoreError};
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
    let (first, end) = (Frame::new(request.first_frame), Frame::new(request.end_frame).min(tail.end));
    if request.end_frame < request.first_frame || first > tail.end {
        let text = format!("frames {first} to {} are not there: the recording ends at {}", request.end_frame, tail.end);
        return Err(status::refused(Code::OutOfRange, "PAST_END", [("end_frame", tail.end.to_string())], text));
    }
    let busy = || status::later(Code::Unavailable, "BUSY", "too many read peaks now; ask again later");
    let _reading =
        timeout(PATIENCE, shared.waveforms.reads.acquire()).await.map_err(|_| busy())?.map_err(|_| busy())?;
    let (id, is_sealed, width) = (recording.id, tail.is_sealed(), request.width);
    let mut reader = PeaksReader::open(&shared.dir, recording);
    match blocking(move || reader.read(first..end, width)).await? {
        Ok(peaks) => {
            if is_sealed && peaks.end < end {
                shared.waveforms.want(id, false);
            }
            Ok(v1::GetPeaksResponse::new(peaks.first, peaks.end, peaks.frames_per_point, &peaks.points))
        }
        Err(error @ StoreError::Damaged { .. }) => {
            tracing::warn!(recording = %id, %error, "made again");
            shared.waveforms.want(id, true);
            Err(status::later(Code::Unavailable, "NOT_MADE", "the peaks are being made; ask again later"))
        }
        Err(error) => Err(unread(id, &error)),
    }
}
