//! A program in another language, made from the protos alone: the example of docs/grpc.md, and what it learns when it
//! is refused. And the lines for `buf curl` that the docs show.

use anyhow::{Context, Result, ensure};
use livetape_audio::{Frame, FrameCount};
use livetape_testkit::counting::encode;
use livetape_testkit::process::Start;
use livetape_testkit::{spawn, wait};
use livetape_tests::tools::{buf_folder, project, python};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(120);

/// Python with a client that was just made from the protos.
struct Client(TempDir);

impl Client {
    fn new() -> Result<Self> {
        let client = Self(tempfile::tempdir()?);
        let mut protoc = python()?;
        protoc.current_dir(project()).args(["-m", "grpc_tools.protoc", "-I", "proto"]);
        protoc.args(["python_out", "grpc_python_out"].map(|out| format!("--{out}={}", client.0.path().display())));
        for proto in std::fs::read_dir(project().join("proto/livetape/v1"))? {
            protoc.arg(PathBuf::from("livetape/v1").join(proto?.file_name()));
        }
        spawn::run(protoc, LIMIT)?.ok()?;
        Ok(client)
    }

    fn command(&self, script: &str) -> Result<Command> {
        let mut command = python()?;
        let examples = project().join("examples/python");
        command.env("PYTHONPATH", format!("{}:{}", self.0.path().display(), examples.display()));
        // No bytecode beside the sources.
        command.env("PYTHONDONTWRITEBYTECODE", "1").arg(project().join(script));
        Ok(command)
    }
}

/// The audio of the only recording of a stream, as it lies on disk.
fn on_disk(data: &TempDir, stream: &str) -> Result<Vec<u8>> {
    let recordings: Vec<_> = std::fs::read_dir(data.path().join(stream))?.collect::<Result<_, _>>()?;
    ensure!(recordings.len() == 1, "{recordings:?}");
    Ok(std::fs::read(recordings[0].path().join(format!("{:020}.pcm", 0)))?)
}

#[test]
fn a_python_program_records_and_reads_across_the_death_of_the_recorder() -> Result<()> {
    let (client, data) = (Client::new()?, tempfile::tempdir()?);
    let recorder = Start::recorder(data.path()).spawn()?;
    let mut record = client.command("examples/python/record.py")?;
    record.args([&recorder.grpc().to_string(), "from-python", "8"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = spawn::spawn(record)?;
    wait::until("audio on disk", LIMIT, || on_disk(&data, "from-python").ok())?;
    std::thread::sleep(Duration::from_secs(2));
    let again = Start::recorder(data.path()).on_ports_of(&recorder);
    recorder.kill()?;
    let recorder = again.spawn()?;
    let done = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&done.stdout);
    ensure!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    ensure!(said.contains("UNAVAILABLE") && said.contains("384000 frames"), "{said}");
    recorder.stop()?;
    // It has compared every byte with what it sent; here is what that was.
    assert!(on_disk(&data, "from-python")? == encode(Frame::ZERO, FrameCount::new(384_000)));
    Ok(())
}

#[test]
fn a_python_program_learns_why_it_is_refused() -> Result<()> {
    let (client, data) = (Client::new()?, tempfile::tempdir()?);
    let recorder = Start::recorder(data.path()).spawn()?;
    let mut refusals = client.command("tests/python/refusals.py")?;
    refusals.arg(recorder.grpc().to_string());
    let done = spawn::run(refusals, LIMIT)?.ok()?;
    assert_eq!(done.text(), "refused as it should be\n", "{}", done.stderr);
    recorder.stop()
}

/// The pieces of docs/grpc.md that are in this language.
fn pieces(language: &str) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(project().join("docs/grpc.md"))?;
    let opening = format!("\n```{language}\n");
    let piece = |rest: &str| Some(rest.split_once("\n```")?.0.to_owned());
    let pieces: Vec<_> = text.split(&opening).skip(1).map(|rest| piece(rest).context("has no end")).collect();
    pieces.into_iter().collect()
}

#[test]
fn the_docs_show_the_very_file() -> Result<()> {
    let file = std::fs::read_to_string(project().join("examples/python/record.py"))?;
    let lines = |text: &str| text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&pieces("python")?.join("\n")), lines(&file));
    Ok(())
}

#[test]
fn the_lines_for_buf_curl_work() -> Result<()> {
    let data = tempfile::tempdir()?;
    let recorder = Start::recorder(data.path()).spawn()?;
    let lines: Vec<_> = pieces("sh")?.into_iter().filter(|piece| piece.contains("buf curl")).collect();
    ensure!(lines.len() == 1, "one piece shows it: {lines:?}");
    ensure!(lines[0].contains("127.0.0.1:7070"), "with the usual address");
    let script = lines[0].replace("127.0.0.1:7070", &recorder.grpc().to_string());
    let path = format!("{}:{}", buf_folder()?.display(), std::env::var("PATH")?);
    let mut sh = spawn::command("sh");
    sh.args(["-e", "-c", &script]).env("PATH", path);
    let said = spawn::run(sh, LIMIT)?.ok()?.text();
    for word in
        ["livetape.v1.IngestService", "SERVING", "\"maxAppendBytes\": 1048576", "\"ended\"", "by-hand", "totalBytes"]
    {
        assert!(said.contains(word), "{word} is missing:\n{said}");
    }
    assert_eq!(on_disk(&data, "by-hand")?, vec![0; 16_000]);
    recorder.stop()
}
