// In which renditions a recording can be heard here: what the gateway offers of it and the browser plays.

/** Answers that say that there is no such rendition of this recording: not now, and not later. */
export const NEVER = [400, 404, 405, 406, 410, 415];

/** By what they are called in the addresses, in the order in which the page prefers them. */
export const RENDITIONS = {
  wav: { name: 'WAV, as recorded', type: 'audio/wav', rate: null },
  flac: { name: 'FLAC, lossless', type: 'audio/flac', rate: 80e3 },
  opus: { name: 'Opus', type: 'audio/ogg; codecs=opus', rate: 12e3 },
  mp3: { name: 'MP3', type: 'audio/mpeg', rate: 16e3 },
};

/** Where a recording is played from, from this frame on. A finished one has an address of its own: browsers keep what they had under the
 * old one. */
export function source({ id, spec: { rate } }, key, frame, growing) {
  const query = [frame ? `pos=${(frame / rate).toFixed(9)}` : '', growing ? 'len=star' : 'v=end'].filter(Boolean).join('&');
  return `/recordings/${id}/audio.${key}?${query}`;
}

const LONGEST_WAV = 2 ** 32 - 2 ** 20;

/** Bytes of so many seconds as they were recorded. */
const bytesOf = ({ format, channels, rate }, seconds) => Number(format.replace(/\D/g, '')) / 8 * channels * rate * seconds;

/** Where a recording is kept from as a file, if it is so many seconds long: more than 4 GiB cannot be said in a WAV, but in RF64. */
export function download({ urls, spec, seconds }, long = seconds) {
  const isLonger = bytesOf(spec, long ?? 0) > LONGEST_WAV;
  return `${(isLonger && urls.rf64) || urls.wav}?len=now`;
}

const BLOCKS = 4;               // seconds: compressed audio exists in blocks
const BYTES = 36_864;           // a browser plays nothing before it has as many

/** The one to play of those that there are: the one that somebody chose, else on a thin line the one that takes least. */
export function chosen(choices, wanted) {
  if (choices.includes(wanted)) return wanted;
  const { saveData, effectiveType } = navigator.connection ?? {};
  const thin = saveData || ['slow-2g', '2g', '3g'].includes(effectiveType);
  return (thin && choices.find((key) => key === 'opus' || key === 'mp3')) || choices[0] || 'wav';
}

/** How far a player stays behind the edge, in seconds. */
export function holdBack(spec, key) {
  const bytes = RENDITIONS[key].rate ?? bytesOf(spec, 1);
  return Math.max(key === 'wav' ? 1 : BLOCKS, BYTES / bytes);
}

/** What there is: the audio as it was recorded always, and what the gateway lists of a recording, the browser says that it plays,
 * and has not turned out not to play. */
export class Offers {
  #refused = new Set();
  #plays;

  /** `plays` says of a media type whether the browser plays it. */
  constructor(plays) {
    this.#plays = plays;
  }

  of(recording) {
    const listed = new Set((recording?.renditions ?? []).map(({ url }) => /\.(\w+)(?:\?|$)/.exec(url)?.[1]));
    const fits = (key) => key === 'wav' || (listed.has(key) && this.#plays(RENDITIONS[key].type) && !this.#refused.has(key));
    return Object.keys(RENDITIONS).filter(fits);
  }

  /** This one does not play here, whatever was said. */
  refuse(key) {
    this.#refused.add(key);
  }
}
