//! ALSA's library tells errors twice: as a number, and in words on the standard error. The words belong into our log,
//! once, and not there.

use alsa::Output;
use std::cell::RefCell;
use std::rc::Rc;

/// Catches what the library says on this thread.
pub(crate) struct Quiet(Option<Rc<RefCell<Output>>>);

impl Quiet {
    /// From now on.
    pub(crate) fn new() -> Self {
        Self(Output::local_error_handler().ok())
    }

    /// The last thing it said, without the name of the function that said it.
    pub(crate) fn said(&self) -> Option<String> {
        let said = self.0.as_ref()?.try_borrow().ok()?.to_string();
        let last = said.lines().rev().find(|line| !line.trim().is_empty())?;
        Some(last.split_once(": ").map_or(last, |(_, said)| said).chars().take(300).collect())
    }
}
