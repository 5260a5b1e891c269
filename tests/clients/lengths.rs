//! What each player makes of each way to tell the length of a recording that grows: why the gateway tells it so to one
//! and so to another. Nothing here is right or wrong: it is written down, and a change of it is a change of the page.

use crate::report::Report;
use crate::scenario::{LOUDEST, Opens, has_ended, hears, seek};
use anyhow::Result;
use livetape_testkit::card::Card;
use livetape_tests::growing::{Growing, SOON};
use livetape_tests::tone;
use std::fmt::{Display, Formatter};
use std::time::Duration;

/// What stands above the table.
pub(crate) const ABOUT: &str = "\
What each made of a growing `audio.wav` with each of the lengths that [http.md](http.md#which-length) names. *plays*: heard the first seconds; *seeks*: \
heard second 15, and then second 4, after it was told to go there; *follows*: heard what was recorded after it had begun; *ends*: came to an end when the recording did, or \
for `now` where it was told that it is. *noise*: something louder than what was recorded. *at random*, \
which is not tried each time: takes the length for 0 and loses some of the beginning, now so much, now so much; the audio begins late, and a loss that is no whole frame makes it full-scale \
noise.\n";

/// Much of it is that nothing comes.
const PATIENCE: Duration = Duration::from_secs(20);
/// One that does not seek has to play all of it.
const AGAIN: Duration = Duration::from_secs(40);
/// What is recorded when it begins.
const BACKLOG: Duration = Duration::from_secs(20);

/// A way to tell a length, as `len=` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    Star,
    Huge,
    Now,
    None,
}

pub(crate) const FORMS: [Form; 4] = [Form::Star, Form::Huge, Form::Now, Form::None];

impl Form {
    const fn query(self) -> &'static str {
        match self {
            Self::Star => "len=star",
            Self::Huge => "len=huge",
            Self::Now => "len=now",
            Self::None => "len=none",
        }
    }
}

impl Display for Form {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "`?{}`", self.query())
    }
}

/// Tries them all.
pub(crate) fn all(report: &mut Report, opens: &dyn Opens, card: &Card) -> Result<()> {
    for form in FORMS {
        if form == Form::Star && opens.is_misled() {
            // Each time something else.
            report.made_of(form, "at random".into());
            continue;
        }
        let g = Growing::start(tone, BACKLOG)?;
        report.made_of(form, made_of(form, &g, opens, card)?);
    }
    Ok(())
}

fn made_of(form: Form, g: &Growing, opens: &dyn Opens, card: &Card) -> Result<String> {
    card.quiet(PATIENCE)?;
    let Ok(mut player) = opens.open(&g.wav_url(form.query()), card) else { return Ok("refuses".into()) };
    let player = &mut *player;
    let noise = || card.peak_lately() > opens.loudest().max(LOUDEST);
    if let Err(error) = hears(player, card, 0..2, PATIENCE) {
        let why = format!("{error:#}");
        let what = if noise() {
            "noise"
        } else if why.contains("it ended") {
            "ends at once"
        } else {
            "nothing"
        };
        return Ok(what.into());
    }
    let mut does = vec!["plays"];
    // Who only plays on comes to the first of these, too, but not to the second.
    if [15, 4].into_iter().all(|second| seek(player, card, second, PATIENCE).is_ok()) {
        does.push("seeks");
    }
    if form != Form::Now {
        let later = BACKLOG.as_secs() + 2;
        if hears(player, card, later..later + 1, AGAIN).is_ok() {
            does.push("follows");
        }
        g.pusher.end(SOON)?;
    }
    // A failure of the player is an end, too, but not a good one.
    if has_ended(player, AGAIN).is_ok() {
        does.push("ends");
    }
    if noise() {
        does.push("noise");
    }
    Ok(does.join(", "))
}
