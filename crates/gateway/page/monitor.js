// The monitor: what is recorded now, as near to the edge as it comes. It reads the frames of the tape by range, as they are written,
// and plays each piece at its time through Web Audio: nodes with buffers, because worklets are only there over HTTPS. An audio element
// waits for 36 KiB; this waits for `lead` seconds, more only on a line that needs it. It neither pauses nor seeks: that is the deck's.
// It says `change`, and `ended` with the recording with which the stream goes on, at the end of one.

import { tailOf } from './api.js';
import { heard } from './mix.js';

const LEAD = 0.12;              // seconds of audio that wait to be played
const MORE = 0.05;              // added each time that was not enough
const MOST = 1;
const PIECE = 0.02;             // seconds that are put together before they are scheduled
const AGAIN_MS = 500;
const LONGEST_MS = 8000;
const STUCK_MS = 4000;

/** Samples of one format, as floats: -1 to 1. */
const READ = {
  s16: [2, (view, at) => view.getInt16(at, true) / 0x8000],
  s24: [3, (view, at) => ((view.getInt8(at + 2) << 16) | view.getUint16(at, true)) / 0x800000],
  s32: [4, (view, at) => view.getInt32(at, true) / 0x80000000],
  f32: [4, (view, at) => view.getFloat32(at, true) || 0],
};

export class Monitor extends EventTarget {
  on = false;
  trouble = '';
  #feed;
  #context = null;
  #gain = null;
  #volume = 1;
  #stop = null;                 // of the request
  #retry = null;
  #lead = LEAD;
  #read = 0;                    // so many frames of the tape have come, and when the last did
  #came = 0;
  #next = 0;                    // when the next piece is to be heard, in the context's time
  #heard = [];                  // { time, frame }: what begins when, of what is still to be heard

  constructor(feed) {
    super();
    this.#feed = feed;
    setInterval(() => this.#watch(), 1000);
  }

  start(recording) {
    this.stop();
    this.recording = recording;
    const { rate } = recording.spec;
    try {
      // At the tape's own rate: pieces that are resampled one by one do not fit together.
      this.#context = new AudioContext({ sampleRate: rate, latencyHint: 'interactive' });
    } catch {
      return this.#say(`This browser plays nothing at ${rate} Hz through Web Audio.`);
    }
    this.#gain = this.#context.createGain();
    this.#gain.connect(this.#context.destination);
    this.volume = this.#volume;
    Object.assign(this, { on: true, trouble: '' });
    [this.#lead, this.#next] = [LEAD, 0];
    this.#context.resume();
    this.#follow(0);
    this.#say('');
  }

  stop() {
    this.#stop?.abort();
    clearTimeout(this.#retry);
    this.#context?.close();
    this.#context = this.#gain = this.#stop = null;
    this.#heard = [];
    if (!this.on) return;
    this.on = false;
    this.#say('');
  }

  set volume(volume) {
    this.#volume = volume;
    if (this.#gain) this.#gain.gain.value = volume;
  }

  /** Where the output comes together: for whoever wants to hear it, too. */
  get output() {
    return this.#gain;
  }

  /** The place on the tape that is heard now, in seconds; `null` before there is one. */
  get position() {
    if (!this.on) return null;
    const now = this.#context.currentTime - (this.#context.outputLatency || 0);
    while (this.#heard.length > 1 && this.#heard[1].time <= now) this.#heard.shift();
    const [piece] = this.#heard;
    if (!piece || piece.time > now) return null;
    return (piece.frame + Math.min(now - piece.time, piece.length) * this.recording.spec.rate) / this.recording.spec.rate;
  }

  /** How far behind the edge that is, in seconds; `null` before anything is heard. */
  get distance() {
    const position = this.position;
    return position === null ? null : Math.max(0, this.#feed.edge(this.recording) - position);
  }

  async #follow(failures) {
    const { recording } = this;
    const { rate, channels, format } = recording.spec;
    const [size, read] = READ[format];
    const frameBytes = size * channels;
    const from = Math.max(0, Math.floor((this.#feed.tail(recording).seconds - PIECE) * rate));
    [this.#read, this.#came] = [from, performance.now()];
    const stop = this.#stop = new AbortController();
    let rest = new Uint8Array(0);
    let came = false;
    try {
      const reply = await fetch(`/recordings/${recording.id}/audio.pcm`,
        { headers: { Range: `bytes=${from * frameBytes}-` }, signal: stop.signal, cache: 'no-store' });
      if (reply.status !== 206 && !(reply.status === 200 && from === 0)) throw new Error(`the gateway answers ${reply.status}`);
      const reader = reply.body.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        const bytes = new Uint8Array(rest.length + value.length);
        bytes.set(rest);
        bytes.set(value, rest.length);
        const count = Math.floor(bytes.length / frameBytes);
        if (count < PIECE * rate) {
          rest = bytes;
          continue;
        }
        rest = bytes.slice(count * frameBytes);
        came = true;
        this.trouble = '';
        this.#play(new DataView(bytes.buffer, 0, count * frameBytes), { frame: this.#read, count, size, read, spec: recording.spec });
        this.#read += count;
        this.#came = performance.now();
      }
    } catch (error) {
      if (stop.signal.aborted) return;
      this.#say(`Broken off (${error.message}); going on …`);
    }
    const tail = stop.signal.aborted ? null : await tailOf(recording.id);
    if (stop.signal.aborted || !this.on) return;
    if (tail && tail.state !== 'open') return this.#over(tail.next ?? null);
    const again = came ? 0 : failures + 1;
    this.#retry = setTimeout(() => this.on && this.#follow(again), Math.min(LONGEST_MS, AGAIN_MS * 2 ** again));
  }

  // A connection that says nothing any more, although there is something, is given up.
  #watch() {
    if (!this.on || !this.#feed.connected || performance.now() - this.#came < STUCK_MS) return;
    const { recording } = this;
    if (this.#feed.tail(recording).seconds < this.#read / recording.spec.rate + 1) return;
    this.#stop.abort();
    clearTimeout(this.#retry);
    this.#follow(0);
  }

  // Whoever follows the stream hears it go on in the next recording; the monitor is on until somebody opens that.
  #over(next) {
    if (next) this.dispatchEvent(new CustomEvent('ended', { detail: next }));
    else this.stop();
  }

  #play(view, { frame, count, size, read, spec }) {
    const { rate, channels } = spec;
    const context = this.#context;
    const now = context.currentTime;
    if (this.#next < now) {
      // It came too late: from now on a little more waits.
      if (this.#next > 0) this.#lead = Math.min(MOST, this.#lead + MORE);
      this.#next = now + this.#lead;
    }
    // What waits longer than it has to is left out: a tape that is read in one go after a break is not what is recorded now.
    const waits = this.#next - now;
    const skip = waits > this.#lead * 2 + 0.2 ? Math.min(count, Math.ceil((waits - this.#lead) * rate)) : 0;
    const length = count - skip;
    if (length === 0) return;
    const mix = heard(spec);
    const buffer = context.createBuffer(mix.length, length, rate);
    mix.forEach((shares, out) => {
      const samples = buffer.getChannelData(out);
      for (const [channel, share] of shares) {
        for (let n = 0; n < length; n += 1) samples[n] += share * read(view, ((n + skip) * channels + channel) * size);
      }
    });
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.#gain);
    source.start(this.#next);
    this.#heard.push({ time: this.#next, frame: frame + skip, length: length / rate });
    this.#next += length / rate;
  }

  #say(trouble) {
    this.trouble = trouble;
    this.dispatchEvent(new Event('change'));
  }
}
