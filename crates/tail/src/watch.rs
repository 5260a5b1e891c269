//! One follower of one tail.

use livetape_audio::Tail;
use tokio::sync::watch;

/// Follows one recording's tail. Sees the newest value, not every value in between.
#[derive(Clone, Debug)]
pub struct TailWatch(watch::Receiver<Tail>);

impl TailWatch {
    /// A follower of `receiver`.
    pub const fn new(receiver: watch::Receiver<Tail>) -> Self {
        Self(receiver)
    }

    /// A follower of a recording whose tail will never change.
    pub fn fixed(tail: Tail) -> Self {
        Self(watch::channel(tail).1)
    }

    /// The newest tail; a following [`TailWatch::changed`] waits for a newer one.
    pub fn current(&mut self) -> Tail {
        *self.0.borrow_and_update()
    }

    /// Waits for a tail newer than the one last looked at. `false` when none can come any more: after sealing, or
    /// because the publisher has gone.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}
