//! What sources play that have a list of it, and how operators make them skip. Nothing of it is kept: it is as true as the
//! source's call is alive. Not here: titles, which are recorded.

use crate::call::CallId;
use crate::wish::Refused;
use livetape_audio::{StreamName, Title};
use livetape_proto::v1;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Most titles that a source may tell of what comes next.
pub(crate) const UPCOMING: usize = 16;
/// Wishes that wait for a source to hear of them.
const WISHES: usize = 8;
/// How long a source may take to say what it plays after a skip.
const ANSWER: Duration = Duration::from_secs(2);

/// What plays and what comes next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) playing: Title,
    pub(crate) upcoming: Vec<Title>,
}

/// The desk of each source that has one.
#[derive(Debug, Default)]
pub(crate) struct Desks(Mutex<HashMap<StreamName, Desk>>);

#[derive(Clone, Debug)]
struct Desk {
    call: CallId,
    program: watch::Sender<Program>,
    wishes: mpsc::Sender<v1::Control>,
}

/// A call's place. Its desk is gone when it is.
pub(crate) struct Place {
    desks: Arc<Desks>,
    stream: StreamName,
    call: CallId,
    wishes: mpsc::Sender<v1::Control>,
}

impl Desks {
    fn desks(&self) -> MutexGuard<'_, HashMap<StreamName, Desk>> {
        // The map is whole between any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a call, and what operators want of it. Nobody wants anything before it has shown a program.
    pub(crate) fn place(self: &Arc<Self>, stream: StreamName, call: CallId) -> (Place, mpsc::Receiver<v1::Control>) {
        let (wishes, wanted) = mpsc::channel(WISHES);
        (Place { desks: Arc::clone(self), stream, call, wishes }, wanted)
    }

    fn of(&self, stream: &StreamName) -> Result<Desk, Refused> {
        self.desks().get(stream).cloned().ok_or(Refused::NoProgram)
    }

    /// What the source of a stream says.
    pub(crate) fn program(&self, stream: &StreamName) -> Result<Program, Refused> {
        self.of(stream).map(|desk| desk.program.borrow().clone())
    }

    /// Has it skip. What it says then, if it says so soon.
    pub(crate) async fn skip(&self, stream: &StreamName) -> Result<Program, Refused> {
        let desk = self.of(stream)?;
        let mut shown = desk.program.subscribe();
        let skip = v1::Control { what: Some(v1::control::What::Skip(v1::Skip {})) };
        match desk.wishes.try_send(skip) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(Refused::NoProgram),
            Err(mpsc::error::TrySendError::Full(_)) => {
                return Err(Refused::Unavailable("the source has not yet heard of what was wanted before".into()));
            }
        }
        // Otherwise it is as before.
        _ = tokio::time::timeout(ANSWER, shown.changed()).await;
        let program = shown.borrow().clone();
        Ok(program)
    }
}

impl Place {
    /// The source shows its program: the last one of a stream counts.
    pub(crate) fn show(&self, program: Program) {
        let mut desks = self.desks.desks();
        match desks.get(&self.stream).filter(|desk| desk.call == self.call) {
            Some(desk) => _ = desk.program.send_replace(program),
            None => {
                let (call, wishes) = (self.call, self.wishes.clone());
                let desk = Desk { call, program: watch::Sender::new(program), wishes };
                desks.insert(self.stream.clone(), desk);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut desks = self.desks.desks();
        if desks.get(&self.stream).is_some_and(|desk| desk.call == self.call) {
            desks.remove(&self.stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(playing: &str) -> Program {
        Program { playing: playing.parse().unwrap(), upcoming: Vec::new() }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_call_that_shows_something_counts_until_it_goes() {
        let (desks, stream): (Arc<Desks>, StreamName) = (Arc::default(), "a".parse().unwrap());
        let (first, mut wanted) = desks.place(stream.clone(), CallId(1));
        assert!(matches!(desks.program(&stream), Err(Refused::NoProgram)), "it has shown nothing");
        first.show(program("one"));
        let skipping = tokio::join!(desks.skip(&stream), async {
            assert!(wanted.recv().await.unwrap().what.is_some());
            first.show(program("two"));
        });
        assert_eq!(skipping.0.unwrap(), program("two"), "it is waited for");
        for _ in 0..WISHES {
            assert_eq!(desks.skip(&stream).await.unwrap(), program("two"), "not for ever");
        }
        assert!(matches!(desks.skip(&stream).await, Err(Refused::Unavailable(_))), "nobody listens");
        let (second, _wanted) = desks.place(stream.clone(), CallId(2));
        second.show(program("three"));
        drop(first);
        assert_eq!(desks.program(&stream).unwrap(), program("three"));
        drop(second);
        assert!(matches!(desks.skip(&stream).await, Err(Refused::NoProgram)));
    }
}
