//! What every role shares: configuration, logging, signals, supervised named tasks.
