// Waveform data, in tiles: each has a power of two seconds and at most so many points, so that any zoom of any length takes a
// few of them. A tile that lies behind the edge never changes and is kept; the one at the edge is asked for again.

import { get } from './api.js';

const POINTS = 512;
const KEPT = 240;
const AGAIN_MS = 900;
const FAILED_MS = 2000;
const LONGEST_MS = 30_000;
const LEVELS = 4;               // 16 seconds in 512 points: fine enough for a meter

export class Peaks {
  #tiles = new Map();           // "level/number" -> { points, to, asked, busy, wait }
  #address;
  #drawn;
  #wake = null;

  /** `drawn` is called when there is something new to draw. An older gateway has no address for peaks. */
  constructor(address, drawn) {
    this.#address = address;
    this.#drawn = drawn;
  }

  /** Asks for nothing any more. */
  close() {
    this.#address = null;
    clearTimeout(this.#wake);
  }

  /** What there is of `from` to `to` where a pixel is `pixel` seconds wide: lists of points, the coarse ones first. `edge` is how
   * far the recording surely goes: what lies ahead of it is not asked for. */
  of(from, to, pixel, edge) {
    const level = Math.ceil(Math.log2(Math.max(pixel, 1e-4) * POINTS));
    const found = [];
    for (const tile of this.#coarser(level, from, to)) found.push(tile);
    const size = 2 ** level;
    for (let n = Math.max(0, Math.floor(from / size)); n * size < Math.min(to, edge); n += 1) {
      const tile = this.#tile(level, n, edge);
      if (tile) found.push(tile);
    }
    return found;
  }

  /** How loud it is at a place: `{ peak, rms }` of each of the first two channels, linear; `null` while nobody knows. */
  levelAt(seconds, edge) {
    const points = this.#tile(LEVELS, Math.floor(seconds / 2 ** LEVELS), edge);
    const n = points ? Math.floor((seconds - points.first) / points.step) : -1;
    if (n < 0 || n >= points.length) return null;
    return points.each.map((channel) => ({ peak: channel[2 * n], rms: channel[2 * n + 1] }));
  }

  // What was loaded for other zooms, to be seen until the right one is there.
  #coarser(level, from, to) {
    const fits = ([key, { points }]) => points && points.level > level && points.level <= level + 8
      && points.first < to && points.end > from && key;
    return [...this.#tiles].filter(fits).map(([, { points }]) => points).sort((a, b) => b.level - a.level);
  }

  #tile(level, n, edge) {
    const key = `${level}/${n}`;
    const size = 2 ** level;
    const tile = this.#tiles.get(key) ?? { points: null, to: 0, asked: -Infinity, busy: false, wait: 0 };
    this.#tiles.delete(key);    // so that the ones used last are at the end
    this.#tiles.set(key, tile);
    const wanted = Math.min((n + 1) * size, edge);
    if (!this.#address || tile.busy || wanted <= tile.to + 1e-3 || wanted <= n * size) return tile.points;
    const due = tile.asked + (tile.wait || Math.max(AGAIN_MS, size / POINTS * 1000)) - performance.now();
    if (due <= 0) this.#load(tile, level, n, wanted);
    else this.#later(due);
    return tile.points;
  }

  // What is missing is looked for again even where nothing else moves.
  #later(ms) {
    this.#wake ??= setTimeout(() => {
      this.#wake = null;
      this.#drawn();
    }, ms + 20);
  }

  async #load(tile, level, n, to) {
    Object.assign(tile, { busy: true, asked: performance.now() });
    try {
      const from = n * 2 ** level;
      const said = await get(`${this.#address}?from=${from}&to=${to.toFixed(6)}&width=${POINTS}`);
      tile.points = read(said, level);
      // The points come a little after the audio: the tile is whole when they say so.
      const end = said.end_frame / said.sample_rate;
      tile.wait = end > tile.to ? 0 : longer(tile.wait);
      tile.to = end;
    } catch ({ after }) {
      // Not made yet, not recorded yet, busy, away, deleted: none of that is for ever, and none is asked for all the time.
      tile.wait = Math.max((after ?? 0) * 1000, longer(tile.wait));
    }
    tile.busy = false;
    while (this.#tiles.size > KEPT) this.#tiles.delete(this.#tiles.keys().next().value);
    this.#drawn();
  }
}

const longer = (wait) => Math.min(LONGEST_MS, wait ? wait * 2 : FAILED_MS);

/** The points of an answer with all channels in one: -1 to 1 for the samples, 0 to 1 for the level; and each channel for itself. */
export function read({ data, rms, channels, first_frame, sample_rate, samples_per_pixel, length }, level) {
  const points = { level, first: first_frame / sample_rate, step: samples_per_pixel / sample_rate, length,
    low: new Float32Array(length), high: new Float32Array(length), rms: new Float32Array(length),
    each: Array.from({ length: Math.min(channels, 2) }, () => new Float32Array(2 * length)) };
  points.end = points.first + length * points.step;
  for (let n = 0; n < length; n += 1) {
    for (let c = n * channels; c < (n + 1) * channels; c += 1) {
      const [low, high, loud] = [data[2 * c] / 32768, data[2 * c + 1] / 32768, (rms?.[c] ?? 0) / 32768];
      points.low[n] = Math.min(points.low[n], low);
      points.high[n] = Math.max(points.high[n], high);
      points.rms[n] = Math.max(points.rms[n], loud);
      points.each[c - n * channels]?.set([Math.max(high, -low), loud], 2 * n);
    }
  }
  return points;
}
