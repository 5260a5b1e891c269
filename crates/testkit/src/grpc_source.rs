//! A source that speaks `livetape.v1` itself and can say anything in it, right or wrong.
//!
//! One [`Call`] is one call of `Ingest`. It sends what it is told and hides no answer; a source that behaves, paces
//! itself and comes back is [`crate::pusher`].

use bytes::Bytes;
use livetape_audio::{Frame, SampleFormat, Spec, WallTime};
use livetape_proto::v1::{self, ingest_request, ingest_response, ingest_service_client::IngestServiceClient};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::{Status, Streaming};

/// How long any single answer may take.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(15);

/// 48 kHz, 16 bits, stereo: the shape of counting PCM.
pub fn stereo() -> Spec {
    Spec::new(SampleFormat::S16, 48_000, 2).expect("a possible spec")
}

/// 16 random bytes for `Open.instance`.
pub fn instance() -> [u8; 16] {
    *uuid::Uuid::now_v7().as_bytes()
}

/// An `Open` for `stream` with a fresh instance.
pub fn opening(stream: &str, spec: Spec) -> v1::Open {
    v1::Open {
        stream: stream.into(),
        source: "test".into(),
        instance: instance().to_vec(),
        spec: Some(spec.into()),
        resume_recording_id: None,
        title: String::new(),
        ending: false,
        genre: String::new(),
    }
}

/// The time of day now.
pub fn now() -> WallTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    WallTime::from_unix_nanos(i64::try_from(since.as_nanos()).expect("before 2262"))
}

/// One call of `Ingest` that the recorder has opened.
#[derive(Debug)]
pub struct Call {
    requests: mpsc::Sender<v1::IngestRequest>,
    responses: Streaming<v1::IngestResponse>,
    /// The recorder's answer to the open; empty while the call has always been on standby.
    pub opened: v1::Opened,
}

/// Starts a call with any first message.
///
/// # Errors
/// What the recorder answers instead of `Opened`; `DEADLINE_EXCEEDED` when nothing comes.
pub async fn begin(to: SocketAddr, first: ingest_request::Message) -> Result<Call, Status> {
    let mut call = connect(to, first).await?;
    call.granted().await?;
    Ok(call)
}

/// Opens a stream on which nothing is recorded until somebody begins.
///
/// # Errors
/// What the recorder answers instead of `Standby`.
pub async fn open_on_standby(to: SocketAddr, open: v1::Open) -> Result<Call, Status> {
    let mut call = connect(to, ingest_request::Message::Open(open)).await?;
    call.standby().await?;
    Ok(call)
}

/// Opens a stream as a source that has ended, whose end the recorder has had already.
///
/// # Errors
/// What the recorder answers instead of `Ended`.
pub async fn open_ended(to: SocketAddr, open: v1::Open) -> Result<Frame, Status> {
    let open = v1::Open { ending: true, ..open };
    let mut call = connect(to, ingest_request::Message::Open(open)).await?;
    match next(&mut call.responses).await? {
        Some(ingest_response::Message::Ended(ended)) => Ok(Frame::new(ended.durable_frame)),
        other => Err(Status::internal(format!("{other:?} came instead of Ended"))),
    }
}

async fn connect(to: SocketAddr, first: ingest_request::Message) -> Result<Call, Status> {
    let late = |_| Status::deadline_exceeded(format!("no answer from {to}"));
    let connect = IngestServiceClient::connect(format!("http://{to}"));
    let client = timeout(ANSWER_LIMIT, connect).await.map_err(late)?;
    let mut client = client.map_err(|e| Status::unavailable(e.to_string()))?;
    let (requests, outgoing) = mpsc::channel(64);
    let _ = requests.send(v1::IngestRequest { message: Some(first) }).await;
    let outgoing = tokio_stream::wrappers::ReceiverStream::new(outgoing);
    let responses = timeout(ANSWER_LIMIT, client.ingest(outgoing)).await.map_err(late)??.into_inner();
    Ok(Call { requests, responses, opened: v1::Opened::default() })
}

/// Opens a stream.
///
/// # Errors
/// As [`begin`].
pub async fn open(to: SocketAddr, open: v1::Open) -> Result<Call, Status> {
    begin(to, ingest_request::Message::Open(open)).await
}

async fn next(responses: &mut Streaming<v1::IngestResponse>) -> Result<Option<ingest_response::Message>, Status> {
    let answer = timeout(ANSWER_LIMIT, responses.message()).await;
    let answer = answer.map_err(|_| Status::deadline_exceeded(format!("no answer within {ANSWER_LIMIT:?}")))??;
    Ok(answer.and_then(|a| a.message))
}

