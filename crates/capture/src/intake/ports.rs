//! Who sends into which stream: one at a time. A stream's session begins with the first who sends, in the shape of what
//! comes, and ends when nobody is there any more and all is delivered; its recording stays open for the recorder's resume
//! window. Whoever comes back before that goes on with the same session.

use crate::capture::{Launcher, SourceConfig};
use crate::link::Publisher;
use crate::session::{Session, SessionError};
use crate::shape::Shape;
use crate::sources::decoding::Target;
use crate::sources::feed::Feeding;
use crate::sources::pushed::{Arrival, Pushed};
use crate::station::Station;
use crate::status::Status;
use livetape_access::Actor;
use livetape_audio::{SourceName, Spec, StreamName, Title};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A session without a sender ends after this time, once all is delivered.
const LINGER: Duration = Duration::from_secs(1);
/// Who sends has to go if another one comes and nothing was heard for so long.
const SILENT: Duration = Duration::from_secs(3);

/// Why somebody cannot send.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Occupied {
    #[error("somebody sends into the stream {0} already: one source at a time")]
    Stream(StreamName),
    #[error("{0} sources send already, or what they sent still waits for the recorder, and there may be no more")]
    Full(usize),
}

/// How a session has ended.
pub(crate) type Outcome = Result<(), (u16, String)>;

/// All streams into which somebody sends.
pub(crate) struct Ports {
    launcher: Launcher,
    /// What was configured of streams.
    configured: HashMap<StreamName, SourceConfig>,
    most: usize,
    ports: Mutex<HashMap<StreamName, Port>>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

#[derive(Default)]
struct Port {
    seated: Option<Seated>,
    running: Option<Running>,
    /// The session before, for as long as it is not over.
    before: Option<Running>,
}

impl Port {
    /// Somebody sends, or what was sent is not delivered yet and lies in memory and in a spool: there is room for so many of them,
    /// however many come and go while the recorder is away.
    fn takes_place(&self) -> bool {
        let ends = |running: &Running| running.may_end;
        self.seated.is_some() || self.before.is_some() || self.running.as_ref().is_some_and(ends)
    }
}

struct Seated {
    feeding: Arc<Feeding>,
    leave: CancellationToken,
}

/// A session, as those see it who send into it.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    spec: Spec,
    arrivals: mpsc::Sender<Arrival>,
    /// Whether a sender may end it.
    pub(crate) may_end: bool,
    ended: CancellationToken,
    outcome: Arc<OnceLock<Outcome>>,
    /// Who sends, or did so last.
    publisher: watch::Sender<Option<Actor>>,
}

impl Running {
    fn new(spec: Spec, arrivals: mpsc::Sender<Arrival>, may_end: bool) -> Self {
        let (ended, publisher) = (CancellationToken::new(), watch::Sender::new(None));
        Self { spec, arrivals, may_end, ended, outcome: Arc::default(), publisher }
    }

    /// Who sends, now and later: the recorder writes it down.
    pub(crate) fn publisher(&self) -> Publisher {
        self.publisher.subscribe()
    }

    fn is_of(&self, actor: Option<Actor>) {
        self.publisher.send_if_modified(|before| {
            let other = *before != actor;
            *before = actor;
            other
        });
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.outcome, &other.outcome)
    }

    /// Waits for its end.
    pub(crate) async fn ended(&self) -> Outcome {
        self.ended.cancelled().await;
        self.outcome.get().cloned().unwrap_or(Ok(()))
    }
}

/// The right to send into a stream, until it is dropped.
pub(crate) struct Seat {
    ports: Arc<Ports>,
    stream: StreamName,
    feeding: Arc<Feeding>,
    /// Somebody else took the place.
    pub(crate) leave: CancellationToken,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut ports = self.ports.lock();
        let Some(port) = ports.get_mut(&self.stream) else { return };
        if port.seated.as_ref().is_some_and(|seated| Arc::ptr_eq(&seated.feeding, &self.feeding)) {
            port.seated = None;
        }
        tidy(&mut ports, &self.stream);
    }
}

