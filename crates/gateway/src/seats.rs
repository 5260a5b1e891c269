//! Which encoders are in use by those who listen in real time: rows of blocks, each made one after the other. All who hear the
//! same row, a little behind one another, share it; ten who hear ten moments of a recording are ten.
//!
//! Not here: who downloads, who takes as much as there is time for and needs no seat (`blocks`).

use crate::blocks::Compressed;
use crate::metrics::Encoding as Instruments;
use livetape_audio::RecordingId;
use livetape_service::metrics::Held;
use std::sync::{Arc, Mutex, PoisonError};

/// So many blocks behind one another listeners share a row: as many as are sent at once to who joins with the longest burst, and
/// fewer than are kept.
const REACH: u64 = 40;

/// Where a row of blocks goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) recording: RecordingId,
    pub(crate) rendition: Compressed,
    pub(crate) block: u64,
}

/// The rows that are in use.
pub(crate) struct Seats {
    rows: Arc<Mutex<Rows>>,
    instruments: Instruments,
}

/// A place at a row, until it is dropped.
pub(crate) struct Seat {
    rows: Arc<Mutex<Rows>>,
    number: u64,
}

#[derive(Default)]
struct Rows {
    rows: Vec<Row>,
    numbers: u64,
}

struct Row {
    number: u64,
    /// The block that is made next.
    next: At,
    sharers: usize,
    _held: Held,
}

impl Seats {
    pub(crate) fn new(instruments: Instruments) -> Self {
        Self { rows: Arc::default(), instruments }
    }

    /// How many rows there are.
    pub(crate) fn taken(&self) -> usize {
        lock(&self.rows).rows.len()
    }

    /// A place at the row that makes a block, or soon did; of a new row, if there are fewer than `most`.
    pub(crate) fn sit(&self, at: At, most: usize) -> Option<Seat> {
        let mut rows = lock(&self.rows);
        let joined = rows.near(at, None).map(Row::join);
        let number = match joined {
            Some(number) => number,
            None if rows.rows.len() < most => rows.begin(at, &self.instruments),
            None => return None,
        };
        drop(rows);
        Some(Seat { rows: self.rows.clone(), number })
    }

    /// Who sat there has come to a block, maybe of another recording: nobody is turned away in the midst.
    pub(crate) fn advance(&self, seat: &mut Seat, at: At) {
        let mut rows = lock(&self.rows);
        let behind = At { block: at.block + 1, ..at };
        match rows.rows.iter_mut().find(|row| row.number == seat.number) {
            Some(row) if row.is_near(at) => row.next.block = row.next.block.max(behind.block),
            Some(row) if row.sharers == 1 => {
                row.next = behind;
                // Two rows have met.
                let number = row.number;
                if let Some(joined) = rows.near(at, Some(number)).map(Row::join) {
                    rows.leave(std::mem::replace(&mut seat.number, joined));
                }
            }
            _ => {
                let joined = rows.near(at, None).map(Row::join);
                let number = joined.unwrap_or_else(|| rows.begin(behind, &self.instruments));
                rows.leave(std::mem::replace(&mut seat.number, number));
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.rows).leave(self.number);
    }
}

impl Rows {
    /// The row that makes a block next, or has made it lately; other than this one.
    fn near(&mut self, at: At, other_than: Option<u64>) -> Option<&mut Row> {
        self.rows.iter_mut().find(|row| Some(row.number) != other_than && row.is_near(at))
    }

    fn begin(&mut self, at: At, instruments: &Instruments) -> u64 {
        self.numbers += 1;
        let held = Held::new(&instruments.encoders);
        self.rows.push(Row { number: self.numbers, next: at, sharers: 1, _held: held });
        self.numbers
    }

    fn leave(&mut self, number: u64) {
        if let Some(row) = self.rows.iter_mut().find(|row| row.number == number) {
            row.sharers -= 1;
        }
        self.rows.retain(|row| row.sharers > 0);
    }
}

impl Row {
    fn is_near(&self, at: At) -> bool {
        let (next, same) = (self.next.block, At { block: self.next.block, ..at } == self.next);
        same && next >= at.block && next - at.block <= REACH
    }

    const fn join(&mut self) -> u64 {
        self.sharers += 1;
        self.number
    }
}

fn lock(rows: &Mutex<Rows>) -> std::sync::MutexGuard<'_, Rows> {
    rows.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::{SampleFormat, Spec};
    use livetape_codec::encode::Flac;

    fn at(recording: u64, block: u64) -> At {
        let spec = Spec::new(SampleFormat::S16, 48_000, 2).unwrap();
        let rendition = Compressed::Flac(Flac::new(spec, None).unwrap());
        At { recording: RecordingId::new(recording, &[7; 10]), rendition, block }
    }

    fn seats() -> Seats {
        Seats::new(crate::metrics::Instruments::new().unwrap().encoding.clone())
    }

    #[test]
    fn who_hears_the_same_shares_and_who_does_not_does_not() {
        let seats = seats();
        let mut live = seats.sit(at(1, 1_000), 2).unwrap();
        seats.advance(&mut live, at(1, 1_000));
        let _burst = seats.sit(at(1, 997), 2).unwrap();
        assert_eq!(seats.taken(), 1);
        let mut shifted = seats.sit(at(1, 400), 2).unwrap();
        assert_eq!(seats.taken(), 2);
        assert!(
            seats.sit(at(1, 100), 2).is_none() && seats.sit(at(2, 1_000), 2).is_none(),
            "another moment, another tape"
        );
        // They keep their distance.
        for n in 1..500 {
            seats.advance(&mut live, at(1, 1_000 + n));
            seats.advance(&mut shifted, at(1, 400 + n));
        }
        assert_eq!((seats.taken(), seats.instruments.encoders.get()), (2, 2));
        drop(shifted);
        assert_eq!((seats.taken(), seats.instruments.encoders.get()), (1, 1));
    }

    #[test]
    fn a_row_goes_on_in_the_next_recording() {
        let seats = seats();
        let [mut a, mut b] = [0, 0].map(|_| seats.sit(at(1, 9), 1).unwrap());
        for seat in [&mut a, &mut b] {
            seats.advance(seat, at(1, 9));
        }
        seats.advance(&mut a, at(2, 0));
        assert_eq!(seats.taken(), 2, "for as long as the other one is behind");
        seats.advance(&mut b, at(2, 0));
        assert_eq!(seats.taken(), 1);
        assert!(seats.sit(at(1, 9), 1).is_none(), "nobody is where they were");
        let _new = seats.sit(at(2, 0), 1).unwrap();
        assert_eq!(seats.taken(), 1);
        // Alone in a row, and then where another one is already.
        let mut c = seats.sit(at(3, 0), 2).unwrap();
        seats.advance(&mut c, at(2, 1));
        assert_eq!(seats.taken(), 1);
    }
}
