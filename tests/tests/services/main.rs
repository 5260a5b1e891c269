//! The roles as processes of their own, with Redis between them or without: what listeners get, whatever goes away.

mod bounds;
mod clocks;
mod compressed;
mod demand;
mod deployment;
mod faults;
mod keeping;
mod listening;
mod readiness;
mod redis;
mod restarts;
mod sources;
mod strangers;
mod strikes;
mod twins;
