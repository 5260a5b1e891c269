// What is heard in stereo of the channels of a recording: all of them, for the loudspeakers that they are for, after ITU-R BS.775, where
// that is known; else the first two. The same as its MP3 (crates/codec/src/convert/mix.rs), while a browser would guess by their number.

const LESS = Math.SQRT1_2;
const LEFT = [1, 0], RIGHT = [0, 1], NONE = [0, 0];
const [LEFT_BEHIND, RIGHT_BEHIND, BOTH, BOTH_BEHIND] = [[LESS, 0], [0, LESS], [LESS, LESS], [0.5, 0.5]];

/** What a loudspeaker gives to left and right. */
const SIDES = {
  FL: LEFT, FLC: LEFT, FR: RIGHT, FRC: RIGHT, FC: BOTH, LFE: NONE,
  BL: LEFT_BEHIND, SL: LEFT_BEHIND, TFL: LEFT_BEHIND, TBL: LEFT_BEHIND,
  BR: RIGHT_BEHIND, SR: RIGHT_BEHIND, TFR: RIGHT_BEHIND, TBR: RIGHT_BEHIND,
  BC: BOTH_BEHIND, TC: BOTH_BEHIND, TFC: BOTH_BEHIND, TBC: BOTH_BEHIND,
};

/** For each channel that is heard, one or two: which of a recording's it is made of, as `[channel, share]`. */
export function heard({ channels, layout }) {
  if (!layout) return Array.from({ length: Math.min(channels, 2) }, (_, channel) => [[channel, 1]]);
  const sides = layout.split('+').map((speaker) => SIDES[speaker] ?? NONE);
  const sums = [0, 1].map((side) => sides.reduce((sum, shares) => sum + shares[side], 0));
  const loudest = Math.max(1, ...sums);
  return [0, 1].map((side) => sides.map((shares, channel) => [channel, shares[side] / loudest]).filter(([, share]) => share > 0));
}
