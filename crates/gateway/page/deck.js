// What plays: one audio element, and where on the tape its media starts (`base`), so that the place on the tape is base +
// currentTime, whatever was loaded. A jump loads an address with `pos`: one request, exact to the frame, in both directions. When
// the network or the gateway was away it goes on at the frame where it was.

import { Refused, get } from './api.js';

const RETRY_MS = 2000;
const STUCK_MS = 8000;
const BEHIND_LIVE = 2.5;        // seconds more than the hold-back that still count as live
const FAST = 1.25;
const BLOCKS = 4;

/** Renditions by what they are called in the addresses, in the order in which the page prefers them. */
export const RENDITIONS = {
  wav: { name: 'WAV, as recorded', type: 'audio/wav', rate: null },
  flac: { name: 'FLAC, lossless', type: 'audio/flac', rate: 80e3 },
  opus: { name: 'Opus', type: 'audio/ogg; codecs=opus', rate: 12e3 },
  mp3: { name: 'MP3', type: 'audio/mpeg', rate: 16e3 },
};

export class Deck extends EventTarget {
  recording = null;
  wanted = false;               // whether somebody wants to hear something
  catching = false;
  trouble = '';
  rendition = 'auto';
  #base = 0;
  #at = 0;
  #moved = 0;
  #edgeWanted = false;          // nothing has played since it was put to the live edge
  #retry = null;
  #speed = 1;
  #offered = [];
  #looked = false;

