//! `scripts/proto.sh`, which guards the contract: what it lets pass, and what it does not.

use anyhow::{Context, Result, ensure};
use livetape_testkit::spawn::{self, Finished};
use livetape_tests::tools::{buf_folder, project};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);

/// A copy of the protos with the script that looks at them.
struct Copy(TempDir);

impl Copy {
    fn new() -> Result<Self> {
        let copy = Self(tempfile::tempdir()?);
        let mut cp = Command::new("cp");
        cp.current_dir(project()).args(["-r", "--parents", "buf.yaml", "proto", "scripts/proto.sh"]).arg(copy.0.path());
        ensure!(cp.status()?.success(), "the protos cannot be copied");
        std::fs::create_dir_all(copy.0.path().join("target/tools"))?;
        symlink(buf_folder()?, copy.0.path().join("target/tools/bin"))?;
        // What is here now is the release against which changes are judged.
        copy.script("baseline")?.ok()?;
        Ok(copy)
    }

    /// Replaces a text that is there once.
    fn edit(self, file: &str, from: &str, to: &str) -> Result<Self> {
        let path = self.0.path().join("proto/livetape/v1").join(file);
        let text = std::fs::read_to_string(&path)?;
        ensure!(text.matches(from).count() == 1, "{file} has not one {from:?}");
        std::fs::write(&path, text.replace(from, to))?;
        Ok(self)
    }

    fn script(&self, what: &str) -> Result<Finished> {
        let mut command = spawn::command(Path::new(self.0.path()).join("scripts/proto.sh"));
        command.arg(what);
        spawn::run(command, LIMIT)
    }
}

#[test]
fn the_protos_pass_and_so_does_what_is_added() -> Result<()> {
    let mut command = spawn::command(project().join("scripts/proto.sh"));
    command.arg("check");
    spawn::run(command, LIMIT)?.ok().context("as they are")?;

    let more = "bytes pcm = 2;\n  // What was heard.\n  string words = 3;";
    Copy::new()?.edit("tape.proto", "bytes pcm = 2;", more)?.script("check")?.ok().context("with one field more")?;
    Ok(())
}

#[test]
fn what_breaks_programs_is_refused() -> Result<()> {
    let cases = [
        ("tape.proto", "uint64 frame_count = 3;", "int64 frame_count = 3;", "frame_count"),
        ("tape.proto", "bool follow = 4;", "bool follow = 5;", "follow"),
        ("ingest.proto", "uint64 epoch = 1;\n  // Number of the frame that", "// Number of the frame that", "End"),
        ("types.proto", "SEAL_REASON_OPERATOR = 6;", "SEAL_REASON_PERSON = 6;", "SEAL_REASON_OPERATOR"),
        (
            "operation.proto",
            "rpc AddMark(AddMarkRequest) returns (AddMarkResponse);",
            "rpc AddMark(AddMarkRequest) returns (stream AddMarkResponse);",
            "AddMark",
        ),
    ];
    for (file, from, to, word) in cases {
        let copy = Copy::new()?.edit(file, from, to)?;
        let refused = copy.script("check")?;
        let said = format!("{}{}", refused.text(), refused.stderr);
        assert_eq!(refused.code, Some(1), "{from}: {said}");
        assert!(said.contains(word) && said.contains("livetape.v2"), "{from}: {said}");
        // On purpose it can be done, and is said.
        assert!(copy.script("baseline")?.ok()?.stderr.contains("breaks"), "{from}");
        copy.script("check")?.ok()?;
    }
    Ok(())
}

#[test]
fn what_nobody_explains_is_refused() -> Result<()> {
    let refused = Copy::new()?.edit("types.proto", "  // Encoding of one sample.\n  SampleFormat", "  SampleFormat")?;
    let refused = refused.script("check")?;
    assert_eq!(refused.code, Some(1));
    assert!(refused.text().contains("types.proto"), "{}{}", refused.text(), refused.stderr);
    Ok(())
}
