//! What every length store has to do. Panics with the first rule that is broken.

use crate::{Publisher, TailWatch, Watch};
use livetape_audio::{Durable, Frame, Generation, RecordingId, Tail};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

fn id(n: u8) -> RecordingId {
    RecordingId::new(1_763_649_000_000 + u64::from(n), &[n; 10])
}

fn open(end: u64, generation: u64) -> Tail {
    Tail::open(Durable(Frame::new(end)), Generation(generation))
}

/// Waits until the watch shows `tail`.
#[allow(clippy::panic, reason = "a suite reports by panicking")]
async fn sees(watch: &mut TailWatch, tail: Tail) {
    let seen = tokio::time::timeout(PATIENCE, async {
        while watch.current() != tail {
            assert!(watch.changed().await, "the watch ended before it showed {tail:?}");
        }
    });
    if seen.await.is_err() {
        panic!("the watch never showed {tail:?} but {:?}", watch.current());
    }
}

#[allow(clippy::panic, reason = "a suite reports by panicking")]
async fn watch(store: &impl Watch, id: RecordingId) -> TailWatch {
    for _ in 0..100 {
        if let Some(watch) = store.watch(id) {
            return watch;
        }
        tokio::time::sleep(PATIENCE / 100).await;
    }
    panic!("nothing known about a recording that was published");
}

/// The whole suite, on an empty store.
pub async fn all(publisher: &impl Publisher, store: &impl Watch) {
    assert!(store.watch(id(0)).is_none(), "nothing is known that was not published");

    publisher.publish(id(1), open(0, 1));
    let mut first = watch(store, id(1)).await;
    let mut second = watch(store, id(1)).await;
    sees(&mut first, open(0, 1)).await;
    for end in 1..=100 {
        publisher.publish(id(1), open(end, 1));
    }
    sees(&mut first, open(100, 1)).await;
    sees(&mut second, open(100, 1)).await;

    // Nothing takes back what was heard; a later run of the recorder may go on.
    publisher.publish(id(1), open(99, 1));
    publisher.publish(id(1), open(99, 2));
    publisher.publish(id(1), open(101, 2));
    sees(&mut first, open(101, 2)).await;
    publisher.publish(id(1), open(500, 1));
    publisher.publish(id(1), open(102, 2));
    sees(&mut first, open(102, 2)).await;

    // Recordings do not disturb each other.
    publisher.publish(id(2), open(7, 2));
    let mut other = watch(store, id(2)).await;
    sees(&mut other, open(7, 2)).await;
    sees(&mut first, open(102, 2)).await;

    // The end is final, and those who watched see it even after it was forgotten.
    let sealed = Tail::sealed(Durable(Frame::new(102)), Some(id(2)), Generation(2));
    publisher.publish(id(1), sealed);
    publisher.publish(id(1), open(200, 3));
    publisher.forget(id(1));
    sees(&mut first, sealed).await;
    sees(&mut second, sealed).await;
    let late = store.watch(id(1)).map(|mut watch| watch.current());
    assert!(late.is_none_or(|tail| tail == sealed), "forgotten, or known as sealed for a while: {late:?}");
}
