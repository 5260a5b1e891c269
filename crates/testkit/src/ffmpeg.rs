//! Files of every format, as ffmpeg makes them.

use crate::spawn;
use anyhow::Result;
use std::path::Path;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// Turns a file into another with ffmpeg, by these arguments.
///
/// # Errors
/// When ffmpeg does not.
pub fn encode(input: &Path, args: &[&str], output: &Path) -> Result<()> {
    let mut command = spawn::command("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y", "-i"]).arg(input).args(args).arg(output);
    spawn::run(command, LIMIT)?.ok()?;
    Ok(())
}
