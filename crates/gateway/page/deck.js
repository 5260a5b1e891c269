// What plays: one audio element, and where on the tape its media starts (`base`), so that the place on the tape is base +
// currentTime, whatever was loaded. A jump loads an address with `pos`: one request, exact to the frame, in both directions. When
// the network or the gateway was away it goes on at the frame where it was.

import { Refused, get } from './api.js';
import { NEVER, Offers, RENDITIONS, address, chosen, holdBack } from './renditions.js';

const RETRY_MS = 2000;
const STUCK_MS = 8000;
const BEHIND_LIVE = 0.8;        // seconds more than the hold-back that still count as live
const SLOW = 4;                 // so much more it may be because the way to here is slow: less can then not be had
const FAILURES = 3;             // so often in the same place, with an answer that is fine: it is the browser
const FAST = 1.25;
const DELETED = 'This recording is not there any more: it was deleted.';

export class Deck extends EventTarget {
  recording = null;
  wanted = false;               // whether somebody wants to hear something
  catching = false;
  trouble = '';
  rendition = 'auto';
  #base = 0;
  #moved = 0;                   // when it last moved on, and to where
  #reached = 0;
  #failures = 0;                // one after the other, in the same place
  #failedAt = 0;
  #edgeWanted = false;          // nothing has played since it was put to the live edge
  #slack = 0;                   // how much further behind than it should be it was when it began there
  #retry = null;
  #speed = 1;
  #offers;

  constructor(audio, feed) {
    super();
    this.audio = audio;
    this.feed = feed;
    this.#offers = new Offers((type) => audio.canPlayType(type) !== '');
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

  // Asked of the element, not remembered: after a break it goes on at the very frame where it stopped.
  get #at() {
    return this.#base + this.audio.currentTime;
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

  /** How far behind the edge it plays when it is live. */
  get holdBack() {
    return this.recording ? this.#holdBack() : 0;
  }

  get live() {
    if (!this.growing) return false;
    return this.#parked || this.#edgeWanted || this.behind < this.#holdBack() + this.#slack + BEHIND_LIVE;
  }

  get playing() {
    return !this.audio.paused && !this.audio.ended;
  }

  /** What can be heard here of this recording. */
  get choices() {
    return this.#offers.of(this.recording);
  }

  get #chosen() {
    return chosen(this.choices, this.rendition);
  }

  #holdBack() {
    return holdBack(this.recording.spec, this.#chosen);
  }

