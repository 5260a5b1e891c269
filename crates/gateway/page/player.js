// <livetape-player>: one tape with all that one does to it. It joins the deck, which plays, and the waveform, which is looked at.

import { now } from './api.js';
import { toolbar, transport } from './controls.js';
import { Deck } from './deck.js';
import { h } from './dom.js';
import { Facts } from './facts.js';
import { readPlace } from './format.js';
import { Meter } from './levels.js';
import { Marks } from './marks.js';
import { Monitor } from './monitor.js';
import { Readout } from './readout.js';
import { Selection } from './selection.js';
import { mediaSession } from './session.js';
import { Waveform } from './waveform.js';

export class Player extends HTMLElement {
  recording = null;
  facts = new Facts();
  #readout = new Readout(this);

  /** Once: what it plays by, and what one may change. */
  begin(feed, rights) {
    this.feed = feed;
    this.rights = rights;
    this.monitor = new Monitor(feed);
    this.#build();
    const { audio, wave } = this;
    this.deck = new Deck(audio, feed);
    this.marks.begin(this);
    this.selection.begin(this);
    this.deck.addEventListener('change', () => this.show());
    this.deck.addEventListener('offers', () => {
      this.#readout.describe();
      this.selection.show();
    });
    this.deck.addEventListener('jump', () => {
      wave.view.show(this.deck.position, this.deck.edge);
      wave.refresh();
    });
    this.deck.addEventListener('ended', ({ detail }) => this.#over(detail, this.deck.wanted));
    // One or the other: both at once would be an echo.
    audio.addEventListener('play', () => this.monitor.stop());
    this.monitor.addEventListener('change', () => this.show());
    this.monitor.addEventListener('ended', ({ detail }) => this.#over(detail, true));
    wave.addEventListener('seek', ({ detail }) => this.deck.seek(detail === Infinity ? this.deck.edge : detail));
    wave.addEventListener('select', () => this.selection.show());
    this.facts.addEventListener('news', () => {
      this.marks.show();
      this.show();
    });
    this.facts.addEventListener('gone', ({ detail }) => this.deck.gone(detail));
    this.session = mediaSession(this.deck);
    const move = () => {
      if (this.deck.playing || this.deck.growing) this.show();
      this.#readout.hear();
      setTimeout(() => requestAnimationFrame(move), matchMedia('(prefers-reduced-motion: reduce)').matches ? 500 : 50);
    };
    move();
  }

  #build() {
    const deck = () => this.deck;
    this.audio = h('audio', { preload: 'none' });
    this.wave = new Waveform();
    this.name = h('h2', { id: 'player-name' });
    this.about = h('p', { class: 'about' });
    this.state = h('span', { class: 'state' });
    this.meter = new Meter();
    this.loudness = h('span', { class: 'loudness', title: 'Peak of what is heard; integrated loudness of the whole recording (EBU R 128)' });
    this.trouble = h('p', { class: 'trouble', role: 'alert' });
    this.keys = transport({
      toStart: () => this.#from(0), back: () => deck().seek(deck().position - 10), ahead: () => deck().seek(deck().position + 10),
      toggle: () => this.#toggle(), goLive: () => deck().goLive(), catchUp: () => deck().catchUp(!deck().catching),
    });
    this.tools = toolbar({
      mark: () => this.marks.put(), clip: () => this.selection.toggle(), share: () => this.selection.copy(),
      monitor: () => this.#monitor(),
      out: () => this.wave.zoom(2), inwards: () => this.wave.zoom(0.5), all: () => this.#all(), go: () => this.#go(),
      volume: (volume) => { this.audio.volume = this.monitor.volume = volume; },
      speed: (speed) => { deck().speed = speed; }, rendition: (key) => deck().choose(key),
    });
    this.place = this.tools.place;
    this.marks = new Marks();
    this.selection = new Selection();
    this.setAttribute('aria-labelledby', 'player-name');
    this.setAttribute('role', 'region');
    this.append(
      h('div', { class: 'head' }, h('div', { class: 'what' }, h('div', { class: 'title' }, this.name, this.state), this.about),
        h('div', { class: 'levels' }, this.meter, this.loudness)),
      this.wave, this.audio, this.keys.element, this.trouble, this.tools.element,
      h('div', { class: 'below' }, this.selection, this.marks));
  }

  /** Shows a recording; `place` in seconds, or `null` for the live edge (of a finished one: its start). */
  open(recording, { place = null, play = false, selection = null, monitor = false } = {}) {
    const { deck, wave } = this;
    this.hidden = false;
    this.recording = recording;
    this.monitor.stop();
    this.audio.setAttribute('aria-label', recording.stream);
    wave.edge = this.feed.edge(recording);
    wave.recorded = this.feed.tail(recording).seconds;
    wave.open(recording);
    wave.selection = selection;
    this.facts.open(recording);
    wave.tape = this.facts.tape;
    this.marks.clear();
    deck.wanted = play;
    const growing = this.feed.tail(recording).state !== 'ended';
    deck.open(recording, place);
    if (growing) wave.view.length = Math.min(Math.max(20, wave.edge * 1.1), 120);
    else wave.view.whole(wave.edge);
    wave.view.show(deck.position, wave.edge);
    if (selection) wave.view.show(selection.from, wave.edge);
    this.#readout.describe();
    this.selection.show();
    this.show();
    if (monitor) this.monitor.start(recording);
  }

  /** How it is listed now: its title may be another one. */
  update(recording) {
    if (recording.id !== this.recording?.id) return;
    Object.assign(this.recording, recording);
    this.#readout.describe();
  }

  /** Whether it may be another tape: nobody listens, has chosen a place or a part, or writes about one. */
  get isIdle() {
    return this.deck.waits && !this.monitor.on && !this.wave.selection && !this.marks.isWriting;
  }

  /** Asks for marks that have just been put. */
  refresh() {
    return this.facts.refresh().catch(() => null);
  }

  /** Everything that moves. */
  show() {
    if (this.recording) this.#readout.show();
  }

  #toggle() {
    if (!this.monitor.on) return this.deck.toggle();
    this.monitor.stop();
  }

