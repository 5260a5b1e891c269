//! How many clients the process can afford. A recorder may live in the same process and has to find a file descriptor
//! whenever it needs one, however many listeners come.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Kept for everything that is no listener.
const RESERVED: u64 = 256;
/// For each connection there is a body of audio: a socket, and perhaps an open segment.
const EACH: u64 = 2;

/// As many of the `wanted` connections, and as many bodies, as file descriptors allow, after raising their limit as far
/// as needed.
pub(crate) fn affordable(wanted: usize) -> usize {
    let need = (wanted as u64).saturating_mul(EACH).saturating_add(RESERVED);
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|now| now < need) {
        let raised = limit.maximum.map_or(need, |max| max.min(need));
        let asked = rustix::process::Rlimit { current: Some(raised), maximum: limit.maximum };
        if setrlimit(Resource::Nofile, asked).is_ok() {
            limit = getrlimit(Resource::Nofile);
        }
    }
    let room = room(limit.current);
    if room < wanted {
        tracing::info!(wanted, room, "the limit of open files (ulimit -n) allows fewer listeners than configured");
    }
    wanted.min(room)
}

fn room(descriptors: Option<u64>) -> usize {
    let for_listeners = descriptors.map_or(u64::MAX, |n| n.saturating_sub(RESERVED) / EACH);
    usize::try_from(for_listeners.max(1)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_descriptors_for_the_recorder() {
        assert_eq!(room(Some(1_024)), 384);
        assert_eq!(room(Some(100)), 1);
        assert_eq!(room(None), usize::MAX);
        assert_eq!(affordable(2), 2);
    }
}
