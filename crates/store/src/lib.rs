//! Append-only recordings on disk: segments, index, timeline, recovery. Synchronous; no network.
