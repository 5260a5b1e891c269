//! Answers that are many messages, at the pace of who reads them.
//!
//! At most one message waits for the reader, and one is on its way. A reader that takes none for too long, a deadline
//! that passes, and the end of the recorder end the call, and what waited is given up. What is on its way to a reader
//! that is there and takes nothing cannot be taken back from within its call: it counts as a call until the reader leaves,
//! and when that takes too long, too, its connection is closed.

use crate::deadline::Deadline;
use crate::gate::Right;
use crate::incoming::Client;
use crate::metrics::Instruments;
use crate::status;
use futures::StreamExt;
use futures::stream::BoxStream;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::metadata::MetadataMap;
use tonic::{Code, Extensions, Status};
use tracing::{Instrument, Span};

/// Most such calls at once, with those that are over and were not read to their end. One address may have a quarter.
const MAX_CALLS: usize = 4096;
/// How long the last word may wait for a reader that is slow.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a streaming call answers with.
pub(crate) type Answers<T> = BoxStream<'static, Result<T, Status>>;

/// A message that waits, and can be taken back.
type Parcel<T> = Arc<Mutex<Option<Result<T, Status>>>>;

fn take<T>(parcel: &Parcel<T>) -> Option<Result<T, Status>> {
    // An option is whole at any time.
    parcel.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Where a call puts its messages.
pub(crate) struct Outlet<T> {
    parcels: mpsc::Sender<Parcel<T>>,
    /// The message that was put there last.
    last: Arc<Mutex<Option<Parcel<T>>>>,
    stall: Duration,
}

/// Room for one message.
pub(crate) struct Room<'a, T> {
    permit: mpsc::Permit<'a, Parcel<T>>,
    last: &'a Mutex<Option<Parcel<T>>>,
}

impl<T> Room<'_, T> {
    pub(crate) fn fill(self, message: Result<T, Status>) {
        let parcel = Arc::new(Mutex::new(Some(message)));
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&parcel));
        self.permit.send(parcel);
    }
}

impl<T> Outlet<T> {
    /// Waits until the reader has taken what came before. Only then the next message is made.
    ///
    /// # Errors
    /// When the reader takes nothing, or has gone.
    pub(crate) async fn room(&self) -> Result<Room<'_, T>, Status> {
        let late = |_| {
            let text = format!("nothing was read for {:?}; ask again from where you are", self.stall);
            status::refused(Code::Aborted, "NOT_READ", [], text)
        };
        let permit = timeout(self.stall, self.parcels.reserve()).await.map_err(late)?;
        let permit = permit.map_err(|_| Status::cancelled("the reader has gone"))?;
        Ok(Room { permit, last: &self.last })
    }

    /// Sends a message that is at hand.
    pub(crate) async fn send(&self, message: T) -> Result<(), Status> {
        self.room().await?.fill(Ok(message));
        Ok(())
    }

    /// The last word: instead of a message that still waits, if one does.
    async fn end(self, status: Status) {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(parcel) = last {
            let mut waiting = parcel.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.is_some() {
                *waiting = Some(Err(status));
                return;
            }
        }
        if let Ok(Ok(room)) = timeout(FAREWELL, self.room()).await {
            room.fill(Err(status));
        }
    }
}

/// Who reads a call.
struct Reader {
    client: Option<Client>,
    instruments: Arc<Instruments>,
}

impl Reader {
    /// It holds what it was sent, and its place, although the call is over: nothing but the end of its connection frees them.
    fn close(self, stall: Duration) {
        let Some(client) = self.client else { return };
        tracing::warn!(
            address = client.peer.map(tracing::field::display),
            "a call was over, and of its last messages nothing was read for {stall:?}: the connection is closed"
        );
        self.instruments.unread("connection");
        client.close();
    }
}

/// What calls need from the recorder.
#[derive(Clone)]
pub(crate) struct Outlets {
    calls: TaskTracker,
    shutdown: CancellationToken,
    stall: Duration,
    rooms: Arc<Semaphore>,
    instruments: Arc<Instruments>,
}

impl Outlets {
    /// Calls are tracked by `calls` and end with `shutdown`. A reader may take nothing for `stall`.
    pub(crate) fn new(
        calls: TaskTracker,
        shutdown: CancellationToken,
        stall: Duration,
        instruments: Arc<Instruments>,
    ) -> Self {
        Self { calls, shutdown, stall, rooms: Arc::new(Semaphore::new(MAX_CALLS)), instruments }
    }

