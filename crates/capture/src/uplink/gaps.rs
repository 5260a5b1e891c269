//! Gaps in a queue of pieces that were not sent yet: at one place there is at most one for each reason.

use crate::sources::{Chunk, Lost, Piece};
use livetape_audio::{GapReason, Spec};
use std::collections::VecDeque;

/// Appends a piece; a gap is added to one of the same reason at the same place.
pub(super) fn join(pieces: &mut VecDeque<Piece>, piece: Piece) {
    if let Piece::Gap(lost) = &piece {
        for earlier in pieces.iter_mut().rev() {
            match earlier {
                Piece::Gap(gap) if gap.reason == lost.reason => {
                    gap.frames = gap.frames + lost.frames;
                    return;
                }
                Piece::Gap(_) => {}
                Piece::Audio(_) => break,
            }
        }
    }
    pieces.push_back(piece);
}

/// Takes the first audio out; what is missing then is one gap for each reason.
pub(super) fn give_up_first(pieces: &mut VecDeque<Piece>, spec: Spec) -> Option<Chunk> {
    let (mut place, mut given_up) = (VecDeque::new(), None);
    // The gaps before it, the audio, and the gaps after it become one place.
    while let Some(piece) = pieces.pop_front() {
        match piece {
            Piece::Gap(_) => join(&mut place, piece),
            Piece::Audio(chunk) if given_up.is_none() => {
                join(&mut place, Piece::Gap(Lost { frames: chunk.frames(spec), reason: GapReason::Overflow }));
                given_up = Some(chunk);
            }
            Piece::Audio(_) => {
                pieces.push_front(piece);
                break;
            }
        }
    }
    while let Some(gap) = place.pop_back() {
        pieces.push_front(gap);
    }
    given_up
}