  #load(place) {
    if (this.recording.deleted) {
      this.wanted = false;
      return this.#fail(DELETED);
    }
    clearTimeout(this.#retry);
    this.#retry = null;
    this.#edgeWanted = false;
    this.#slack = 0;
    this.trouble = '';
    const { rate } = this.recording.spec;
    const frame = Math.round(Math.min(Math.max(0, place), Math.max(0, this.edge - 0.05)) * rate);
    this.#moved = performance.now();
    const key = this.#chosen;
    // A finished recording gets an address of its own: browsers keep what they had under the old one.
    const query = [frame ? `pos=${(frame / rate).toFixed(9)}` : '', this.growing ? 'len=star' : 'v=end'].filter(Boolean).join('&');
    this.audio.preload = this.wanted ? 'auto' : 'none';
    this.audio.src = `${address(this.recording.id, key)}?${query}`;
    this.#base = frame / rate;
    this.#reached = this.#base;
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
    else if (this.audio.ended || this.audio.error || !this.audio.hasAttribute('src')) this.#load(this.audio.ended ? 0 : this.#at);
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
    this.#failures = 0;
    if (this.growing && seconds > this.edge - this.#holdBack()) return this.#toEdge();
    const place = Math.max(0, Math.min(seconds, this.edge));
    if (!this.#isLoaded(place)) return this.#load(place);
    this.#edgeWanted = false;
    this.trouble = '';
    this.audio.currentTime = place - this.#base;
    this.audio.playbackRate = this.#speed;
    if (this.wanted) this.#start();
    this.dispatchEvent(new Event('jump'));
    this.#say();
  }

  // Whether a place is in what the browser holds already.
  #isLoaded(place) {
    const { audio } = this;
    if (audio.error || audio.ended || audio.readyState < 2 || this.#retry || !audio.hasAttribute('src')) return false;
    const at = place - this.#base;
    return Array.from({ length: audio.buffered.length }, (_, n) => [audio.buffered.start(n), audio.buffered.end(n)])
      .some(([from, to]) => at >= from && at < to - 0.25);
  }

  /** To the live edge, and from there on. */
  goLive() {
    this.wanted = true;
    this.catching = false;
    if (this.growing) this.#toEdge();
    else this.#load(Math.max(0, this.edge - 10));
  }

  #toEdge() {
    this.#failures = 0;
    this.#load(Math.max(0, this.edge - this.#holdBack()));
    this.#edgeWanted = true;
    this.#say();
  }

  /** Waits at the live edge, silent. */
  park() {
    if (this.growing) this.#toEdge();
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
    const at = this.position;
    this.rendition = rendition;
    this.#failures = 0;
    if (this.recording) this.#load(at);
  }

  #tick() {
    const at = this.#at;
    if (at !== this.#reached && !this.audio.error) {
      if (this.#edgeWanted && this.playing && this.audio.currentTime > 0) {
        this.#edgeWanted = false;
        this.#slack = Math.min(SLOW, Math.max(0, this.behind - this.#holdBack()));
      }
      if (at > this.#failedAt + 0.5) this.#failures = 0;
      this.#moved = performance.now();
      this.#reached = at;
    }
    if (this.catching && this.behind < this.#holdBack() + 0.3) {
      this.#slack = 0;
      this.catchUp(false);
    }
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
    const [key, source] = [this.#chosen, this.audio.src];
    try {
      const now = await get(`/recordings/${id}`);
      if (this.recording?.id !== id || this.audio.src !== source) return;
      Object.assign(this.recording, now);
      this.#failures += 1;
      this.#failedAt = this.#at;
      const { status } = await fetch(source, { method: 'HEAD' });
      if (this.recording?.id !== id || this.audio.src !== source) return;
      if (NEVER.includes(status) && key !== 'wav') return this.#never(key, `The gateway has no ${RENDITIONS[key].name} of this recording.`);
      const broken = [MediaError.MEDIA_ERR_DECODE, MediaError.MEDIA_ERR_SRC_NOT_SUPPORTED].includes(this.audio.error?.code);
      if (status < 400 && broken && this.#failures >= FAILURES) return this.#never(key, `This browser cannot play ${RENDITIONS[key].name}.`);
      this.#fail('Broken off; going on …');
      this.#again(Math.min(RETRY_MS * 4, RETRY_MS / 4 * 2 ** (this.#failures - 1)));
    } catch (error) {
      if (this.recording?.id !== id || this.audio.src !== source) return;
      if (error instanceof Refused && error.status < 500 && error.status !== 429) return this.gone(error);
      this.#fail('The gateway is away; it goes on from here as soon as it is back.');
      this.#again(RETRY_MS);
    }
  }

  // Another rendition takes over where there is one; else it stops and says so.
  #never(key, why) {
    const at = this.#at;
    this.#offers.refuse(key);
    this.#failures = 0;
    if (this.rendition === key) this.rendition = 'auto';
    const other = this.#chosen === key ? this.choices.find((choice) => choice !== key) : this.#chosen;
    this.dispatchEvent(new Event('offers'));
    this.wanted &&= Boolean(other);
    if (!other) return this.#fail(why);
    if (this.#chosen === key) this.rendition = other;
    this.#load(at);
    this.#fail(`${why} Playing ${RENDITIONS[other].name} instead.`);
  }

  /** The gateway gives it no longer: it stops where it is, lets go of what the browser would still load, and asks no more. */
  gone(error) {
    if (error.status === 404) this.recording.deleted = true;
    const at = this.position;
    clearTimeout(this.#retry);
    this.#retry = null;
    this.#edgeWanted = this.wanted = false;
    this.audio.pause();
    this.audio.removeAttribute('src');
    this.audio.load();
    this.#base = at;
    this.#fail(this.recording.deleted ? DELETED : error.message);
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
    // A polite end of what goes on is somebody in between who gave up; and nobody knows better while the gateway is away.
    if (!page || page.tail.state === 'open') return this.#again(page ? 0 : RETRY_MS);
    const next = page?.tail.next ?? null;
    this.dispatchEvent(new CustomEvent('ended', { detail: next }));
    if (!next) this.wanted = false;
    this.#say();
  }

  #say() {
    this.dispatchEvent(new Event('change'));
  }
}