    /// Answers a call by `work`, until the deadline that its `metadata` names, or the end of the right to it.
    /// `extensions` are its own, too.
    ///
    /// # Errors
    /// When there are too many such calls already.
    pub(crate) fn answer<T, W>(
        &self,
        metadata: &MetadataMap,
        extensions: &Extensions,
        right: Right,
        work: impl FnOnce(Outlet<T>) -> W,
    ) -> Result<tonic::Response<Answers<T>>, Status>
    where
        T: Send + 'static,
        W: Future<Output = Result<(), Status>> + Send + 'static,
    {
        let room = Arc::clone(&self.rooms).try_acquire_owned();
        let full = |_| {
            self.instruments.rejections.of("calls").inc();
            status::later(Code::ResourceExhausted, "TOO_MANY_CALLS", "too many calls read at once; ask again later")
        };
        let room = room.map_err(full)?;
        let (parcels, outgoing) = mpsc::channel(1);
        let outlet = |parcels| Outlet { parcels, last: Arc::default(), stall: self.stall };
        let ours = outlet(parcels.clone());
        let working = work(Outlet { last: Arc::clone(&ours.last), ..outlet(parcels) });
        let (shutdown, deadline) = (self.shutdown.clone(), Deadline::of(metadata));
        let (held, let_go) = oneshot::channel::<()>();
        let reader = Reader { client: extensions.get::<Client>().cloned(), instruments: Arc::clone(&self.instruments) };
        let stall = self.stall;
        let answering = async move {
            let outcome = tokio::select! {
                outcome = working => outcome,
                () = shutdown.cancelled() => Err(status::stopping()),
                ended = right.ended() => Err(ended),
                late = deadline.passed() => Err(late),
                () = ours.parcels.closed() => return,
            };
            if let Err(status) = outcome {
                if status.code() == Code::Aborted {
                    reader.instruments.unread("call");
                }
                ours.end(status).await;
            } else {
                drop(ours);
            }
            tokio::select! {
                // Never anything but the end of who could send it.
                _ = let_go => {}
                () = shutdown.cancelled() => {}
                () = sleep(stall) => reader.close(stall),
            }
        };
        self.calls.spawn(answering.instrument(Span::current()));
        let answers = ReceiverStream::new(outgoing).filter_map(move |parcel| {
            // Held for as long as the transport holds the answers, and with them a message.
            let _ = (&room, &held);
            std::future::ready(take(&parcel))
        });
        Ok(tonic::Response::new(answers.boxed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outlets(stall: Duration) -> Outlets {
        let instruments = Arc::new(Instruments::new().unwrap());
        Outlets::new(TaskTracker::new(), CancellationToken::new(), stall, instruments)
    }

    fn counting(outlets: &Outlets, limit: Option<&'static str>) -> Answers<u32> {
        let mut metadata = MetadataMap::new();
        if let Some(limit) = limit {
            metadata.insert("grpc-timeout", limit.parse().unwrap());
        }
        let answers = outlets.answer(&metadata, &Extensions::new(), Right::lasting(), |outlet| async move {
            for n in 0.. {
                outlet.send(n).await?;
            }
            Ok(())
        });
        answers.unwrap().into_inner()
    }

    async fn over(outlets: &Outlets) {
        outlets.calls.close();
        timeout(Duration::from_secs(20), outlets.calls.wait()).await.expect("the call ends");
    }

    #[tokio::test]
    async fn who_reads_nothing_is_given_up_and_told() {
        let outlets = outlets(Duration::from_millis(50));
        let mut answers = counting(&outlets, None);
        assert_eq!(answers.next().await.unwrap().unwrap(), 0);
        over(&outlets).await;
        assert_eq!(answers.next().await.unwrap().unwrap_err().code(), Code::Aborted, "instead of what waited");
        assert!(answers.next().await.is_none());
    }

    #[tokio::test]
    async fn deadlines_stops_and_leaving_end_a_call() {
        let outlets = outlets(Duration::from_secs(60));
        let late = counting(&outlets, Some("20m"));
        let left = counting(&outlets, Some("1H"));
        let mut stopped = counting(&outlets, None);
        let deadline = late.filter(|answer| std::future::ready(answer.is_err())).next().await;
        assert_eq!(deadline.unwrap().unwrap_err().code(), Code::DeadlineExceeded);
        drop(left);
        outlets.shutdown.cancel();
        over(&outlets).await;
        while let Some(answer) = stopped.next().await {
            assert!(answer.is_ok_and(|n| n == 0) || stopped.next().await.is_none());
        }
    }

    #[tokio::test]
    async fn so_many_calls_and_no_more() {
        let outlets = Outlets { rooms: Arc::new(Semaphore::new(1)), ..outlets(Duration::from_millis(50)) };
        let one = counting(&outlets, None);
        let more = |outlets: &Outlets| {
            let (metadata, extensions) = (MetadataMap::new(), Extensions::new());
            let done = |_: Outlet<u32>| std::future::ready(Ok(()));
            let more = outlets.answer(&metadata, &extensions, Right::lasting(), done);
            more.err().map(|status| status.code())
        };
        assert_eq!(more(&outlets), Some(Code::ResourceExhausted));
        over(&outlets).await;
        assert_eq!(more(&outlets), Some(Code::ResourceExhausted), "it is over, but somebody holds what was sent");
        drop(one);
        assert_eq!(more(&outlets), None);
    }
}
