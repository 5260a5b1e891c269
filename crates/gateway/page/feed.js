// How far everything goes, and how loud it is: the one event stream of the page. It says `tail` with each piece of news, `level`
// with the levels of a stream in dBFS, and `state`. A connection on which nothing comes any more breaks no socket: a browser that only
// reads would wait for minutes. So the gateway promises beats, and without them the stream is opened anew.

import { status } from './api.js';
import { decibels } from './format.js';

const POINTS = 10;
const RECENT = 120;             // points that are kept: twelve seconds, which a player is seldom behind when it is live
const BEAT = 5;                 // seconds: what is expected of a gateway that has not said anything yet
const PATIENCE = 2.5;           // so many beats may be missing
const WITH_LEVELS = '/events?levels=on';

export class Feed extends EventTarget {
  tails = new Map();            // recording -> news, and when it came
  connected = false;
  #events = null;
  #beat = BEAT;                 // in so many seconds something comes; infinite where nothing is promised
  #silent = 0;                  // for so many seconds nothing has come
  #newest = new Map();          // stream -> recording
  #recent = new Map();          // recording -> the newest levels, and where each is

  constructor() {
    super();
    // Counted, not measured: a machine that slept or was busy has looked at nothing meanwhile, either.
    setInterval(() => this.#watch(), 1000);
  }

  open(levels = true) {
    this.close();
    const events = this.#events = new EventSource(levels ? WITH_LEVELS : '/events');
    const on = (name, act) => events.addEventListener(name, (event) => {
      this.#silent = 0;
      act(event);
    });
    on('open', () => {
      this.#beat = Infinity;
      this.#say(true);
    });
    on('beat', ({ data }) => { this.#beat = JSON.parse(data).seconds; });
    on('message', ({ data }) => this.#hear(JSON.parse(data)));
    on('level', ({ data }) => this.#louder(JSON.parse(data)));
    on('error', () => this.#failed(levels));
  }

  close() {
    this.#events?.close();
    this.#events = null;
    this.#silent = 0;
  }

  // A gateway that knows no levels refuses to be asked for them. Whatever else was wrong passes: then there are levels again.
  async #failed(levels) {
    const events = this.#events;
    const older = this.refused && levels && await status(WITH_LEVELS) === 400;
    if (events !== this.#events) return;
    if (older) this.open(false);
    else this.#say(false);
  }

  #watch() {
    if (!this.#events || this.refused) return;
    this.#silent += 1;
    if (this.#silent <= this.#beat * PATIENCE) return;
    this.#beat = BEAT;
    this.open();
    this.#say(false);
  }

  /** Whether the browser has given up: it was refused, and somebody has to log in. */
  get refused() {
    return this.#events?.readyState === EventSource.CLOSED;
  }

  #say(connected) {
    this.connected = connected;
    if (!connected) this.#recent.clear();
    this.dispatchEvent(new Event('state'));
  }

  #hear(news) {
    const tail = { ...news, came: performance.now() };
    const before = this.#newest.get(news.stream);
    // Nothing is told any more of the one before: it has ended.
    if (before && before !== news.recording) {
      if (this.tails.has(before)) Object.assign(this.tails.get(before), { state: 'ended' });
      this.#recent.delete(before);
    }
    this.#newest.set(news.stream, news.recording);
    this.tails.set(news.recording, tail);
    this.dispatchEvent(new CustomEvent('tail', { detail: tail }));
  }

  // Some points at once, ten of each second: they are told one after the other, as they sounded.
  #louder({ stream, recording, first_frame, frames_per_point, peak, rms }) {
    const recent = this.#recent.get(recording) ?? [];
    const seen = recent.at(-1)?.frame ?? -1;
    peak.forEach((channels, n) => {
      const frame = first_frame + n * frames_per_point;
      if (frame > seen) recent.push({ frame, frames: frames_per_point, levels: channels.slice(0, 2).map((one, c) => ({ peak: one, rms: rms[n][c] })) });
    });
    this.#recent.set(recording, recent.slice(-RECENT));
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

  /** How loud it is at a place not far behind the edge, linear, as far as that was told. */
  levelAt({ id, spec }, seconds) {
    const frame = seconds * spec.rate;
    const found = this.#recent.get(id)?.findLast((point) => point.frame <= frame);
    return found && frame < found.frame + 2 * found.frames ? found.levels : null;
  }

  /** How far a recording goes now, in seconds: between two pieces of news it goes on by itself, for a moment. */
  edge(recording) {
    const { seconds, state, came } = this.tail(recording);
    const since = ['live', 'silent'].includes(state) && came ? (performance.now() - came) / 1000 : 0;
    return seconds + Math.min(since, 0.3);
  }
}
