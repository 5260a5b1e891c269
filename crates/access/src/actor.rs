//! Who did something, for the log and the timeline: the name that was proved, how, and from where.
//!
//! A gateway says for whom it asks. Whoever may do the same on every stream, as gateways may, is believed that, and stands
//! beside the name that it gives: nobody can hide behind another's.

use crate::caller::Caller;
use crate::identity::{Identity, Way, plain};
use std::fmt;
use std::net::IpAddr;

/// Somebody who did something. Shown as `ann (token) at 192.0.2.7, through gateway (certificate) at 192.0.2.9`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    name: String,
    way: String,
    address: Option<IpAddr>,
    /// Who asked for them.
    through: Option<Box<Self>>,
}

impl Actor {
    /// The key of gRPC metadata under which [`Actor::to_bytes`] travels.
    pub const METADATA: &str = "livetape-actor-bin";

    /// Somebody who asks from an address, if it is known.
    pub fn new(identity: &Identity, address: Option<IpAddr>) -> Self {
        let address = address.map(|address| address.to_canonical());
        Self { name: identity.name().to_owned(), way: identity.way().word().to_owned(), address, through: None }
    }

    /// Whoever calls from an address, or for whom they say that they call, if they are believed.
    pub fn of(caller: &Caller, address: Option<IpAddr>, told: Option<&[u8]>) -> Self {
        let asks = Self::new(caller.identity(), address);
        let Some(told) = told.filter(|_| caller.sees_all()).and_then(Self::from_bytes) else { return asks };
        // What asks inside this process is no one else.
        let through = (caller.identity().way() != Way::Insider).then(|| Box::new(asks));
        Self { through, ..told }
    }

    /// The name that was proved.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How.
    pub fn way(&self) -> &str {
        &self.way
    }

    /// From where.
    pub const fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Who asked for them, if somebody did.
    pub fn through(&self) -> Option<&Self> {
        self.through.as_deref()
    }

    /// For a message: way, name and address, each on a line of its own.
    pub fn to_bytes(&self) -> Vec<u8> {
        let address = self.address.map(|address| address.to_string()).unwrap_or_default();
        format!("{}\n{}\n{address}", self.way, self.name).into_bytes()
    }

    /// From a message. What cannot be understood says nothing.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let text = str::from_utf8(bytes).ok().filter(|text| text.len() <= 512)?;
        let mut lines = text.split('\n');
        let (way, name, address) = (lines.next()?, lines.next()?, lines.next()?);
        let address = match address {
            "" => None,
            address => Some(address.parse().ok()?),
        };
        let whole = lines.next().is_none() && !name.is_empty() && !way.is_empty();
        whole.then(|| Self { name: plain(name), way: plain(way), address, through: None })
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name == self.way {
            true => f.write_str(&self.name)?,
            false => write!(f, "{} ({})", self.name, self.way)?,
        }
        if let Some(address) = self.address {
            write!(f, " at {address}")?;
        }
        self.through.iter().try_for_each(|through| write!(f, ", through {through}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::{Grants, Right, Rights};

    #[test]
    fn travels_and_is_shown_on_one_line() {
        let everything = Grants::everywhere(Rights::of([Right::Manage]));
        let nobody = Actor::new(&Identity::anonymous(everything), Some("::ffff:192.0.2.7".parse().unwrap()));
        assert_eq!(nobody.to_string(), "anonymous at 192.0.2.7");
        assert_eq!(Actor::from_bytes(&nobody.to_bytes()), Some(nobody));
        let ann = Actor::from_bytes(b"token\nann\n").unwrap();
        assert_eq!(ann.to_string(), "ann (token)");
        let hostile = Actor::from_bytes("token\nan\u{1b}[2Jn\r\u{7f}\n".as_bytes()).unwrap();
        assert_eq!(hostile.name(), "an[2Jn");
        for bad in ["", "token", "token\nann", "token\n\n", "token\nann\nnowhere", "token\nann\n\nmore"] {
            assert_eq!(Actor::from_bytes(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(Actor::from_bytes(&[b'a'; 5_000]), None);
        assert_eq!(Actor::from_bytes(&[0xff; 5]), None);
    }
}
