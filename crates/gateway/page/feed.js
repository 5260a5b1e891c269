// How far everything goes, and how loud it is: the one event stream of the page. It says `tail` with each piece of news, `level`
// with the levels of a stream in dBFS, and `state`.

import { decibels } from './format.js';

const SILENT_DB = -60;
const SILENT_MS = 3000;
const POINTS = 10;

export class Feed extends EventTarget {
  tails = new Map();            // recording -> news, and when it came
  connected = false;
  #events = null;
  #levels = true;
  #newest = new Map();          // stream -> recording
  #quiet = new Map();           // stream -> since when it has been below SILENT_DB

  open() {
    this.close();
    this.#events = new EventSource(this.#levels ? '/events?levels=on' : '/events');
    this.#events.onopen = () => this.#say(true);
    this.#events.onerror = () => {
      // A gateway that knows no levels refuses to be asked for them.
      const again = this.refused && this.#levels;
      this.#levels = !again && this.#levels;
      if (again) this.open();
      else this.#say(false);
    };
    this.#events.onmessage = ({ data }) => this.#hear(JSON.parse(data));
    this.#events.addEventListener('level', ({ data }) => this.#louder(JSON.parse(data)));
  }

  close() {
    this.#events?.close();
    this.#events = null;
  }

  /** Whether the browser has given up: it was refused, and somebody has to log in. */
  get refused() {
    return this.#events?.readyState === EventSource.CLOSED;
  }

  #say(connected) {
    this.connected = connected;
    this.dispatchEvent(new Event('state'));
  }

  #hear(news) {
    const tail = { ...news, came: performance.now(), silent: this.#silent(news.stream) };
    const before = this.#newest.get(news.stream);
    // Nothing is told any more of the one before: it has ended.
    if (before && before !== news.recording && this.tails.has(before)) this.tails.get(before).state = 'ended';
    this.#newest.set(news.stream, news.recording);
    this.tails.set(news.recording, tail);
    this.dispatchEvent(new CustomEvent('tail', { detail: tail }));
  }

  #silent(stream) {
    return performance.now() - (this.#quiet.get(stream) ?? Infinity) >= SILENT_MS;
  }

  // Some points at once, ten of each second: they are told one after the other, as they sounded.
  #louder({ stream, recording, peak, rms }) {
    const highest = decibels(Math.max(0, ...peak.flat()));
    if (highest > SILENT_DB) this.#quiet.delete(stream);
    else if (!this.#quiet.has(stream)) this.#quiet.set(stream, performance.now());
    const slow = matchMedia('(prefers-reduced-motion: reduce)').matches;
    peak.slice(slow ? -1 : -POINTS).forEach((channels, n, all) => {
      const loud = rms[peak.length - all.length + n];
      const levels = channels.map((one, c) => ({ peak: decibels(one), rms: decibels(loud[c]) }));
      setTimeout(() => this.dispatchEvent(new CustomEvent('level', { detail: { stream, recording, levels } })), n * 100);
    });
  }

  /** What is known of a recording: once it is sealed from how it was listed, before from the events. */
  tail(recording) {
    const { id, seconds, sealed, edge } = recording;
    const listed = { seconds: seconds ?? 0, state: sealed ? 'ended' : 'live', time: edge, came: 0 };
    return sealed ? listed : this.tails.get(id) ?? listed;
  }

  /** How far a recording goes now, in seconds: between two pieces of news it goes on by itself, for a moment. */
  edge(recording) {
    const { seconds, state, came } = this.tail(recording);
    const since = state === 'live' && came ? (performance.now() - came) / 1000 : 0;
    return seconds + Math.min(since, 0.3);
  }
}
