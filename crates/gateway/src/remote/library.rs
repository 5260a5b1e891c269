//! The library of a recorder elsewhere: frames and timelines by its calls, lists and tails from the mirror.

use super::link::{FIRST_WAIT, LONGEST_WAIT, PATIENCE, channel, limited, whole, within};
use super::{CatalogueMirror, RemoteError};
use crate::dir::known_tail;
use crate::library::{Block, FrameReader, Library, ReadError};
use crate::timelines::{READS, Timelines, Upto, timelines};
use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::BoxFuture;
use livetape_audio::{Entry, Frame, FrameCount, RecordingId, Spec, Tail, Timeline};
use livetape_proto::v1::catalogue_service_client::CatalogueServiceClient;
use livetape_proto::v1::tape_service_client::TapeServiceClient;
use livetape_proto::{MAX_BLOCK_BYTES, MAX_MESSAGE_BYTES, v1};
use livetape_proto::{RecorderAddress, RecorderChannel};
use livetape_store::{Catalogue, Measured, Minute, Peaks, Recording};
use livetape_tail::{TailWatch, Watch};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};
use tonic::{Code, Status};

/// Entries of a timeline in one answer, and its largest size: an entry is shorter than 4 KiB on disk.
const ENTRIES: u32 = 1_000;
const MAX_ENTRIES_BYTES: usize = 8 << 20;
/// How long it may take to read a timeline, with the wait for those who read before.
const TIMELINE: Duration = Duration::from_secs(30);

/// Recordings of a recorder elsewhere.
pub struct RecorderLibrary {
    tapes: TapeServiceClient<RecorderChannel>,
    timelines_of: CatalogueServiceClient<RecorderChannel>,
    catalogue: Arc<Catalogue>,
    tails: Arc<dyn Watch>,
    timelines: Timelines<OpenTimeline>,
    reads: Arc<Semaphore>,
}

struct OpenTimeline {
    timeline: Arc<Timeline>,
    /// Entries that were taken in, or left out because they are not understood here.
    taken: u64,
    upto: Upto,
}

impl RecorderLibrary {
    /// What `mirror` lists, read through `recorder`, as far as `tails` says. Has connections of its own, so
    /// that audio never delays news. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`RemoteError::Url`].
    pub fn new(
        recorder: &RecorderAddress,
        mirror: &CatalogueMirror,
        tails: Arc<dyn Watch>,
    ) -> Result<Self, RemoteError> {
        Ok(Self {
            tapes: TapeServiceClient::new(channel(recorder)?).max_decoding_message_size(MAX_MESSAGE_BYTES),
            timelines_of: CatalogueServiceClient::new(channel(recorder)?).max_decoding_message_size(MAX_ENTRIES_BYTES),
            catalogue: mirror.catalogue(),
            tails,
            timelines: timelines(),
            reads: Arc::new(Semaphore::new(READS)),
        })
    }
}

