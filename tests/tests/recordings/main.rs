//! What is kept: through kills, full disks, bad input, backups, and the operations on it.

mod backup;
mod bad_input;
mod full_disk;
mod ingest;
mod kill;
mod lifecycle;
