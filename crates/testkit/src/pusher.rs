//! A well-behaved source outside the recorder: captures in real time, keeps what is not acknowledged, comes back after
//! every broken call and goes on where the recorder stopped.
//!
//! What frame `n` holds depends on `n` alone, so it needs no memory of what it captured, and a test can say of every
//! byte of the recording whether it is right.

use crate::grpc_source::{self, Call, now};
use anyhow::{Result, bail};
use livetape_audio::{Frame, FrameCount, Spec, WallTime};
use livetape_proto::v1::{self, ingest_request::Message, ingest_response};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tonic::Status;

/// The bytes of the frames from the first, so many of them.
pub type Content = fn(Frame, FrameCount, Spec) -> Vec<u8>;

/// Time between two appends.
const TICK: Duration = Duration::from_millis(20);
/// Time after a broken call before the next try.
const RETRY: Duration = Duration::from_millis(100);

/// What to push, and where.
#[derive(Clone, Debug)]
pub struct Push {
    /// Address of the recorder.
    pub to: SocketAddr,
    /// Name of the stream.
    pub stream: String,
    /// Shape of the audio.
    pub spec: Spec,
    /// What the frames hold.
    pub content: Content,
    /// How much was captured before the start: it is sent at once.
    pub backlog: Duration,
}

/// How it stands.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// The recording, after the first `Opened`.
    pub recording: Option<String>,
    /// All frames before this are acknowledged.
    pub acknowledged: Frame,
    /// How often the recorder opened the stream to it.
    pub opened: usize,
    /// Every status with which a call ended or could not begin.
    pub errors: Vec<Status>,
    /// Something that the recorder must never do.
    pub broken: Option<String>,
    /// The end that the recorder confirmed after `End`.
    pub ended: Option<Frame>,
}

#[derive(Debug)]
struct Shared {
    progress: Mutex<Progress>,
    /// Where the audio ends, once that is decided.
    stop: Mutex<Option<Frame>>,
    /// The title that is still to be sent.
    title: Mutex<Option<String>>,
    start: Instant,
    start_time: WallTime,
    push: Push,
}

/// The running source. Dropping it is the same as the loss of the machine that it runs on.
#[derive(Debug)]
pub struct Pusher {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Pusher {
    /// Starts to capture.
    pub fn start(push: Push) -> Self {
        let start_time = now().earlier(push.backlog);
        let (progress, stop, title) = (Mutex::default(), Mutex::default(), Mutex::default());
        let shared = Arc::new(Shared { progress, stop, title, start: Instant::now(), start_time, push });
        let task = crate::runtime().spawn(run(Arc::clone(&shared)));
        Self { shared, task }
    }

    /// How it stands now.
    pub fn progress(&self) -> Progress {
        self.shared.progress()
    }
    /// The end of what is captured now.
    pub fn captured(&self) -> Frame {
        self.shared.captured()
    }

    /// When frame 0 was captured, if this source has captured all.
    ///
    /// # Panics
    /// When that was before the machine was started.
    pub fn zero(&self) -> Instant {
        self.shared.start.checked_sub(self.shared.push.backlog).expect("the machine runs for longer")
    }

    /// Waits until the recorder has opened the stream, and gives the recording's id.
    ///
    /// # Errors
    /// When it does not.
    pub fn recording(&self, limit: Duration) -> Result<String> {
        crate::wait::until("a recording for the source", limit, || self.progress().recording)
    }

    /// Waits until all frames before `end` are acknowledged.
    ///
    /// # Errors
    /// When they are not in time, with what happened instead.
    pub fn acknowledged(&self, end: Frame, limit: Duration) -> Result<()> {
        let what = format!("acknowledgement of frame {end}");
        crate::wait::until(&what, limit, || {
            let progress = self.progress();
            (progress.acknowledged >= end || progress.broken.is_some()).then_some(())
        })
        .map_err(|e| e.context(format!("{:?}", self.progress())))?;
        match self.progress().broken {
            Some(what) => bail!(what),
            None => Ok(()),
        }
    }

    /// From about now on, this is what is being played.
    pub fn title(&self, title: &str) {
        *self.shared.title.lock().unwrap_or_else(PoisonError::into_inner) = Some(title.to_owned());
    }