/// Who sends, for people.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sender {
    pub(crate) name: String,
    /// What it says of itself.
    pub(crate) station: Station,
    /// As whom it is written down.
    pub(crate) actor: Option<Actor>,
}

impl Ports {
    pub(crate) fn new(
        launcher: Launcher,
        configured: HashMap<StreamName, SourceConfig>,
        most: usize,
        shutdown: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self { launcher, configured, most, ports: Mutex::default(), tasks: TaskTracker::new(), shutdown })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StreamName, Port>> {
        // The map is whole between any two changes.
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for somebody who sends.
    ///
    /// # Errors
    /// [`Occupied`], when there is none.
    pub(crate) fn take(self: &Arc<Self>, stream: &StreamName, feeding: &Arc<Feeding>) -> Result<Seat, Occupied> {
        let mut ports = self.lock();
        let leave = CancellationToken::new();
        let others = ports.iter().filter(|(its, port)| *its != stream && port.takes_place()).count();
        let port = ports.get(stream).and_then(|port| port.seated.as_ref());
        match port {
            Some(seated) if seated.feeding.silent_for() < SILENT => return Err(Occupied::Stream(stream.clone())),
            Some(seated) => seated.leave.cancel(),
            None if others >= self.most => return Err(Occupied::Full(self.most)),
            None => {}
        }
        let seated = Seated { feeding: Arc::clone(feeding), leave: leave.clone() };
        ports.entry(stream.clone()).or_default().seated = Some(seated);
        drop(ports);
        Ok(Seat { ports: Arc::clone(self), stream: stream.clone(), feeding: Arc::clone(feeding), leave })
    }

    /// A source for a stream's session that goes on whether or not somebody sends.
    pub(crate) fn hold(&self, stream: &StreamName, spec: Spec) -> (Pushed, Running) {
        let (to, arrivals) = mpsc::channel(2);
        let running = Running::new(spec, to, false);
        self.lock().entry(stream.clone()).or_default().running = Some(running.clone());
        (Pushed::new(spec, arrivals, false), running)
    }

    /// What plays in a stream from now on. Whether somebody sends into it.
    pub(crate) fn title(&self, stream: &StreamName, title: Title) -> bool {
        let ports = self.lock();
        let seated = ports.get(stream).and_then(|port| port.seated.as_ref());
        seated.inspect(|seated| seated.feeding.title(title)).is_some()
    }

    /// Waits until every session is over.
    pub(crate) async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn run(self: Arc<Self>, stream: StreamName, begin: Begin) {
        let Begin { running, arrivals, before, sender } = begin;
        if let Some(before) = before {
            before.ended.cancelled().await;
        }
        let config = self.configured.get(&stream);
        let source = source_name(&sender.name);
        let configured = config.map_or_else(Station::default, |config| Station {
            title: config.title.clone(),
            genre: config.genre.clone(),
        });
        let session = self.launcher.session_of(&stream, source, running.spec, configured.or(sender.station));
        let session = Session { publisher: running.publisher(), ..session };
        let (status, stop) = (session.status.subscribe(), self.shutdown.child_token());
        session.status.send_modify(|status| status.begun = true);
        let pushed = Pushed::new(running.spec, arrivals, true);
        let retired = self.until_retired(&stream, &running, pushed.idle(), status);
        let mut session = std::pin::pin!(session.run(pushed, stop.clone()));
        let outcome = tokio::select! {
            outcome = &mut session => outcome,
            () = retired => {
                stop.cancel();
                session.await
            }
        };
        self.launcher.statuses.remove(&stream);
        if let Err(error) = &outcome {
            tracing::error!("{error}");
        }
        self.over(&stream, &running, &outcome);
    }

    /// Waits until the session is of no use any more, and takes it out.
    async fn until_retired(
        &self,
        stream: &StreamName,
        running: &Running,
        mut idle: watch::Receiver<bool>,
        mut status: watch::Receiver<Status>,
    ) {
        loop {
            let waiting = async {
                idle.wait_for(|idle| *idle).await.ok()?;
                status.wait_for(|status| status.waiting().is_zero()).await.ok()?;
                sleep(LINGER).await;
                Some(())
            };
            if waiting.await.is_none() {
                return std::future::pending().await;
            }
            let mut ports = self.lock();
            let Some(port) = ports.get_mut(stream) else { return };
            let nobody = port.seated.is_none() && running.arrivals.capacity() == running.arrivals.max_capacity();
            if nobody && *idle.borrow() && status.borrow().waiting().is_zero() {
                (port.running, port.before) = (None, Some(running.clone()));
                return;
            }
        }
    }

    /// A session has ended.
    pub(crate) fn over(&self, stream: &StreamName, running: &Running, outcome: &Result<(), SessionError>) {
        let outcome = outcome.as_ref().copied().map_err(|error| {
            let status = match error {
                SessionError::Superseded(_) => 409,
                SessionError::Refused(_) => 403,
                _ => 500,
            };
            (status, error.to_string())
        });
        let mut ports = self.lock();
        if let Some(port) = ports.get_mut(stream) {
            port.running.take_if(|its| its.is(running));
            port.before.take_if(|before| before.is(running));
        }
        tidy(&mut ports, stream);
        drop(ports);
        let _ = running.outcome.set(outcome);
        running.ended.cancel();
    }
}

/// Forgets a stream of which there is nothing left.
fn tidy(ports: &mut HashMap<StreamName, Port>, stream: &StreamName) {
    let empty = |port: &Port| port.seated.is_none() && port.running.is_none() && port.before.is_none();
    if ports.get(stream).is_some_and(empty) {
        ports.remove(stream);
    }
}

fn source_name(sender: &str) -> SourceName {
    let name = if sender.is_empty() { "push".into() } else { format!("push:{sender}") };
    name.chars().take(SourceName::MAX_CHARS).collect::<String>().parse().unwrap_or_default()
}

struct Begin {
    running: Running,
    arrivals: mpsc::Receiver<Arrival>,
    before: Option<Running>,
    sender: Sender,
}

impl Seat {
    pub(crate) const fn name(&self) -> &StreamName {
        &self.stream
    }

