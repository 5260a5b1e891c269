//! What `scripts/setup.sh` puts into target/tools: buf, axe-core and a Python with gRPC (`test`), a recent ffmpeg and PipeWire's
//! plugin for ALSA (`clients`).

use anyhow::{Result, ensure};
use livetape_testkit::spawn;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The project's folder.
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".."))
}

fn tool(path: &str) -> Result<PathBuf> {
    let path = project().join("target/tools").join(path);
    ensure!(path.exists(), "{} is missing: scripts/setup.sh", path.display());
    Ok(path)
}

/// The folder in which `buf` is.
///
/// # Errors
/// When it is not installed.
pub fn buf_folder() -> Result<PathBuf> {
    tool("bin/buf")?;
    tool("bin")
}

/// The script of axe-core, which says what is wrong with a page for those who do not see it.
///
/// # Errors
/// When it is not installed.
pub fn axe() -> Result<PathBuf> {
    tool("node_modules/axe-core/axe.min.js")
}

/// A recent ffmpeg, as well as the one of the system.
///
/// # Errors
/// When it is not installed.
pub fn recent_ffmpeg() -> Result<PathBuf> {
    tool("ffmpeg/ffmpeg")
}

/// PipeWire's plugin for ALSA.
///
/// # Errors
/// When it is not installed.
pub fn pipewire_alsa() -> Result<PathBuf> {
    tool("pipewire-alsa/libasound_module_pcm_pipewire.so")
}

/// A command that runs the Python that has schemathesis.
///
/// # Errors
/// When it is not installed.
pub fn schemathesis() -> Result<Command> {
    tool("openapi/bin/python").map(spawn::command)
}

/// A command that runs a Python that has PyYAML, which schemathesis brings.
///
/// # Errors
/// When it is not installed.
pub fn yaml() -> Result<Command> {
    schemathesis()
}

/// A command that runs this Python's `python`.
///
/// # Errors
/// When it is not installed.
pub fn python() -> Result<Command> {
    tool("python/bin/python").map(spawn::command)
}
