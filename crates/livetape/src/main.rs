//! Livetape on the command line: all roles in one process, and the tools around a data folder.

mod archive;
mod export;
mod run;
mod streams;
mod verify;
mod when;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// A live-audio recorder that you can rewind while it is still recording.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// What to log, as tracing directives: info, debug, livetape_store=debug, …
    #[arg(long, env = "LIVETAPE_LOG", default_value = "info", global = true)]
    log: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Record and serve: capture, recorder and gateway in one process.
    Run(Box<run::RunArgs>),
    /// List the streams and recordings of a data folder.
    Streams(streams::StreamsArgs),
    /// Write a view of a recording to a file.
    Export(export::ExportArgs),
    /// Check every recorded byte against its checksum. Changes nothing.
    Verify(verify::VerifyArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = livetape_service::logging::init(&cli.log).and_then(|()| match cli.command {
        Command::Run(args) => run::run(*args),
        Command::Streams(args) => streams::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Verify(args) => verify::run(&args),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("livetape: {error:#}");
            ExitCode::FAILURE
        }
    }
}
