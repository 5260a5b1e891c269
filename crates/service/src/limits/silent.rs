//! Who has connected and has not said anything yet: so many in all. When another one comes, one of the client that has most of them
//! has to go, the one that has been silent for longest: so one address can keep nobody else out.
//!
//! Not here: how long anybody may be silent; how many there may be that have spoken.

use crate::metrics::Counter;
use crate::networks::one_client;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use tokio_util::sync::CancellationToken;

/// Those who have not spoken.
pub struct Silent {
    most: usize,
    /// The oldest first.
    waiting: Vec<(IpAddr, Weak<CancellationToken>)>,
    sent_away: Counter,
}

/// One who has not spoken, until this is dropped.
#[derive(Debug)]
pub struct Knock(Arc<CancellationToken>);

impl Knock {
    /// Waits until it has to go.
    pub async fn sent_away(&self) {
        self.0.cancelled().await;
    }
}

impl Silent {
    /// At most so many, at least one; `sent_away` counts those who had to go.
    pub fn new(most: usize, sent_away: Counter) -> Self {
        Self { most: most.max(1), waiting: Vec::new(), sent_away }
    }

    /// One more, from this address.
    pub fn one_more(&mut self, from: IpAddr) -> Knock {
        let from = one_client(from);
        if self.waiting.len() >= self.most {
            self.waiting.retain(|(_, knock)| knock.strong_count() > 0);
        }
        while self.waiting.len() >= self.most {
            let (_, gone) = self.waiting.remove(self.next_to_go(from));
            if let Some(gone) = gone.upgrade() {
                gone.cancel();
                self.sent_away.inc();
            }
        }
        let knock = Arc::new(CancellationToken::new());
        self.waiting.push((from, Arc::downgrade(&knock)));
        Knock(knock)
    }

    /// The place of the oldest of whoever has most, with the one that comes.
    fn next_to_go(&self, comes: IpAddr) -> usize {
        let mut counts: HashMap<IpAddr, usize> = HashMap::from([(comes, 1)]);
        for (from, _) in &self.waiting {
            *counts.entry(*from).or_default() += 1;
        }
        let most = counts.values().max().copied().unwrap_or_default();
        self.waiting.iter().position(|(from, _)| counts.get(from) == Some(&most)).unwrap_or_default()
    }
}

impl std::fmt::Debug for Silent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Silent({} of {})", self.waiting.len(), self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn silent(most: usize) -> (Silent, Counter) {
        let counter = Metrics::default().counter("livetape_test_total", "In a test.").unwrap();
        (Silent::new(most, counter.clone()), counter)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_keeps_nobody_else_out() {
        let (mut silent, sent_away) = silent(8);
        let others: Vec<_> = (1..=3).map(|n| silent.one_more(ip(&format!("192.0.2.{n}")))).collect();
        // Of one network of IPv6, which counts as one.
        let many: Vec<_> = (1..=100).map(|n| silent.one_more(ip(&format!("2001:db8::{n}")))).collect();
        let late = silent.one_more(ip("192.0.2.4"));
        assert!(others.iter().chain([&late]).all(|knock| !knock.0.is_cancelled()), "they have fewest");
        assert_eq!(many.iter().filter(|knock| !knock.0.is_cancelled()).count(), 4);
        assert!(many[96..].iter().all(|knock| !knock.0.is_cancelled()), "its oldest go first");
        assert_eq!(sent_away.get(), 96);
    }

    #[test]
    fn of_many_with_one_each_the_oldest_goes_and_who_has_spoken_stays() {
        let (mut silent, sent_away) = silent(3);
        let mut all: Vec<_> = (1..=3).map(|n| silent.one_more(ip(&format!("192.0.2.{n}")))).collect();
        let spoken = all.remove(1);
        drop(spoken);
        all.push(silent.one_more(ip("192.0.2.4")));
        assert!(all.iter().all(|knock| !knock.0.is_cancelled()), "there was a free place");
        all.push(silent.one_more(ip("192.0.2.5")));
        let gone: Vec<_> = all.iter().map(|knock| knock.0.is_cancelled()).collect();
        assert_eq!((gone, sent_away.get()), (vec![true, false, false, false], 1));
    }
}
