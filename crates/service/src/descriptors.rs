//! How many clients the process can afford. A recorder has to find a file descriptor whenever it needs one, however many
//! listeners come, and however many strangers knock.
//!
//! Several roles may live in one process and do not know of each other, so each takes a share that leaves the others
//! theirs.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Kept for everything that is no client: recordings, logs, Redis.
const RESERVED: u64 = 256;

/// Who asks, and so how much each client costs, and how many quarters of what is not reserved all of them may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clients {
    /// Of the gateway: a socket, and perhaps an open segment.
    Listeners,
    /// Of the recorder: a socket, on which there may be many calls.
    Callers,
}

impl Clients {
    const fn each(self) -> u64 {
        match self {
            Self::Listeners => 2,
            Self::Callers => 1,
        }
    }
    const fn quarters(self) -> u64 {
        match self {
            Self::Listeners => 3,
            Self::Callers => 1,
        }
    }
    const fn as_str(self) -> &'static str {
        match self {
            Self::Listeners => "listeners",
            Self::Callers => "connections to the recorder",
        }
    }

    /// As many of the `wanted` ones as file descriptors allow, at least one, after raising their limit as far as needed.
    pub fn affordable(self, wanted: usize) -> usize {
        let cost = (wanted as u64).saturating_mul(self.each());
        let need = cost.saturating_mul(4).div_ceil(self.quarters()).saturating_add(RESERVED);
        let mut limit = getrlimit(Resource::Nofile);
        if limit.current.is_some_and(|now| now < need) {
            let raised = limit.maximum.map_or(need, |max| max.min(need));
            let asked = rustix::process::Rlimit { current: Some(raised), maximum: limit.maximum };
            if setrlimit(Resource::Nofile, asked).is_ok() {
                limit = getrlimit(Resource::Nofile);
            }
        }
        let room = self.room(limit.current);
        if room < wanted {
            let clients = self.as_str();
            tracing::info!(wanted, room, "the limit of open files (ulimit -n) allows fewer {clients}");
        }
        wanted.min(room)
    }

    fn room(self, descriptors: Option<u64>) -> usize {
        let share = |n: u64| n.saturating_sub(RESERVED) / 4 * self.quarters() / self.each();
        usize::try_from(descriptors.map_or(u64::MAX, share).max(1)).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_roles_together_leave_descriptors_for_recordings() {
        for limit in [256, 1_024, 4_096, 1 << 20] {
            let cost = |clients: Clients| clients.room(Some(limit)) as u64 * clients.each();
            let left = limit - cost(Clients::Listeners) - cost(Clients::Callers);
            assert!(left >= RESERVED - 3, "{left} of {limit}");
        }
        assert_eq!((Clients::Listeners.room(Some(1_024)), Clients::Callers.room(Some(1_024))), (288, 192));
        assert_eq!((Clients::Listeners.room(Some(100)), Clients::Callers.room(None)), (1, usize::MAX));
        assert_eq!(Clients::Listeners.affordable(2), 2);
    }
}