    /// Ends the source now and waits until the recorder has sealed the recording. Gives its end.
    ///
    /// # Errors
    /// When the recorder does not confirm it in time.
    pub fn end(&self, limit: Duration) -> Result<Frame> {
        let end = self.captured();
        *self.shared.stop.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
        let sealed = crate::wait::until("Ended", limit, || self.progress().ended)
            .map_err(|e| e.context(format!("{:?}", self.progress())))?;
        anyhow::ensure!(sealed == end, "sealed at {sealed}, but the source ended at {end}");
        Ok(end)
    }
}

impl Drop for Pusher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn progress(&self) -> Progress {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    fn update(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner));
    }
    fn stop(&self) -> Option<Frame> {
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn title(&self) -> Option<String> {
        self.title.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
    fn captured(&self) -> Frame {
        let live = Frame::ZERO + self.push.spec.frames(self.push.backlog + self.start.elapsed());
        self.stop().map_or(live, |stop| live.min(stop))
    }
}

async fn run(shared: Arc<Shared>) {
    loop {
        let status = match attempt(&shared).await {
            Ok(()) => return,
            Err(status) => status,
        };
        shared.update(|p| p.errors.push(status));
        if shared.progress().broken.is_some() {
            return;
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// One call, until it breaks (an error) or the recorder has confirmed the end.
async fn attempt(shared: &Arc<Shared>) -> Result<(), Status> {
    let push = &shared.push;
    let before = shared.progress();
    let mut open = grpc_source::opening(&push.stream, push.spec);
    // The same instance in every call: this source never loses what it captured.
    open.instance = shared.start_time.unix_nanos().to_be_bytes().repeat(2);
    open.resume_recording_id.clone_from(&before.recording);
    let call = grpc_source::open(push.to, open).await?;
    let next = match resume(&call.opened, &before) {
        Ok(next) => next,
        Err(what) => {
            shared.update(|p| p.broken = Some(what.clone()));
            return Err(Status::data_loss(what));
        }
    };
    shared.update(|p| {
        p.opened += 1;
        p.recording = Some(call.opened.recording_id.clone());
        p.acknowledged = p.acknowledged.max(next);
    });
    converse(shared, call, next).await
}

/// Where to go on; what the recorder may not do is lose what it acknowledged, or begin another recording.
fn resume(opened: &v1::Opened, before: &Progress) -> Result<Frame, String> {
    let next = Frame::new(opened.next_frame);
    match &before.recording {
        Some(id) if *id != opened.recording_id => Err(format!("{id} was not gone on with: {opened:?}")),
        Some(_) if opened.resume_frame != Some(opened.next_frame) => Err(format!("cannot resume: {opened:?}")),
        _ if next < before.acknowledged => {
            Err(format!("acknowledged up to {}, but goes on at {next}", before.acknowledged))
        }
        _ => Ok(next),
    }
}

async fn converse(shared: &Arc<Shared>, call: Call, mut next: Frame) -> Result<(), Status> {
    let (push, epoch) = (&shared.push, call.opened.epoch);
    let most = push.spec.frames_in(u64::from(call.opened.max_append_bytes).min(64 * 1024)).0;
    let (requests, mut responses) = call.split();
    let mut tick = tokio::time::interval(TICK);
    let mut end_said = false;
    loop {
        tokio::select! {
            answer = responses.message() => match answer?.and_then(|a| a.message) {
                Some(ingest_response::Message::Acknowledged(ack)) => {
                    let durable = Frame::new(ack.durable_frame);
                    shared.update(|p| p.acknowledged = p.acknowledged.max(durable));
                    if durable > next {
                        let what = format!("acknowledged {durable}, but only {next} was sent");
                        shared.update(|p| p.broken = Some(what.clone()));
                        return Err(Status::internal(what));
                    }
                }
                Some(ingest_response::Message::Ended(ended)) => {
                    let end = Frame::new(ended.durable_frame);
                    shared.update(|p| (p.acknowledged, p.ended) = (end, Some(end)));
                    return Ok(());
                }
                other => return Err(Status::internal(format!("{other:?} came in the middle of a call"))),
            },
            _ = tick.tick() => {
                let captured = shared.captured();
                while next < captured {
                    let count = captured.since(next).min(most);
                    let pcm = (push.content)(next, count, push.spec).into();
                    let captured_at = shared.start_time.after_frames(next.since(Frame::ZERO), push.spec);
                    let (first_frame, captured_at_unix_ns) = (next.get(), captured_at.unix_nanos());
                    let append = v1::Append { epoch, first_frame, captured_at_unix_ns, pcm, ..Default::default() };
                    // A full channel must not keep us from reading acknowledgements: the rest goes with the next tick.
                    match requests.try_send(v1::IngestRequest { message: Some(Message::Append(append)) }) {
                        Ok(()) => next = next + count,
                        Err(_) => break,
                    }
                }
                if let Some(title) = shared.title() {
                    let title = v1::Title { epoch, at_frame: next.get(), title };
                    // Said while there is no room, it is lost: no test says that many.
                    _ = requests.try_send(v1::IngestRequest { message: Some(Message::Title(title)) });
                }
                if shared.stop() == Some(next) && !end_said {
                    let end = v1::End { epoch, at_frame: next.get() };
                    end_said = requests.try_send(v1::IngestRequest { message: Some(Message::End(end)) }).is_ok();
                }
            }
        }
    }
}
