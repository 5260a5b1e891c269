//! Who somebody is, as far as it matters, and what follows from it. Pure.

use crate::grant::{Grants, Right, Rights};
use crate::jwt::JwtProof;
use livetape_audio::{StreamName, WallTime};
use std::fmt;

/// How somebody proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// Not at all.
    Anonymous,
    /// A token of the file.
    Token,
    /// A JWT.
    Jwt,
    /// User and password.
    Password,
    /// A signed address.
    Url,
    /// A client certificate.
    Certificate,
    /// A part of this process.
    Insider,
}

impl Way {
    /// Its word, for logs and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Token => "token",
            Self::Jwt => "jwt",
            Self::Password => "password",
            Self::Url => "url",
            Self::Certificate => "certificate",
            Self::Insider => "insider",
        }
    }
}

/// What has to hold for a proof to stand when the file is read again.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    Anonymous,
    Token([u8; 32]),
    Insider([u8; 32]),
    /// Name, and the hash of the password that was right.
    Password(String, String),
    /// What was signed, of what matters.
    Jwt(JwtProof),
    /// The key that signed, what rights the address is for, and the hash of its signature.
    Url {
        key: [u8; 32],
        rights: Rights,
        signature: [u8; 32],
    },
    /// The name in the certificate, and when that ends.
    Certificate {
        name: String,
        until: Option<WallTime>,
    },
}

/// Whoever may be limited in what it takes, however many addresses it has. Opaque: to be hashed and compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Account<'a>(AccountOf<'a>);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum AccountOf<'a> {
    Hash(&'a [u8; 32]),
    Name(Way, &'a str),
}

impl fmt::Debug for AccountOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Somebody who proved something.
#[derive(Clone)]
pub struct Identity {
    pub(crate) name: String,
    pub(crate) proof: Proof,
    pub(crate) grants: Grants,
    pub(crate) until: Option<WallTime>,
}

impl Identity {
    pub(crate) fn anonymous(grants: Grants) -> Self {
        Self { name: "anonymous".into(), proof: Proof::Anonymous, grants, until: None }
    }

    /// The name, for people: of the token, the user, the subject, the key. No secret, no control characters.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it was proved.
    pub const fn way(&self) -> Way {
        match self.proof {
            Proof::Anonymous => Way::Anonymous,
            Proof::Token(_) => Way::Token,
            Proof::Insider(_) => Way::Insider,
            Proof::Password(..) => Way::Password,
            Proof::Jwt(..) => Way::Jwt,
            Proof::Url { .. } => Way::Url,
            Proof::Certificate { .. } => Way::Certificate,
        }
    }

    /// What it may do.
    pub const fn grants(&self) -> &Grants {
        &self.grants
    }

    /// Whose share of what there is it uses: that of a token, a signed address, or a name. Nobody in particular has none, and parts
    /// of this process need none.
    pub fn account(&self) -> Option<Account<'_>> {
        Some(Account(match &self.proof {
            Proof::Token(hash) | Proof::Url { signature: hash, .. } => AccountOf::Hash(hash),
            Proof::Password(name, _) | Proof::Certificate { name, .. } => AccountOf::Name(self.way(), name),
            Proof::Jwt(..) => AccountOf::Name(Way::Jwt, &self.name),
            Proof::Anonymous | Proof::Insider(_) => return None,
        }))
    }

    /// When it stops being valid, if it does.
    pub const fn until(&self) -> Option<WallTime> {
        self.until
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} ({})", self.way().word(), self.name, self.grants)
    }
}

/// A name from outside, for logs: short, on one line.
pub(crate) fn plain(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}

/// Whether somebody may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Yes, until then.
    Allowed {
        /// Then whatever is in progress ends; `None` for no end.
        until: Option<WallTime>,
    },
    /// No.
    Refused(Refusal),
}

/// Why somebody may not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Proving who one is may help.
    #[error("to {right} here, show that you may")]
    Unproven {
        /// The right.
        right: Right,
    },
    /// There may be nothing there, or something that is not theirs to know of.
    #[error("there is nothing at this address that you may {right}")]
    Nothing {
        /// The right.
        right: Right,
    },
    /// It was taken back between the proof and now.
    #[error("what was shown does not count any more, or for something else now: ask again")]
    Revoked,
    /// It was valid once.
    #[error("what was shown was valid until {until}")]
    Expired {
        /// The end.
        until: WallTime,
    },
    /// Proved, and still not.
    #[error("{name} may not {right} {}", of(.stream.as_ref()))]
    NoRight {
        /// Who.
        name: String,
        /// The right.
        right: Right,
        /// The stream; any, if none is named.
        stream: Option<StreamName>,
    },
}

fn of(stream: Option<&StreamName>) -> String {
    stream.map_or_else(|| "any stream".into(), |stream| format!("stream {stream}"))
}

/// Whether somebody may do this now: on that stream, or, if none is named, on any at all.
pub fn decide(identity: &Identity, right: Right, stream: Option<&StreamName>, now: WallTime) -> Decision {
    if let Some(until) = identity.until.filter(|until| now >= *until) {
        return Decision::Refused(Refusal::Expired { until });
    }
    if identity.grants.allow(right, stream) {
        return Decision::Allowed { until: identity.until };
    }
    Decision::Refused(match identity.proof {
        Proof::Anonymous => Refusal::Unproven { right },
        _ => Refusal::NoRight { name: identity.name.clone(), right, stream: stream.cloned() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions() {
        let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
        let at = WallTime::from_unix_nanos;
        let grants = Grants::try_from(vec!["listen:a".parse().unwrap()]).unwrap();
        let who = Identity { name: "x".into(), proof: Proof::Token([0; 32]), grants, until: Some(at(10)) };
        let says = |stream, now| decide(&who, Right::Listen, stream, at(now));
        assert_eq!(says(Some(&a), 9), Decision::Allowed { until: Some(at(10)) });
        assert_eq!(says(None, 9), Decision::Allowed { until: Some(at(10)) });
        assert_eq!(says(Some(&a), 10), Decision::Refused(Refusal::Expired { until: at(10) }));
        assert!(matches!(says(Some(&b), 9), Decision::Refused(Refusal::NoRight { .. })));
        let nobody = Identity::anonymous(Grants::everywhere(Rights::of([Right::Listen])));
        assert_eq!(decide(&nobody, Right::Listen, Some(&b), at(0)), Decision::Allowed { until: None });
        let refused = decide(&nobody, Right::Manage, Some(&b), at(0));
        assert_eq!(refused, Decision::Refused(Refusal::Unproven { right: Right::Manage }));
    }
}
