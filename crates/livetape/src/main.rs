//! Livetape on the command line: all roles in one process, and the tools around a data folder.

mod archive;
mod capture;
mod devices;
mod export;
mod gateway;
mod health;
mod hints;
mod manage;
mod play;
mod record;
mod recorder;
mod role;
mod run;
mod settings;
mod streams;
mod token;
mod verify;
mod when;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use livetape_service::logging::{self, LogSettings};
use livetape_service::signals;
use livetape_service::traces::OtlpUrl;
use std::future::Future;
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;

/// A live-audio recorder that you can rewind while it is still recording.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// What to log, as tracing directives: info, debug, livetape_store=debug, …
    #[arg(long, env = "LIVETAPE_LOG", default_value = "info", global = true)]
    log: String,
    /// How log lines look: text for people, json for machines.
    #[arg(long, env = "LIVETAPE_LOG_FORMAT", default_value = "text", global = true)]
    log_format: logging::Format,
    /// Where traces go: the gRPC address of an OpenTelemetry collector, http://HOST:4317 [default: nowhere]
    #[arg(long, env = "LIVETAPE_OTLP_URL", value_name = "URL", global = true)]
    otlp_url: Option<OtlpUrl>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Record and serve: capture, recorder and gateway in one process.
    Run(Box<run::RunArgs>),
    /// Capture only: sources that push to a recorder.
    Capture(Box<capture::CaptureArgs>),
    /// Record only: takes audio from sources and keeps it.
    Recorder(Box<recorder::RecorderArgs>),
    /// Serve only: lets listen to what a recorder here or elsewhere keeps.
    Gateway(Box<gateway::GatewayArgs>),
    /// List sound cards: what to record from and to play on, and what they can do.
    Devices(devices::DevicesArgs),
    /// Play a stream or a recording on a sound card, as a gateway serves it.
    Play(play::PlayArgs),
    /// Record one source into a stream of a recorder that runs, and watch its level.
    Record(Box<record::RecordArgs>),
    /// List the streams and recordings of a data folder.
    Streams(streams::StreamsArgs),
    /// Write a view of a recording to a file.
    Export(export::ExportArgs),
    /// Seal, name, mark, lock and delete recordings, through their recorder.
    Manage(manage::ManageArgs),
    /// Ask a role on this machine whether it is ready. Exit code: 0 it is, 1 it is not, or does not answer.
    Health(health::HealthArgs),
    /// Make, show and check what people prove who they are with: tokens, JWTs, passwords, signed addresses.
    Token(token::TokenArgs),
    /// Check every recorded byte against its checksum. Changes nothing.
    Verify(verify::VerifyArgs),
}

impl Command {
    /// Whether it keeps a line on the terminal, over which log lines are written.
    const fn is_shown(&self) -> bool {
        matches!(self, Self::Record(_))
    }

    /// Who speaks, in traces.
    const fn name(&self) -> &'static str {
        match self {
            Self::Capture(_) | Self::Record(_) => "livetape-capture",
            Self::Recorder(_) => "livetape-recorder",
            Self::Gateway(_) => "livetape-gateway",
            _ => "livetape",
        }
    }
}

fn main() -> ExitCode {
    let command = unset_if_empty(Cli::command());
    let matches = command.clone().try_get_matches();
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            let hint = hints::of_variable(&command, &error);
            // Nobody could be told that nobody can be told.
            _ = error.print();
            hint.inspect(|hint| eprintln!("\n{hint}"));
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match start(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("livetape: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes, but for those that it quotes itself.
fn told(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |told, cause| match cause.to_string() {
        cause if told.contains(&cause) => told,
        cause if told.is_empty() => cause,
        cause => format!("{told}: {cause}"),
    })
}

/// A variable that is there and empty says nothing, which is how compose files and manifests leave one out.
fn unset_if_empty(command: clap::Command) -> clap::Command {
    let set = |arg: clap::Arg| match arg.get_env() {
        Some(name) if std::env::var_os(name).is_some_and(|value| value.is_empty()) => arg.env(None),
        _ => arg,
    };
    command.mut_args(set).mut_subcommands(unset_if_empty)
}

fn start(cli: Cli) -> anyhow::Result<()> {
    let otlp = OtlpUrl::find(cli.otlp_url, |name| std::env::var(name).ok())?;
    let log = LogSettings {
        filter: cli.log,
        format: cli.log_format,
        otlp,
        service: cli.command.name().into(),
        over: cli.command.is_shown(),
    };
    let telemetry = logging::start(&log)?;
    hints::of_passwords();
    let outcome = match cli.command {
        Command::Run(args) => serve(|stop| run::run(*args, stop)),
        Command::Capture(args) => serve(|stop| capture::run(*args, stop)),
        Command::Record(args) => serve(|stop| record::run(*args, stop)),
        Command::Recorder(args) => serve(|stop| recorder::run(*args, stop)),
        Command::Gateway(args) => serve(|stop| gateway::run(*args, stop)),
        Command::Manage(args) => serve(|stop| manage::run(args, stop)),
        Command::Token(args) => serve(|_| token::run(args)),
        Command::Play(args) => serve(|stop| play::run(args, stop)),
        Command::Devices(args) => devices::run(&args),
        Command::Streams(args) => streams::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Health(args) => health::run(&args),
        Command::Verify(args) => verify::run(&args),
    };
    telemetry.finish();
    outcome
}

/// Runs a role until it ends or a signal asks it to.
fn serve<F: Future<Output = anyhow::Result<()>>>(role: impl FnOnce(CancellationToken) -> F) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let stop = CancellationToken::new();
        signals::watch(stop.clone())?;
        role::look_at_the_clock();
        role(stop).await
    });
    // A read from standard input may block for ever; nothing else is left by now.
    runtime.shutdown_background();
    outcome
}