  #monitor() {
    const { monitor, deck, recording } = this;
    if (monitor.on) return monitor.stop();
    deck.pause();
    // What is seen then is what is heard: the edge.
    deck.park();
    monitor.start(recording);
  }

  #from(place) {
    this.deck.wanted = true;
    this.deck.seek(place);
  }

  #all() {
    this.wave.view.whole(this.wave.edge);
    this.wave.refresh();
  }

  /** Plays from a time of day; says whether there is such a place. */
  playAt(time) {
    const seconds = this.wave.tape.secondsOf(time);
    if (seconds === null) return false;
    this.#from(seconds);
    this.wave.view.show(seconds, this.wave.edge);
    return true;
  }

  /** Plays from what was typed. */
  #go() {
    const { deck, wave, place } = this;
    const said = readPlace(place.value, wave.tape.timeOf(deck.edge) ?? now());
    const seconds = !said ? null : said.time !== undefined ? wave.tape.secondsOf(said.time) : said.seconds ?? deck.edge - said.behind;
    place.setCustomValidity(seconds === null ? 'A position such as 1:23:45, -30 for before the live edge, or @14:30 for a time of day' : '');
    if (!place.reportValidity()) return;
    this.#from(seconds);
    wave.view.show(seconds, wave.edge);
  }

  // A finished tape stays where it is; whoever listened to a stream hears it go on.
  #over(next, wanted) {
    this.show();
    if (next && wanted) this.dispatchEvent(new CustomEvent('next', { detail: next, bubbles: true }));
  }

  /** A key that was pressed anywhere on the page; says whether it means something. */
  press(event) {
    const { deck, wave } = this;
    const step = event.shiftKey ? 60 : 5;
    const keys = {
      ' ': () => this.#toggle(), k: () => this.#toggle(), l: () => deck.goLive(), m: () => this.marks.put(),
      ArrowLeft: () => deck.seek(deck.position - step), ArrowRight: () => deck.seek(deck.position + step),
      '+': () => wave.zoom(0.5), '=': () => wave.zoom(0.5), '-': () => wave.zoom(2), 0: () => this.#all(),
      '[': () => this.selection.from(), ']': () => this.selection.to(),
    };
    const does = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    does?.();
    return Boolean(does);
  }
}

customElements.define('livetape-player', Player);