impl Library for RecorderLibrary {
    fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }
    fn tail(&self, id: RecordingId) -> Option<TailWatch> {
        known_tail(&*self.tails, &self.catalogue, id)
    }

    fn timeline(&self, recording: Arc<Recording>, tail: Tail) -> BoxFuture<'_, Result<Arc<Timeline>, ReadError>> {
        let begin = || {
            let timeline = Arc::new(Timeline::new(recording.spec));
            Mutex::new(OpenTimeline { timeline, taken: 0, upto: Upto::default() })
        };
        let open = self.timelines.open(recording.id, begin);
        let reading = async move {
            let mut open = open.lock_owned().await;
            let covers = open.upto.covers(&tail);
            if covers && open.upto.is_fresh() {
                return Ok(open.timeline.clone());
            }
            let _reading = self.reads.acquire().await;
            match open.read_on(self.timelines_of.clone(), recording.id, &tail).await {
                Ok(()) => open.upto = Upto::now(tail),
                // Only what was added later would be missing.
                Err(status) if covers => tracing::debug!(%status, "a timeline is not read again"),
                Err(status) => return Err(read_error("a timeline", status)),
            }
            Ok(open.timeline.clone())
        };
        // Whoever else reads it has its own limit; a recorder that never comes to an end has this one.
        async move {
            let late = |_| Err(read_error("a timeline", Status::deadline_exceeded("the recorder comes to no end")));
            tokio::time::timeout(TIMELINE, reading).await.unwrap_or_else(late)
        }
        .boxed()
    }

    fn peaks(
        &self,
        recording: Arc<Recording>,
        frames: Range<Frame>,
        width: u32,
    ) -> BoxFuture<'_, Result<Peaks, ReadError>> {
        async move {
            let _reading = self.reads.acquire().await;
            peaks(self.tapes.clone(), &recording, frames, width).await
        }
        .boxed()
    }

    fn loudness(
        &self,
        recording: Arc<Recording>,
        frames: Range<Frame>,
        minutes: u32,
    ) -> BoxFuture<'_, Result<Measured, ReadError>> {
        async move {
            let _reading = self.reads.acquire().await;
            loudness(self.tapes.clone(), &recording, frames, minutes).await
        }
        .boxed()
    }

    fn reader(&self, recording: &Arc<Recording>) -> Box<dyn FrameReader> {
        Box::new(RecorderReader { tapes: self.tapes.clone(), id: recording.id, spec: recording.spec })
    }
}

impl OpenTimeline {
    /// Takes in entries about frames before the tail's end, or all of a sealed recording.
    async fn read_on(
        &mut self,
        mut client: CatalogueServiceClient<RecorderChannel>,
        id: RecordingId,
        tail: &Tail,
    ) -> Result<(), Status> {
        loop {
            let request = v1::ListTimelineRequest { recording_id: id.into(), after: self.taken, limit: ENTRIES };
            let page = within(PATIENCE, client.list_timeline(limited(PATIENCE, request))).await?.into_inner();
            if page.entries.is_empty() {
                return Ok(());
            }
            for entry in page.entries {
                // The recorder knows more than the tail that is asked about.
                if !tail.is_sealed() && Frame::new(entry.frame) >= tail.end {
                    return Ok(());
                }
                self.taken += 1;
                match Entry::try_from(entry) {
                    // What is out of order cannot be placed.
                    Ok(entry) => _ = Arc::make_mut(&mut self.timeline).push(entry),
                    Err(error) => tracing::debug!(%error, recording = %id, "an entry is not understood here"),
                }
            }
            if page.next.is_none() {
                return Ok(());
            }
        }
    }
}

struct RecorderReader {
    tapes: TapeServiceClient<RecorderChannel>,
    id: RecordingId,
    spec: Spec,
}

impl FrameReader for RecorderReader {
    fn read(&mut self, frames: Range<Frame>) -> BoxFuture<'_, Result<Block, ReadError>> {
        async move {
            let (most, _) = self.spec.frames_in(u64::from(MAX_BLOCK_BYTES));
            let count = frames.end.since(frames.start).min(most.max(FrameCount::new(1)));
            let read = within(PATIENCE, self.some_surely(frames.start, count)).await;
            read.map(Block::Memory).map_err(|status| read_error("frames", status))
        }
        .boxed()
    }
}

impl RecorderReader {
    /// As [`Self::some`], through a recorder that is started again meanwhile: what is durable is still there then.
    async fn some_surely(&mut self, first: Frame, count: FrameCount) -> Result<Bytes, Status> {
        let mut wait = FIRST_WAIT;
        loop {
            match self.some(first, count).await {
                Err(status) if matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled) => {
                    tracing::debug!(error = whole(&status), "frames are asked for again");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                read => return read,
            }
        }
    }

