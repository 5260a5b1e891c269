//! What comes in: sound cards, files, standard input, sources that push, relays, and what plays when they are away.

mod devices;
mod drift;
mod encoders;
mod fallback;
mod files;
mod line;
mod loudspeakers;
mod program;
mod record;
mod relay;
mod sources;
mod sources_limits;
mod sources_refused;
mod stdin;
