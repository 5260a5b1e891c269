//! What is to be said to Redis, and what was: the newest tail of each recording. No IO; the publisher asks what is next.

use super::wire::TIME_TO_LIVE;
use livetape_audio::{RecordingId, Tail};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::time::Instant;

/// As many entries as recordings are open, and for a minute those that were sealed while Redis was away.
#[derive(Default)]
pub(super) struct Board {
    tails: HashMap<RecordingId, Said>,
    /// Which are due and not under way, in order. May name some that are not due any more.
    queue: VecDeque<RecordingId>,
}

struct Said {
    tail: Tail,
    /// Has to be said.
    due: bool,
    /// Is being said; nothing else is said about the recording until there is an answer, so all comes in order.
    under_way: bool,
    /// Redis has answered to this very tail.
    answered: bool,
    /// Nobody needs it any more as soon as it was said once.
    forgotten: Option<Instant>,
}

impl Said {
    fn make_due(&mut self, id: RecordingId, queue: &mut VecDeque<RecordingId>) {
        if !std::mem::replace(&mut self.due, true) && !self.under_way {
            queue.push_back(id);
        }
    }
}

impl Board {
    /// A newer tail. One that would take back what was heard is logged and dropped.
    pub(super) fn put(&mut self, id: RecordingId, tail: Tail) {
        let said = match self.tails.entry(id) {
            Entry::Vacant(place) => {
                place.insert(Said { tail, due: false, under_way: false, answered: false, forgotten: None })
            }
            Entry::Occupied(said) if said.get().tail == tail => return,
            Entry::Occupied(said) => said.into_mut(),
        };
        if !said.tail.may_become(&tail) {
            tracing::error!(recording = %id, current = ?said.tail, refused = ?tail, "a tail may not go back");
            return;
        }
        (said.tail, said.answered) = (tail, false);
        said.make_due(id, &mut self.queue);
    }

    /// Keeps it only until it was said.
    pub(super) fn forget(&mut self, id: RecordingId) {
        match self.tails.get_mut(&id) {
            Some(said) if !said.answered => said.forgotten = Some(Instant::now()),
            _ => drop(self.tails.remove(&id)),
        }
    }

    /// What to say next.
    pub(super) fn next(&mut self) -> Option<(RecordingId, Tail)> {
        while let Some(id) = self.queue.pop_front() {
            if let Some(said) = self.tails.get_mut(&id).filter(|said| said.due && !said.under_way) {
                (said.due, said.under_way) = (false, true);
                return Some((id, said.tail));
            }
        }
        None
    }

    /// It was said, or could not be: then the next refresh says it again.
    pub(super) fn done(&mut self, id: RecordingId, tail: &Tail, answered: bool) {
        let Entry::Occupied(mut entry) = self.tails.entry(id) else { return };
        let said = entry.get_mut();
        said.under_way = false;
        said.answered |= answered && said.tail == *tail;
        if said.answered && said.forgotten.is_some() {
            entry.remove();
        } else if said.due {
            self.queue.push_back(id);
        }
    }

    /// Says everything again; gives up what was forgotten long ago. Returns how much there is to say.
    pub(super) fn refresh(&mut self) -> usize {
        self.tails.retain(|_, said| said.forgotten.is_none_or(|at| at.elapsed() < TIME_TO_LIVE));
        for (id, said) in &mut self.tails {
            said.make_due(*id, &mut self.queue);
        }
        self.tails.len()
    }

    /// Nothing is under way any more, whatever became of it: says everything again.
    pub(super) fn restart(&mut self) {
        self.queue.clear();
        for said in self.tails.values_mut() {
            (said.due, said.under_way) = (false, false);
        }
        self.refresh();
    }

    /// Whether Redis has heard the newest of everything.
    pub(super) fn all_answered(&self) -> bool {
        self.tails.values().all(|said| said.answered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::{Durable, Frame, Generation};

    fn id(n: u64) -> RecordingId {
        RecordingId::new(n, &[1; 10])
    }
    fn open(end: u64) -> Tail {
        Tail::open(Durable(Frame::new(end)), Generation(1))
    }

    #[test]
    fn the_newest_is_said_one_after_the_other() {
        let mut board = Board::default();
        (1..=3).for_each(|end| board.put(id(1), open(end)));
        board.put(id(2), open(9));
        assert_eq!(board.next(), Some((id(1), open(3))));
        board.put(id(1), open(4));
        board.put(id(1), open(2));
        assert_eq!((board.next(), board.next()), (Some((id(2), open(9))), None), "the first is under way");
        board.done(id(1), &open(3), true);
        assert!(!board.all_answered(), "not to the newest");
        assert_eq!((board.next(), board.next()), (Some((id(1), open(4))), None));
        board.done(id(1), &open(4), true);
        board.done(id(2), &open(9), false);
        assert_eq!(board.next(), None, "what failed waits for the refresh");
        board.refresh();
        let mut again = [board.next(), board.next()];
        again.sort_by_key(|next| next.map(|(id, _)| id));
        assert_eq!((again, board.next()), ([Some((id(1), open(4))), Some((id(2), open(9)))], None));
        board.restart();
        assert!(board.next().is_some() && board.next().is_some() && board.next().is_none());
    }

    #[test]
    fn what_is_forgotten_is_said_once() {
        let mut board = Board::default();
        let sealed = Tail::sealed(Durable(Frame::new(5)), None, Generation(1));
        board.put(id(1), sealed);
        board.forget(id(1));
        assert_eq!(board.next(), Some((id(1), sealed)));
        board.done(id(1), &sealed, false);
        board.refresh();
        assert_eq!(board.next(), Some((id(1), sealed)));
        board.done(id(1), &sealed, true);
        board.refresh();
        assert_eq!(board.next(), None);
        assert!(board.tails.is_empty() && board.all_answered());
        board.put(id(2), sealed);
        board.next();
        board.done(id(2), &sealed, true);
        board.forget(id(2));
        assert!(board.tails.is_empty());
    }
}