    /// These frames, or the first of them.
    async fn some(&mut self, first: Frame, count: FrameCount) -> Result<Bytes, Status> {
        let request = v1::ReadFramesRequest {
            recording_id: self.id.into(),
            first_frame: first.get(),
            frame_count: count.get(),
            follow: false,
        };
        let mut blocks = self.tapes.read_frames(limited(PATIENCE, request)).await?.into_inner();
        let (mut next, end) = (first, first + count);
        let (mut all, mut rest) = (Bytes::new(), BytesMut::new());
        while let Some(block) = blocks.message().await? {
            let (frames, over) = self.spec.frames_in(block.pcm.len() as u64);
            if block.first_frame != next.get() || over != 0 || next + frames > end {
                let (from, bytes) = (block.first_frame, block.pcm.len());
                let what = format!("asked for frames {next} to {end}, the recorder gave {bytes} bytes from {from} on");
                return Err(Status::data_loss(what));
            }
            next = next + frames;
            if all.is_empty() {
                all = block.pcm;
            } else {
                rest.extend_from_slice(&block.pcm);
            }
        }
        if all.is_empty() {
            return Err(Status::data_loss(format!("the recorder gave no frames from {first} on")));
        }
        if !rest.is_empty() {
            all = [all, rest.freeze()].concat().into();
        }
        Ok(all)
    }
}

/// Asks for peaks.
pub(super) async fn peaks(
    mut tapes: TapeServiceClient<RecorderChannel>,
    recording: &Recording,
    frames: Range<Frame>,
    width: u32,
) -> Result<Peaks, ReadError> {
    let request = v1::GetPeaksRequest {
        recording_id: recording.id.into(),
        first_frame: frames.start.get(),
        end_frame: frames.end.get(),
        width,
    };
    let answer = within(PATIENCE, tapes.get_peaks(limited(PATIENCE, request))).await;
    let told = answer.map_err(|status| read_error("peaks", status))?.into_inner();
    let points = told.points_of(recording.spec).filter(|points| points.len() <= most_points(recording, width));
    let what = "the recorder gave points that do not fit the frames that it named";
    let points = points.ok_or_else(|| read_error("peaks", Status::data_loss(what)))?;
    let (first, end) = (Frame::new(told.first_frame), Frame::new(told.end_frame));
    Ok(Peaks { first, end, frames_per_point: FrameCount::new(told.frames_per_point), points })
}

/// Asks for loudness.
pub(super) async fn loudness(
    mut tapes: TapeServiceClient<RecorderChannel>,
    recording: &Recording,
    frames: Range<Frame>,
    minutes: u32,
) -> Result<Measured, ReadError> {
    let request = v1::GetLoudnessRequest {
        recording_id: recording.id.into(),
        first_frame: frames.start.get(),
        end_frame: frames.end.get(),
        minutes,
    };
    let answer = within(PATIENCE, tapes.get_loudness(limited(PATIENCE, request))).await;
    let told = answer.map_err(|status| read_error("loudness", status))?.into_inner();
    let most = usize::try_from(minutes).unwrap_or(usize::MAX);
    if told.minutes.len() > most || told.end_frame < told.first_frame {
        let what = "the recorder gave minutes that do not fit the frames that it named";
        return Err(read_error("loudness", Status::data_loss(what)));
    }
    let minute = |minute: &v1::LoudnessMinute| Minute {
        first: Frame::new(minute.first_frame),
        end: Frame::new(minute.end_frame),
        integrated: minute.integrated_lufs,
    };
    Ok(Measured {
        first: Frame::new(told.first_frame),
        end: Frame::new(told.end_frame),
        integrated: told.integrated_lufs,
        minutes: told.minutes.iter().map(minute).collect(),
    })
}

fn most_points(recording: &Recording, width: u32) -> usize {
    usize::try_from(width).unwrap_or(usize::MAX).saturating_mul(usize::from(recording.spec.channels()))
}

fn read_error(what: &str, status: Status) -> ReadError {
    let why = whole(&status);
    ReadError { what: format!("{what} of a recording could not be read: {why}"), source: Some(Box::new(status)) }
}
