//! What listeners get: every bit, every length, compressed or not, in browsers and players.

mod bits;
mod browser;
mod large;
mod lengths;
mod players;
mod restless;
