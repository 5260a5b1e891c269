// Waveform data, in tiles: each has a power of two seconds and at most so many points, so that any zoom of any length takes a
// few of them. A tile that lies behind the edge never changes and is kept; the one at the edge is asked for again.

import { get } from './api.js';

const POINTS = 512;
const KEPT = 240;
const AGAIN_MS = 900;
const FAILED_MS = 4000;

export class Peaks {
  available;                    // an older gateway has none
  #tiles = new Map();           // "level/number" -> { points, to, asked, busy }
  #address;
  #drawn;

  /** `drawn` is called when there is something new to draw. */
  constructor(address, drawn) {
    this.#address = address;
    this.available = Boolean(address);
    this.#drawn = drawn;
  }

  /** What there is of `from` to `to` where a pixel is `pixel` seconds wide: lists of points, the coarse ones first. */
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

  // What was loaded for other zooms, to be seen until the right one is there.
  #coarser(level, from, to) {
    const fits = ([key, { points }]) => points && points.level > level && points.level <= level + 8
      && points.first < to && points.end > from && key;
    return [...this.#tiles].filter(fits).map(([, { points }]) => points).sort((a, b) => b.level - a.level);
  }

  #tile(level, n, edge) {
    const key = `${level}/${n}`;
    const size = 2 ** level;
    const tile = this.#tiles.get(key) ?? { points: null, to: 0, asked: -Infinity, busy: false };
    this.#tiles.delete(key);    // so that the ones used last are at the end
    this.#tiles.set(key, tile);
    const wanted = Math.min((n + 1) * size, edge);
    const wait = tile.failed ? FAILED_MS : Math.max(AGAIN_MS, size / POINTS * 1000);
    const is_due = performance.now() - tile.asked > wait;
    if (this.available && !tile.busy && is_due && wanted > tile.to + 1e-3 && wanted > n * size) this.#load(tile, level, n, wanted);
    return tile.points;
  }

  async #load(tile, level, n, to) {
    Object.assign(tile, { busy: true, asked: performance.now() });
    try {
      const from = n * 2 ** level;
      const said = await get(`${this.#address}?from=${from}&to=${to.toFixed(6)}&width=${POINTS}`);
      tile.points = read(said, level);
      // The points come a little after the audio: the tile is whole when they say so.
      tile.to = said.end_frame / said.sample_rate;
      tile.failed = false;
    } catch ({ status }) {
      tile.failed = true;
      if (status === 404 || status === 405) this.available = false;
    }
    tile.busy = false;
    while (this.#tiles.size > KEPT) this.#tiles.delete(this.#tiles.keys().next().value);
    this.#drawn();
  }
}

/** The points of an answer with all channels in one: -1 to 1 for the samples, 0 to 1 for the level. */
export function read({ data, rms, channels, first_frame, sample_rate, samples_per_pixel, length }, level) {
  const points = { level, first: first_frame / sample_rate, step: samples_per_pixel / sample_rate, length,
    low: new Float32Array(length), high: new Float32Array(length), rms: new Float32Array(length) };
  points.end = points.first + length * points.step;
  for (let n = 0; n < length; n += 1) {
    for (let c = n * channels; c < (n + 1) * channels; c += 1) {
      points.low[n] = Math.min(points.low[n], data[2 * c] / 32768);
      points.high[n] = Math.max(points.high[n], data[2 * c + 1] / 32768);
      points.rms[n] = Math.max(points.rms[n], (rms?.[c] ?? 0) / 32768);
    }
  }
  return points;
}
