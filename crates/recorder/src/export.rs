//! A view as a file: which frames it has, its header, its length.

use crate::lookup::{blocking, tail, unread};
use crate::outlet::Outlet;
use crate::status;
use crate::stream::Shared;
use crate::tape_service::Tape;
use bytes::Bytes;
use livetape_audio::{Container, DataSize, Frame, Moment, Tail, Timeline, View, ViewAddress, ViewError};
use livetape_proto::v1::{self, ExportRequest, ExportResponse};
use livetape_store::{Recording, TimelineFollower};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tonic::{Code, Status};

/// What a file will hold.
pub(crate) struct File {
    container: Container,
    frames: Range<Frame>,
}

/// Decides what the file will hold: frames that are all recorded.
pub(crate) async fn plan(shared: &Arc<Shared>, recording: &Recording, request: &ExportRequest) -> Result<File, Status> {
    let address = ViewAddress { from: moment("from", &request.from)?, to: moment("to", &request.to)? };
    let container = match v1::Container::try_from(request.container) {
        Ok(v1::Container::Unspecified | v1::Container::Wav) => Container::Wav,
        Ok(v1::Container::Rf64) => Container::Rf64,
        Ok(v1::Container::Pcm) => Container::Pcm,
        Err(_) => {
            let text = format!("container {} is not known: use one of livetape.v1.Container", request.container);
            return Err(status::invalid("container", text));
        }
    };
    let tail = tail(shared, recording.id)?;
    let mut follower = TimelineFollower::open(&shared.dir, recording);
    let (follower, outcome) = blocking(move || {
        let outcome = follower.refresh(&tail);
        (follower, outcome)
    })
    .await?;
    outcome.map_err(|error| unread(recording.id, &error))?;
    let timeline = follower.timeline();
    let frames = match address.resolve(recording.spec, timeline, &tail, Duration::ZERO) {
        Ok(view) => view.first..end(view, timeline, &tail, address)?,
        // The whole of a recording that has no audio.
        Err(_) if address == ViewAddress::default() => Frame::ZERO..Frame::ZERO,
        Err(error @ ViewError::Reversed { .. }) => return Err(status::invalid("to", error.to_string())),
        Err(error) => return Err(ahead(&tail, error.to_string())),
    };
    Ok(File { container, frames })
}

fn moment(field: &str, text: &str) -> Result<Option<Moment>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|e| status::invalid(field, format!("{field}: {e}")))
}

fn end(view: View, timeline: &Timeline, tail: &Tail, address: ViewAddress) -> Result<Frame, Status> {
    match (view.known_end(timeline, tail), address.to) {
        (Some(end), _) => Ok(end),
        (None, None) => Ok(tail.end.max(view.first)),
        (None, Some(to)) => {
            let text = format!("the view ends at {to}, which is not recorded yet: ask again then, or leave it out");
            Err(ahead(tail, text))
        }
    }
}

fn ahead(tail: &Tail, text: String) -> Status {
    status::refused(Code::OutOfRange, "PAST_END", [("end_frame", tail.end.to_string())], text)
}

impl File {
    /// Sends header, audio, and the byte that makes an odd chunk even.
    pub(crate) async fn send(self, mut tape: Tape, outlet: Outlet<ExportResponse>) -> Result<(), Status> {
        let (spec, count) = (tape.recording.spec, self.frames.end.since(self.frames.start));
        let header = self.container.header(spec, DataSize::Known(count));
        let pads = self.container != Container::Pcm && spec.bytes(count) % 2 == 1;
        let total = header.len() as u64 + spec.bytes(count) + u64::from(pads);
        outlet.send(ExportResponse { data: header.into(), total_bytes: Some(total) }).await?;
        let mut frames = self.frames;
        while !frames.is_empty() {
            let room = outlet.room().await?;
            let data = tape.block(frames.clone()).await?;
            frames.start = frames.start + spec.frames_in(data.len() as u64).0;
            room.fill(Ok(ExportResponse { data, total_bytes: None }));
        }
        if pads {
            outlet.send(ExportResponse { data: Bytes::from_static(&[0]), total_bytes: None }).await?;
        }
        Ok(())
    }
}
