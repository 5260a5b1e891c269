//! HTTP: views, ranges, live audio and the page. Takes nothing in.
//!
//! A request's address becomes a view, a view becomes a representation (`representation`), the request's headers and
//! the tail decide what of it is sent (`answer`), and a listener sends it (`listener`). The recordings themselves come
//! through one seam, [`Library`]. What operators want goes to
//! the recorder (`operations`). Not here: writing anything, and who knows how far a recording goes.

mod answer;
mod audience;
mod audit;
mod blocks;
mod body;
mod config;
mod connection;
mod context;
mod dir;
mod edge;
mod encoded;
mod endless;
mod events;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gate;
mod guard;
mod health;
mod icy;
mod levels;
mod library;
mod listener;
mod listing;
mod live;
mod loudness;
mod marks;
mod metrics;
mod mode;
mod openapi;
mod operations;
mod page;
mod peaks;
mod plain;
mod playlist;
mod problem;
mod program;
mod pulse;
mod query;
mod range;
mod reached;
mod receive;
mod recording;
mod remote;
mod rendition;
mod reply;
mod representation;
mod request;
mod routes;
mod seats;
mod server;
mod session;
mod socket;
mod tape;
mod timelines;
mod trace;
mod wire;

pub use config::{GatewayConfig, GatewayError, Limits};
pub use connection::Patience;
pub use dir::DirLibrary;
pub use guard::SettingError;
pub use library::{Block, FrameReader, Library, ReadError};
pub use remote::{CatalogueMirror, Reading, RecorderLibrary, Remote, RemoteConfig, RemoteError};
pub use rendition::{RenditionError, Renditions};
pub use server::Gateway;
