//! Tests over real processes and real clients; see `tests/`.
