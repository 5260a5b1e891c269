//! What a process and its children have used, as the operating system counts it.

use anyhow::{Context, Result};
use std::time::Duration;

/// Processor time of a process and its children so far, user and system.
///
/// # Errors
/// When there is no such process.
pub fn cpu(pid: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("no such process")?;
    // After the name, which is in brackets: user and system time are the 14th and 15th fields, in ticks.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = fields.get(11..13).context("fields")?.iter().map(|f| f.parse().unwrap_or(0)).sum();
    let own = Duration::from_secs(ticks) / u32::try_from(rustix::param::clock_ticks_per_second())?;
    children(pid).into_iter().try_fold(own, |sum, child| Ok(sum + cpu(child)?))
}

/// Resident memory of a process and its children now, in KiB.
///
/// # Errors
/// When there is no such process.
pub fn resident(pid: u32) -> Result<u64> {
    let own = status(pid, "VmRSS:")?;
    children(pid).into_iter().try_fold(own, |sum, child| Ok(sum + resident(child)?))
}

/// Forgets the most memory that a process had, so that [`peak`] is that from now on (proc(5), `clear_refs`).
///
/// # Errors
/// When there is no such process, or it is somebody else's.
pub fn forget_peak(pid: u32) -> Result<()> {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").context("no such process")
}

/// The most memory that a process had resident since it was started or [`forget_peak`], in KiB.
///
/// # Errors
/// When there is no such process.
pub fn peak(pid: u32) -> Result<u64> {
    status(pid, "VmHWM:")
}

fn children(pid: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|c| c.parse().ok()).collect()
}

fn status(pid: u32, field: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("no such process")?;
    let line = status.lines().find(|l| l.starts_with(field)).with_context(|| field.to_owned())?;
    Ok(line.split_whitespace().nth(1).context("a number")?.parse()?)
}