impl Call {
    /// Waits until the call may write, after the open or after standby.
    ///
    /// # Errors
    /// The status with which the call ended; `INTERNAL` for any other answer.
    pub async fn granted(&mut self) -> Result<(), Status> {
        match next(&mut self.responses).await? {
            Some(ingest_response::Message::Opened(opened)) => self.opened = opened,
            other => return Err(Status::internal(format!("{other:?} came instead of Opened"))),
        }
        Ok(())
    }

    /// Waits until nothing is recorded any more, past any acknowledgements.
    ///
    /// # Errors
    /// As [`Self::granted`].
    pub async fn standby(&mut self) -> Result<(), Status> {
        loop {
            match next(&mut self.responses).await? {
                Some(ingest_response::Message::Standby(_)) => return Ok(()),
                Some(ingest_response::Message::Acknowledged(_)) => {}
                other => return Err(Status::internal(format!("{other:?} came instead of Standby"))),
            }
        }
    }

    /// Sends any message. `false` when the call has ended; [`Self::refusal`] says how.
    pub async fn send(&self, message: ingest_request::Message) -> bool {
        let sent = self.requests.send_timeout(v1::IngestRequest { message: Some(message) }, ANSWER_LIMIT);
        sent.await.is_ok()
    }

    /// Sends frames from `first` on, the first of them captured at `time`.
    pub async fn append(&self, first: Frame, time: WallTime, pcm: impl Into<Bytes>) -> bool {
        self.append_as(self.opened.epoch, first, time, pcm).await
    }

    /// [`Self::append`] under any epoch.
    pub async fn append_as(&self, epoch: u64, first: Frame, time: WallTime, pcm: impl Into<Bytes>) -> bool {
        self.send(ingest_request::Message::Append(v1::Append {
            epoch,
            first_frame: first.get(),
            captured_at_unix_ns: time.unix_nanos(),
            pcm: pcm.into(),
            ..Default::default()
        }))
        .await
    }

    /// Announces that audio is missing before `at`.
    pub async fn gap(&self, at: Frame, lost: Option<u64>, reason: v1::GapReason) -> bool {
        let epoch = self.opened.epoch;
        let gap = v1::Gap { epoch, at_frame: at.get(), lost_frames: lost, reason: reason.into() };
        self.send(ingest_request::Message::Gap(gap)).await
    }

    /// Says what is playing from frame `at` on.
    pub async fn title(&self, at: Frame, title: &str) -> bool {
        let title = v1::Title { epoch: self.opened.epoch, at_frame: at.get(), title: title.into() };
        self.send(ingest_request::Message::Title(title)).await
    }

    /// The next acknowledgement.
    ///
    /// # Errors
    /// The status with which the call ended; `INTERNAL` for any other answer.
    pub async fn acknowledgement(&mut self) -> Result<Frame, Status> {
        match next(&mut self.responses).await? {
            Some(ingest_response::Message::Acknowledged(ack)) => Ok(Frame::new(ack.durable_frame)),
            other => Err(Status::internal(format!("{other:?} came instead of an acknowledgement"))),
        }
    }

    /// Waits until all frames before `end` are acknowledged.
    ///
    /// # Errors
    /// As [`Self::acknowledgement`].
    pub async fn acknowledged(&mut self, end: Frame) -> Result<(), Status> {
        while self.acknowledgement().await? < end {}
        Ok(())
    }

    /// Says that the source has ended at `at`, and waits until the recorder has sealed the recording.
    ///
    /// # Errors
    /// The status with which the call ended instead.
    pub async fn end(mut self, at: Frame) -> Result<Frame, Status> {
        let end = v1::End { epoch: self.opened.epoch, at_frame: at.get() };
        self.send(ingest_request::Message::End(end)).await;
        loop {
            match next(&mut self.responses).await? {
                Some(ingest_response::Message::Ended(ended)) => return Ok(Frame::new(ended.durable_frame)),
                Some(ingest_response::Message::Acknowledged(_)) => {}
                other => return Err(Status::internal(format!("{other:?} came instead of Ended"))),
            }
        }
    }

    /// Waits for the recorder to end the call, past any acknowledgements.
    pub async fn refusal(&mut self) -> Status {
        loop {
            match next(&mut self.responses).await {
                Err(status) => return status,
                Ok(None) => return Status::ok("the call ended without an error"),
                Ok(Some(_)) => {}
            }
        }
    }

    /// The two sides of the call, to be used at the same time.
    pub fn split(self) -> (mpsc::Sender<v1::IngestRequest>, Streaming<v1::IngestResponse>) {
        (self.requests, self.responses)
    }
}
