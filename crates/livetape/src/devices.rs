//! `livetape devices`: the sound cards of this machine, by the names that `--source device:ID` takes, and what they can do.

use livetape_capture::sources::device::{Abilities, CardInfo, Cards};
use serde::Serialize;
use std::io::Write;

/// Flags of `livetape devices`.
#[derive(Debug, clap::Args)]
pub(crate) struct DevicesArgs {
    /// Also what ALSA's configuration defines for special purposes, and cards by their numbers
    #[arg(long)]
    all: bool,
    /// For programs
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Listing {
    devices: Vec<CardInfo>,
}

/// Prints what there is.
pub(crate) fn run(args: &DevicesArgs) -> anyhow::Result<()> {
    let devices = Cards::default().list(args.all);
    let mut out = std::io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &Listing { devices })?;
        writeln!(out)?;
        return Ok(());
    }
    if devices.is_empty() {
        writeln!(out, "No sound cards, or this process may not see them: docs/devices.md says what to look for.")?;
        return Ok(());
    }
    section(&mut out, "Inputs: --source device:ID", &devices, |card| card.input.as_ref())?;
    section(&mut out, "Outputs: livetape play --device ID", &devices, |card| card.output.as_ref())
}

/// The cards that have these abilities.
fn section(
    out: &mut impl Write,
    title: &str,
    cards: &[CardInfo],
    abilities: fn(&CardInfo) -> Option<&Abilities>,
) -> anyhow::Result<()> {
    let cards: Vec<_> = cards.iter().filter_map(|card| Some((card, abilities(card)?))).collect();
    if cards.is_empty() {
        return Ok(());
    }
    writeln!(out, "{title}")?;
    for (card, abilities) in cards {
        let default = if card.default { "  (also: default)" } else { "" };
        writeln!(out, "\n  {}{default}\n      {}", card.id, card.name)?;
        for line in &card.about {
            writeln!(out, "      {line}")?;
        }
        writeln!(out, "      {abilities}")?;
    }
    writeln!(out)?;
    Ok(())
}
