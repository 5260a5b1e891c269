// What plays: one audio element, and where on the tape its media starts (`base`), so that the place on the tape is base +
// currentTime, whatever was loaded. A jump loads an address with `pos`: one request, exact to the frame, in both directions. What is
// done when that breaks off is in mending.js.

import { Mending } from './mending.js';
import { Offers, chosen, holdBack, source } from './renditions.js';

const BEHIND_LIVE = 0.8;        // seconds more than the hold-back that still count as live
const SLOW = 4;                 // so much more it may be because the way to here is slow: less can then not be had
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
  #passing = false;             // whether the trouble is over as soon as it plays again
  #edgeWanted = false;          // nothing has played since it was put to the live edge, or opened at no place of its own
  #slack = 0;                   // how much further behind than it should be it was when it began there
  #speed = 1;
  #offers;
  #mending;

  constructor(audio, feed) {
    super();
    this.audio = audio;
    this.feed = feed;
    this.#offers = new Offers((type) => audio.canPlayType(type) !== '');
    audio.ontimeupdate = () => this.#tick();
    audio.onended = () => this.#mending.ended();
    audio.onerror = () => { if (this.recording && audio.hasAttribute('src')) this.#mending.broken(); };
    for (const name of ['play', 'playing', 'pause', 'waiting', 'seeked']) audio.addEventListener(name, () => this.#say());
    audio.addEventListener('pause', () => { if (!audio.ended && !audio.error && audio.hasAttribute('src')) this.wanted = false; });
    audio.addEventListener('play', () => { this.wanted = true; });
    this.#mending = new Mending(this);
  }

  /** Takes in a tape at this place, or at its live edge (`null`; of a finished one its start); it plays if that is wanted. */
  open(recording, place) {
    this.recording = recording;
    this.catching = false;
    if (place === null && this.growing) return this.#toEdge();
    this.#load(place ?? 0);
    this.#edgeWanted = place === null;
  }

  get edge() {
    return this.recording ? this.feed.edge(this.recording) : 0;
  }

  get growing() {
    return this.recording !== null && this.feed.tail(this.recording).state !== 'ended';
  }

  // Asked of the element, not remembered: after a break it goes on at the very frame where it stopped.
  get at() {
    return this.#base + this.audio.currentTime;
  }

  get position() {
    return this.#parked ? this.edge : Math.min(this.at, this.growing ? this.edge + 1 : this.edge);
  }

  // Somebody who has not pressed play yet waits at the edge, not at the place where it was when the page was opened.
  get #parked() {
    return this.#edgeWanted && !this.wanted && this.growing;
  }

  /** Whether nobody plays and nobody has chosen a place: it may as well be another tape. */
  get waits() {
    return !this.wanted && (this.#edgeWanted || this.audio.ended);
  }

  /** For how long it has not moved, in milliseconds. */
  get still() {
    return performance.now() - this.#moved;
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

  /** The rendition that is played. */
  get chosen() {
    return chosen(this.choices, this.rendition);
  }

  #holdBack() {
    return holdBack(this.recording.spec, this.chosen);
  }

  #load(place, again = false) {
    if (this.recording.deleted) {
      this.wanted = false;
      return this.fail(DELETED);
    }
    this.#mending.loaded();
    this.#edgeWanted = false;
    this.#slack = 0;
    // What is loaded again may break off again: that is no news.
    if (!again || !this.wanted) this.trouble = '';
    const { rate } = this.recording.spec;
    const frame = Math.round(Math.min(Math.max(0, place), Math.max(0, this.edge - 0.05)) * rate);
    this.#moved = performance.now();
    this.audio.preload = this.wanted ? 'auto' : 'none';
    this.audio.src = source(this.recording, this.chosen, frame, this.growing);
    this.#base = frame / rate;
    this.#reached = this.#base;
    this.audio.playbackRate = this.catching ? FAST : this.#speed;
    if (this.wanted) this.#start();
    this.dispatchEvent(new Event('jump'));
    this.#say();
  }

  /** The same once more, from where it stopped. */
  loadAgain() {
    this.#load(this.at, true);
  }

  #start() {
    this.audio.play().catch((error) => {
      if (error.name !== 'NotAllowedError') return;
      this.wanted = false;
      this.fail('This browser plays only after a press on play.');
    });
  }

  play() {
    if (!this.recording) return;
    const parked = this.#parked;
    this.wanted = true;
    if (parked) this.#toEdge();
    else if (this.audio.ended || this.audio.error || !this.audio.hasAttribute('src')) this.#load(this.audio.ended ? 0 : this.at);
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
    if (!this.recording || !Number.isFinite(seconds)) return;
    this.catching = false;
    this.#mending.forgive();
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
    if (audio.error || audio.ended || audio.readyState < 2 || this.#mending.busy || !audio.hasAttribute('src')) return false;
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
    this.#mending.forgive();
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
    this.#mending.forgive();
    if (this.#parked) this.#toEdge();
    else if (this.recording) this.#load(at);
  }

  #tick() {
    const at = this.at;
    if (at !== this.#reached && !this.audio.error) {
      if (this.#edgeWanted && this.playing && this.audio.currentTime > 0) {
        this.#edgeWanted = false;
        this.#slack = Math.min(SLOW, Math.max(0, this.behind - this.#holdBack()));
      }
      if (this.#passing) this.fail('');
      this.#mending.forgive(at);
      this.#moved = performance.now();
      this.#reached = at;
    }
    if (this.catching && this.behind < this.#holdBack() + 0.3) {
      this.#slack = 0;
      this.catchUp(false);
    }
    this.#say();
  }

  /** This rendition does not play: another one goes on in its place. Gives that one, if there is one. */
  refuse(key) {
    const { at, chosen: before } = this;
    this.#offers.refuse(key);
    if (this.rendition === key) this.rendition = 'auto';
    const other = before === key ? this.choices.find((choice) => choice !== key) : before;
    this.dispatchEvent(new Event('offers'));
    this.wanted &&= Boolean(other);
    if (!other) return null;
    if (this.chosen === key) this.rendition = other;
    this.#load(at);
    return other;
  }

  /** The gateway gives it no longer: it stops where it is, lets go of what the browser would still load, and asks no more. */
  gone(error) {
    if (error.status === 404) this.recording.deleted = true;
    const at = this.position;
    this.#mending.loaded();
    this.#edgeWanted = this.wanted = false;
    this.audio.pause();
    this.audio.removeAttribute('src');
    this.audio.load();
    this.#base = at;
    this.fail(this.recording.deleted ? DELETED : error.message);
    this.dispatchEvent(new CustomEvent('gone', { detail: error.status }));
  }

  fail(text) {
    this.trouble = text;
    this.#passing = false;
    this.#say();
  }

  /** What is wrong until it plays again. */
  breaks(text) {
    this.fail(text);
    this.#passing = true;
  }

  /** This was the true end; `next` is the recording with which its stream goes on, if it does. */
  over(next) {
    this.dispatchEvent(new CustomEvent('ended', { detail: next }));
    if (!next) this.wanted = false;
    this.#say();
  }

  #say() {
    this.dispatchEvent(new Event('change'));
  }
}
