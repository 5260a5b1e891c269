//! `livetape manage`: what operators do to recordings, asked of the recorder over gRPC.

use crate::settings::{FileFlag, RecorderUrlFlag};
use anyhow::{Context, anyhow, bail};
use livetape_proto::RecorderChannel;
use livetape_proto::v1::operation_service_client::OperationServiceClient;
use livetape_proto::v1::{self, Recording};
use std::io::Write;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

/// How long the recorder may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Flags of `livetape manage`.
#[derive(Debug, clap::Args)]
pub(crate) struct ManageArgs {
    #[command(flatten)]
    recorder: RecorderUrlFlag,
    #[command(flatten)]
    file: FileFlag,
    #[command(subcommand)]
    operation: Operation,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
enum Operation {
    /// Seal the open recording of a stream and begin a new one, without losing a frame
    Begin { stream: String },
    /// Seal a recording
    Seal { recording: String },
    /// Give a recording a title
    Title { recording: String, text: String },
    /// Give a recording notes
    Notes { recording: String, text: String },
    /// Keep a recording from being deleted by anybody, retention included
    Lock { recording: String },
    /// Take the lock away
    Unlock { recording: String },
    /// Put a mark on the timeline: at the newest frame, or at --frame
    Mark {
        recording: String,
        text: String,
        #[arg(long)]
        frame: Option<u64>,
    },
    /// Say what is playing on a stream, from the next frame on and until its source says something else; "" for nothing
    Playing { stream: String, text: String },
    /// Tell what a source of files plays, and what comes next
    Program { stream: String },
    /// Have a source of files go on with what comes next
    Skip { stream: String },
    /// Remove a sealed recording that is not locked
    Delete { recording: String },
    /// Remove all recordings of a stream that are not locked, and the stream if none is left
    DeleteStream { stream: String },
}

/// Asks the recorder and prints what came of it.
pub(crate) async fn run(args: ManageArgs, stop: CancellationToken) -> anyhow::Result<()> {
    let recorder = args.recorder.address(&args.file.load()?)?;
    let answer = async {
        let channel = recorder.endpoint()?.with(|to| to.connect_timeout(PATIENCE).timeout(PATIENCE)).connect().await;
        let channel = channel.with_context(|| format!("no recorder answers at {recorder}"))?;
        ask(OperationServiceClient::new(recorder.over(channel)), args.operation).await.map_err(refused)
    };
    let said = tokio::select! {
        said = answer => said?,
        () = stop.cancelled() => bail!("interrupted; what was asked may have been done"),
    };
    Ok(writeln!(std::io::stdout(), "{said}")?)
}

async fn ask(mut recorder: OperationServiceClient<RecorderChannel>, operation: Operation) -> Result<String, Status> {
    match operation {
        Operation::Begin { stream } => {
            let done = recorder.begin_recording(v1::BeginRecordingRequest { stream }).await?.into_inner();
            let sealed = done.sealed.map(|r| format!("sealed {}\n", r.id)).unwrap_or_default();
            Ok(format!("{sealed}begun {}", id(done.recording)))
        }
        Operation::Seal { recording: recording_id } => {
            let done = recorder.seal_recording(v1::SealRecordingRequest { recording_id }).await?;
            Ok(format!("sealed {}", id(done.into_inner().recording)))
        }
        Operation::Title { recording, text } => update(recorder, recording, Some(text), None).await,
        Operation::Notes { recording, text } => update(recorder, recording, None, Some(text)).await,
        Operation::Lock { recording: recording_id } => {
            let done = recorder.lock_recording(v1::LockRecordingRequest { recording_id }).await?;
            Ok(format!("locked {}", id(done.into_inner().recording)))
        }
        Operation::Unlock { recording: recording_id } => {
            let done = recorder.unlock_recording(v1::UnlockRecordingRequest { recording_id }).await?;
            Ok(format!("unlocked {}", id(done.into_inner().recording)))
        }
        Operation::Mark { recording: recording_id, text, frame } => {
            let done = recorder.add_mark(v1::AddMarkRequest { recording_id, frame, text }).await?;
            Ok(format!("marked frame {}", done.into_inner().frame))
        }
        Operation::Playing { stream, text: title } => {
            recorder.set_title(v1::SetTitleRequest { stream: stream.clone(), title }).await?;
            Ok(format!("said what is playing on {stream}"))
        }
        Operation::Program { stream } => {
            let done = recorder.get_program(v1::GetProgramRequest { stream }).await?.into_inner();
            Ok(program(&done.playing, &done.upcoming))
        }
        Operation::Skip { stream } => {
            let done = recorder.skip_title(v1::SkipTitleRequest { stream }).await?.into_inner();
            Ok(program(&done.playing, &done.upcoming))
        }
        Operation::Delete { recording: recording_id } => {
            recorder.delete_recording(v1::DeleteRecordingRequest { recording_id: recording_id.clone() }).await?;
            Ok(format!("deleted {recording_id}"))
        }
        Operation::DeleteStream { stream } => {
            let done = recorder.delete_stream(v1::DeleteStreamRequest { stream }).await?.into_inner();
            Ok(format!("deleted {} recordings, kept {} that are locked", done.removed, done.kept))
        }
    }
}

/// What was not answered in time is done all the same, if it was begun.
fn refused(status: Status) -> anyhow::Error {
    match status.code() {
        Code::DeadlineExceeded | Code::Cancelled => {
            anyhow!("the recorder has not answered within {PATIENCE:?}; what it has begun it does to its end")
        }
        _ => anyhow!("{}", status.message()),
    }
}

/// What plays, and what comes, one after another.
fn program(playing: &str, upcoming: &[String]) -> String {
    let upcoming = upcoming.iter().map(|title| format!("\nthen {title}"));
    format!("playing {playing}{}", upcoming.collect::<String>())
}

async fn update(
    mut recorder: OperationServiceClient<RecorderChannel>,
    recording_id: String,
    title: Option<String>,
    notes: Option<String>,
) -> Result<String, Status> {
    let done = recorder.update_recording(v1::UpdateRecordingRequest { recording_id, title, notes }).await?;
    Ok(format!("changed {}", id(done.into_inner().recording)))
}

fn id(recording: Option<Recording>) -> String {
    recording.map(|r| r.id).unwrap_or_default()
}
