//! The interfaces that others build on: HTTP as its document says it, gRPC from its protos alone, the command line.

mod command_line;
mod openapi;
mod protos;
mod python;