  constructor(audio, feed) {
    super();
    this.audio = audio;
    this.feed = feed;
    audio.ontimeupdate = () => this.#tick();
    audio.onended = () => this.#ended();
    audio.onerror = () => this.#broken();
    for (const name of ['play', 'playing', 'pause', 'waiting', 'seeked']) audio.addEventListener(name, () => this.#say());
    audio.addEventListener('pause', () => { if (!audio.ended && !audio.error && audio.hasAttribute('src')) this.wanted = false; });
    audio.addEventListener('play', () => { this.wanted = true; });
    feed.addEventListener('state', () => { if (feed.connected && this.#retry) this.#again(0); });
    setInterval(() => this.#watch(), 1000);
  }

  /** Takes in a tape at this place, or at its live edge (`null`; of a finished one its start); it plays if that is wanted. */
  open(recording, place) {
    this.recording = recording;
    this.catching = false;
    if (place === null && this.growing) this.#toEdge();
    else this.#load(place ?? 0);
  }

  get edge() {
    return this.recording ? this.feed.edge(this.recording) : 0;
  }

  get growing() {
    return this.recording !== null && this.feed.tail(this.recording).state !== 'ended';
  }

  get position() {
    return this.#parked ? this.edge : Math.min(this.#at, this.growing ? this.edge + 1 : this.edge);
  }

  // Somebody who has not pressed play yet waits at the edge, not at the place where it was when the page was opened.
  get #parked() {
    return this.#edgeWanted && !this.wanted && this.growing;
  }

  get behind() {
    return Math.max(0, this.edge - this.position);
  }

  get live() {
    return this.growing && this.behind < this.#holdBack() + BEHIND_LIVE;
  }

  get playing() {
    return !this.audio.paused && !this.audio.ended;
  }

  /** What this browser can play of what the gateway offers, as far as that is known: see `look`. */
  get choices() {
    return ['wav', ...this.#offered];
  }

  /** Asks once which compressed renditions the gateway offers. */
  async look({ id }) {
    if (this.#looked) return;
    this.#looked = true;
    const known = Object.keys(RENDITIONS).filter((key) => key !== 'wav' && this.audio.canPlayType(RENDITIONS[key].type) !== '');
    const replies = await Promise.all(known.map((key) => fetch(this.#address(id, key), { method: 'HEAD' }).catch(() => null)));
    this.#offered = known.filter((_, n) => replies[n]?.ok);
    this.#looked = replies.every((reply) => reply !== null);
  }

  #address(id, key) {
    return `/recordings/${id}/audio.${key}`;
  }

  // On a thin line the one that takes least; otherwise as it was recorded.
  get #chosen() {
    const { choices, rendition } = this;
    if (choices.includes(rendition)) return rendition;
    const { saveData, effectiveType } = navigator.connection ?? {};
    const thin = saveData || ['slow-2g', '2g', '3g'].includes(effectiveType);
    return (thin && choices.find((key) => key === 'opus' || key === 'mp3')) || choices[0] || 'wav';
  }

  // A browser plays nothing before it has 36 KiB, and compressed audio exists in blocks: so far a player stays behind the edge.
  #holdBack() {
    const { format, channels, rate } = this.recording.spec;
    const bytes = RENDITIONS[this.#chosen].rate ?? Number(format.replace(/\D/g, '')) / 8 * channels * rate;
    return Math.max(this.#chosen === 'wav' ? 1 : BLOCKS, 36864 / bytes);
  }

  #load(place) {
    clearTimeout(this.#retry);
    this.#retry = null;
    this.#edgeWanted = false;
    this.trouble = '';
    const { rate } = this.recording.spec;
    const frame = Math.round(Math.min(Math.max(0, place), Math.max(0, this.edge - 0.05)) * rate);
    this.#base = frame / rate;
    this.#at = this.#base;
    this.#moved = performance.now();
    const key = this.#chosen;
    // A finished recording gets an address of its own: browsers keep what they had under the old one.
    const query = [frame ? `pos=${this.#base.toFixed(9)}` : '', this.growing ? 'len=star' : 'v=end'].filter(Boolean).join('&');
    this.audio.preload = this.wanted ? 'auto' : 'none';
    this.audio.src = `${this.#address(this.recording.id, key)}?${query}`;
    this.audio.playbackRate = this.catching ? FAST : this.#speed;
    if (this.wanted) this.#start();
    this.dispatchEvent(new Event('jump'));
    this.#say();
  }

  #start() {
    this.audio.play().catch((error) => {
      if (error.name !== 'NotAllowedError') return;
      this.wanted = false;
      this.#fail('This browser plays only after a press on play.');
    });
  }

  play() {
    if (!this.recording) return;
    const parked = this.#parked;
    this.wanted = true;
    if (parked) this.#toEdge();
    else if (this.audio.ended || this.audio.error) this.#load(this.audio.ended ? 0 : this.#at);
    else this.#start();
    this.#say();
  }

  pause() {
    this.wanted = false;
    this.audio.pause();
    this.#say();
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  /** Goes to a place, near or far; what lies ahead of the edge is the edge. */
  seek(seconds) {
    if (!this.recording || Number.isNaN(seconds)) return;
    this.catching = false;
    if (this.growing && seconds > this.edge - this.#holdBack()) return this.#toEdge();
    this.#load(Math.min(seconds, this.edge));
  }

  /** To the live edge, and from there on. */
  goLive() {
    this.wanted = true;
    this.catching = false;
    if (this.growing) this.#toEdge();
    else this.#load(Math.max(0, this.edge - 10));
  }

  #toEdge() {
    this.#load(Math.max(0, this.edge - this.#holdBack()));
    this.#edgeWanted = true;
  }

  /** Plays faster until it is live. */
  catchUp(on) {
    this.catching = on;
    this.audio.playbackRate = on ? FAST : this.#speed;
    this.#say();
  }

  get speed() {
    return this.#speed;
  }

  set speed(speed) {
    this.#speed = speed;
    this.catching = false;
    this.audio.playbackRate = speed;
    this.#say();
  }

  choose(rendition) {
    this.rendition = rendition;
    if (this.recording) this.#load(this.#at);
  }

  /** Lets go of everything. */
  close() {
    this.wanted = false;
    this.recording = null;
    this.audio.removeAttribute('src');
    this.audio.load();
    this.#say();
  }

  #tick() {
    if (this.playing) this.#edgeWanted = false;
    if (this.audio.readyState > 0 && !this.audio.error) {
      const at = this.#base + this.audio.currentTime;
      if (at !== this.#at) this.#moved = performance.now();
      this.#at = at;
    }
    if (this.catching && this.behind < this.#holdBack() + 0.3) this.catchUp(false);
    this.#say();
  }

  // Nothing came although there is something: a connection that says nothing any more is given up.
  #watch() {
    if (!this.wanted || !this.recording || this.#retry) return;
    const stuck = performance.now() - this.#moved > STUCK_MS;
    if (stuck && this.feed.connected && this.edge > this.#at + 2) this.#again(0);
  }

  #again(wait) {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      this.#retry = null;
      if (this.recording) this.#load(this.#at);
    }, wait);
  }

  async #broken() {
    if (!this.recording || !this.audio.hasAttribute('src')) return;
    const { id } = this.recording;
    try {
      const now = await get(`/recordings/${id}`);
      if (this.recording?.id !== id) return;
      Object.assign(this.recording, now);
      if (performance.now() - this.#moved > 3 * STUCK_MS && this.audio.error?.code === MediaError.MEDIA_ERR_DECODE) {
        return this.#fail('This browser cannot play it: choose another rendition.');
      }
      this.#fail('Broken off; going on …');
      this.#again(RETRY_MS / 4);
    } catch (error) {
      if (this.recording?.id !== id) return;
      if (error instanceof Refused && error.status < 500) return this.#gone(error);
      this.#fail('The gateway is away; it goes on from here as soon as it is back.');
      this.#again(RETRY_MS);
    }
  }

  #gone(error) {
    this.wanted = false;
    this.#fail(error.status === 404 ? 'This recording is not there any more: it was deleted.' : error.message);
    this.dispatchEvent(new CustomEvent('gone', { detail: error.status }));
  }

  #fail(text) {
    this.trouble = text;
    this.#say();
  }

  // The true end of a recording. A stream goes on with the next one.
  async #ended() {
    const { recording } = this;
    const page = await get(`/recordings/${recording.id}/timeline?limit=1`).catch(() => null);
    if (this.recording !== recording) return;
    if (page?.tail.state === 'open') return this.#again(0);
    this.#at = this.edge;
    const next = page?.tail.next ?? null;
    this.dispatchEvent(new CustomEvent('ended', { detail: next }));
    if (!next) this.wanted = false;
    this.#say();
  }

  #say() {
    this.dispatchEvent(new Event('change'));
  }
}
