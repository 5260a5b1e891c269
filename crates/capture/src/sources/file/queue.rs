//! In which order files are played, and what comes next.

use super::error::FileError;
use super::{Playing, list};
use crate::random::Random;
use livetape_audio::Title;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// What is still to be played of this round, and of the next one, once that is known.
#[derive(Debug)]
pub(super) struct Queue {
    path: PathBuf,
    how: Playing,
    random: Random,
    now: VecDeque<PathBuf>,
    next: Option<Vec<PathBuf>>,
    /// Files of this round, and the one that was played last.
    len: usize,
    last: Option<PathBuf>,
}

impl Queue {
    /// The files that a path means, from the first one on.
    ///
    /// # Errors
    /// If there are none.
    pub(super) async fn of(path: &Path, how: Playing) -> Result<Self, FileError> {
        let (path, random) = (path.to_owned(), Random::seeded());
        let mut queue = Self { path, how, random, now: VecDeque::new(), next: None, len: 0, last: None };
        queue.begin_anew().await?;
        Ok(queue)
    }

    /// Whether there is only one file.
    pub(super) const fn is_single(&self) -> bool {
        self.len == 1
    }

    /// The next one of this round. With the last one the next round becomes known, so that what comes can be said. It is taken
    /// when nothing is waited for any more: when this is given up, it is still to come.
    pub(super) async fn pop(&mut self) -> Option<PathBuf> {
        self.last = Some(self.now.front()?.clone());
        if self.now.len() == 1 && self.how.repeat {
            // If there is nothing now, there may be something when the round begins.
            self.next = self.listed().await.ok();
        }
        self.now.pop_front()
    }

    /// Begins the next round.
    ///
    /// # Errors
    /// If nothing is there any more.
    pub(super) async fn begin_anew(&mut self) -> Result<(), FileError> {
        let files = match self.next.take() {
            Some(files) => files,
            None => self.listed().await?,
        };
        self.len = files.len();
        self.now = files.into();
        Ok(())
    }

    /// Forgets what the next round was to be: it is looked for when it begins.
    pub(super) fn forget(&mut self) {
        self.next = None;
    }

    async fn listed(&mut self) -> Result<Vec<PathBuf>, FileError> {
        let mut files = list::of(self.path.clone()).await?;
        if self.how.shuffle {
            shuffle(&mut files, &mut self.random);
            // Not the same one twice running, where there is another.
            if files.len() > 1 && files.first() == self.last.as_ref() {
                let end = files.len() - 1;
                files.swap(0, end);
            }
        }
        Ok(files)
    }

    /// What comes, as far as is known.
    pub(super) fn upcoming(&self) -> impl Iterator<Item = &Path> {
        self.now.iter().chain(self.next.iter().flatten()).map(PathBuf::as_path)
    }
}

/// What a file is called without more ado.
pub(super) fn name(path: &Path) -> Title {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    crate::title::plain(&stem.unwrap_or_default())
}

/// Fisher and Yates: each order is as likely as any other.
fn shuffle<T>(items: &mut [T], random: &mut Random) {
    for end in (1..items.len()).rev() {
        items.swap(end, ((end + 1) as f64 * random.unit()) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn each_order_comes_about_as_often_as_any_other() {
        let (mut random, mut orders) = (Random::new(5), HashMap::new());
        for _ in 0..6_000 {
            let mut items = [1, 2, 3];
            shuffle(&mut items, &mut random);
            *orders.entry(items).or_insert(0) += 1;
        }
        assert!(orders.len() == 6 && orders.values().all(|n| (850..1_150).contains(n)), "{orders:?}");
        shuffle::<u8>(&mut [], &mut random);
    }

    #[tokio::test]
    async fn who_gives_up_waiting_skips_nothing() {
        let dir = tempfile::tempdir().unwrap();
        ["a", "b"].iter().for_each(|name| std::fs::write(dir.path().join(format!("{name}.wav")), "x").unwrap());
        let how = Playing { repeat: true, ..Playing::default() };
        let mut queue = Queue::of(dir.path(), how).await.unwrap();
        let mut played = Vec::new();
        while played.len() < 2 {
            // Given up at once wherever it waits, and asked again.
            tokio::select! {
                biased;
                path = queue.pop() => played.extend(path),
                () = std::future::ready(()) => played.extend(queue.pop().await),
            }
        }
        assert_eq!(played.iter().map(|path| name(path).to_string()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(queue.pop().await, None, "the round is over");
    }

    #[tokio::test]
    async fn what_comes_is_known_beyond_the_end_of_the_round() {
        let dir = tempfile::tempdir().unwrap();
        let names = ["a", "b", "c", "d"].map(String::from);
        names.iter().for_each(|name| std::fs::write(dir.path().join(format!("{name}.wav")), "x").unwrap());
        let how = Playing { repeat: true, shuffle: true, ..Playing::default() };
        let mut queue = Queue::of(dir.path(), how).await.unwrap();
        let (mut promised, mut before) = (None, None);
        for _ in 0..20 {
            let mut round = Vec::new();
            while let Some(path) = queue.pop().await {
                let title = name(&path);
                assert!(promised.is_none_or(|promised| promised == title), "{title} was not promised");
                assert!(before.is_none_or(|before| before != title), "{title} twice running");
                promised = queue.upcoming().next().map(name);
                assert!(promised.is_some(), "something always comes");
                before = Some(title.clone());
                round.push(title.to_string());
            }
            round.sort();
            assert_eq!(round, names, "each once");
            queue.begin_anew().await.unwrap();
        }
    }
}