    /// What the audio has to be turned into.
    pub(crate) fn target(&self) -> Target {
        let ports = self.ports.lock();
        match ports.get(&self.stream).and_then(|port| port.running.as_ref()) {
            Some(running) => Target::Spec(running.spec),
            None => Target::Shape(self.ports.configured.get(&self.stream).map_or(Shape::default(), |c| c.shape)),
        }
    }

    /// Audio of this shape comes: into the session that runs, or into a new one.
    ///
    /// # Errors
    /// When the one before has not been begun to be taken yet.
    pub(crate) fn attach(&self, spec: Spec, arrival: Arrival, sender: Sender) -> Result<Running, Occupied> {
        let mut ports = self.ports.lock();
        let port = ports.entry(self.stream.clone()).or_default();
        if let Some(running) = port.running.as_ref().filter(|running| running.spec == spec) {
            let sent = running.arrivals.try_send(arrival);
            sent.map_err(|_| Occupied::Stream(self.stream.clone()))?;
            running.is_of(sender.actor);
            return Ok(running.clone());
        }
        let (to, arrivals) = mpsc::channel(2);
        let _ = to.try_send(arrival);
        let running = Running::new(spec, to, true);
        running.is_of(sender.actor.clone());
        let before = port.before.replace(running.clone());
        port.running = Some(running.clone());
        let begin = Begin { running: running.clone(), arrivals, before, sender };
        let (all, stream) = (Arc::clone(&self.ports), self.stream.clone());
        drop(ports);
        let span = tracing::info_span!("source", %stream, source = "push");
        self.ports.tasks.spawn(tracing::Instrument::instrument(all.run(stream, begin), span));
        Ok(running)
    }
}
