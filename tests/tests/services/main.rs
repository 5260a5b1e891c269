//! The roles as processes of their own, with Redis between them or without: what listeners get, whatever goes away.

mod deployment;
mod faults;
mod listening;
mod restarts;
mod sources;
mod strangers;
