//! The streams of a recorder: who asks for one gets the queue of its task, which is started if there is none.

use crate::call::{CallId, Command, Progress};
use crate::open_tape::OpenTape;
use crate::stream::{Shared, Stream};
use crate::tape::OpenError;
use crate::wish::{Done, Refused, Wish};
use livetape_audio::{RecordingId, RecordingMode, StreamName};
use livetape_proto::Opening;
use livetape_service::Tasks;
use livetape_tail::TracedChunk;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// Messages that wait for one stream's task.
const QUEUE: usize = 8;
/// How long an open may take: it waits for a sync.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// All streams, by name.
pub(crate) struct Streams {
    shared: Arc<Shared>,
    tasks: Tasks,
    calls: AtomicU64,
    /// `None` once the recorder stops: then the tasks see the ends of their queues.
    queues: Mutex<Option<HashMap<StreamName, mpsc::Sender<Command>>>>,
}

/// An opened stream, from the point of view of a call.
pub(crate) struct Session {
    pub(crate) progress: watch::Receiver<Progress>,
    pub(crate) call: CallId,
    pub(crate) commands: mpsc::Sender<Command>,
    /// When the stream is recorded.
    pub(crate) mode: RecordingMode,
}

impl Streams {
    pub(crate) fn new(shared: Arc<Shared>, tasks: Tasks) -> Self {
        Self { shared, tasks, calls: AtomicU64::new(0), queues: Mutex::new(Some(HashMap::new())) }
    }

    /// Goes on with a recording that was open when the recorder stopped.
    pub(crate) fn resume(&self, open: OpenTape) {
        let name = open.recording.stream.clone();
        self.with(|queues| drop(queues.insert(name.clone(), self.start(name, Some(open)))));
    }

    fn with<R>(&self, f: impl FnOnce(&mut HashMap<StreamName, mpsc::Sender<Command>>) -> R) -> Option<R> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(f)
    }

    fn start(&self, name: StreamName, open: Option<OpenTape>) -> mpsc::Sender<Command> {
        let (commands, queue) = mpsc::channel(QUEUE);
        let task = Stream::new(name.clone(), Arc::clone(&self.shared), queue, open);
        self.tasks.spawn_finite(format!("stream {name}"), task.run());
        commands
    }

    fn queue(&self, name: &StreamName) -> Result<mpsc::Sender<Command>, OpenError> {
        let found = self.with(|queues| {
            if let Some(queue) = queues.get(name).filter(|queue| !queue.is_closed()) {
                return Ok(queue.clone());
            }
            queues.retain(|_, queue| !queue.is_closed());
            let most = self.shared.limits.streams;
            if queues.len() >= most {
                let text = format!(
                    "this recorder has {most} streams, which is the most (LIVETAPE_LIMIT_STREAMS); open again later"
                );
                return Err(OpenError::TooMany(text));
            }
            let queue = self.start(name.clone(), None);
            queues.insert(name.clone(), queue.clone());
            Ok(queue)
        });
        found.unwrap_or_else(|| Err(stopping()))
    }

    /// Opens a stream for a source, making it if it does not exist.
    pub(crate) async fn open(&self, opening: Opening) -> Result<Session, OpenError> {
        self.allowed(&opening.stream)?;
        let (commands, mode) = (self.queue(&opening.stream)?, self.shared.rules.mode(&opening.stream));
        let call = CallId(self.calls.fetch_add(1, Ordering::Relaxed));
        let (reply, answer) = oneshot::channel();
        let opened = async {
            let open = Command::Open { call, opening: Box::new(opening), reply };
            commands.send(open).await.map_err(|_| stopping())?;
            answer.await.map_err(|_| stopping())?
        };
        let late = |_| OpenError::Unavailable("the disk did not answer in time; open again later".into());
        let progress = tokio::time::timeout(OPEN_TIMEOUT, opened).await.map_err(late)??;
        Ok(Session { progress, call, commands, mode })
    }

    fn allowed(&self, stream: &StreamName) -> Result<(), OpenError> {
        let rules = &self.shared.rules;
        if rules.allows(stream) {
            return Ok(());
        }
        let allowed: Vec<_> = rules.allowed.iter().flatten().map(ToString::to_string).collect();
        let allowed = if allowed.is_empty() { "none".into() } else { allowed.join(", ") };
        Err(OpenError::Forbidden(format!(
            "sources may not open the stream {stream} here, only {allowed}: use one of these, or add it to the recorder's \
             settings (allow_streams, LIVETAPE_ALLOW_STREAMS)"
        )))
    }

    /// Tells those who read it that a chunk is in a trace.
    pub(crate) fn traced(&self, chunk: TracedChunk) {
        self.shared.tails.trace(chunk);
    }

    /// Asks something of the open recording of a stream, unless whoever asks is `gone` before it is begun.
    pub(crate) async fn operate(
        &self,
        stream: &StreamName,
        of: Option<RecordingId>,
        wish: Wish,
        gone: CancellationToken,
    ) -> Result<Done, Refused> {
        // What is open has a task.
        let queue = self.with(|queues| queues.get(stream).cloned()).ok_or_else(stopping)?;
        let commands = queue.ok_or(Refused::NotOpen)?;
        let (reply, answer) = oneshot::channel();
        let done = async {
            let sent = commands.send(Command::Operate { of, wish, gone, reply }).await;
            sent.map_err(|_| Refused::NotOpen)?;
            answer.await.map_err(|_| Refused::NotOpen)?
        };
        let late = |_| Refused::Unavailable("the disk did not answer in time".into());
        tokio::time::timeout(OPEN_TIMEOUT, done).await.map_err(late)?
    }

    /// Lets the tasks finish: they commit what is pending and end once all calls have gone.
    pub(crate) fn stop(&self) {
        drop(self.queues.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

fn stopping() -> OpenError {
    OpenError::Unavailable("the recorder is stopping; open again later".into())
}
