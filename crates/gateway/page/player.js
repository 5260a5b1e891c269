// <livetape-player>: one tape with all that one does to it. It joins the deck, which plays, and the waveform, which is looked at.

import { get, now, timeline } from './api.js';
import { offer, toolbar, transport } from './controls.js';
import { Deck } from './deck.js';
import { ICONS, h, icon, say } from './dom.js';
import { clock, readPlace, shortDay, signed, span, timeOfDay } from './format.js';
import { isMeasured } from './gaps.js';
import { Meter } from './levels.js';
import { Marks } from './marks.js';
import { Monitor } from './monitor.js';
import { Selection } from './selection.js';
import { mediaSession } from './session.js';
import { Tape } from './tape.js';
import { Waveform } from './waveform.js';

const TIMELINE_MS = 5000;
const LOUDNESS_MS = 10_000;
const SAMPLES = { s16: '16 bit', s24: '24 bit', s32: '32 bit', f32: '32 bit float' };
const STATES = { waiting: 'lost', ended: 'finished' };

export class Player extends HTMLElement {
  recording = null;
  #entries = 0;
  #asking = false;
  #loudness = null;             // of the whole tape, as far as it is known, and whether it is final

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
      this.#describe();
      this.selection.show();
    });
    this.deck.addEventListener('jump', () => {
      wave.view.show(this.deck.position, this.deck.edge);
      wave.refresh();
    });
    this.deck.addEventListener('ended', ({ detail }) => this.#over(detail));
    // One or the other: both at once would be an echo.
    audio.addEventListener('play', () => this.monitor.stop());
    this.monitor.addEventListener('change', () => this.show());
    wave.addEventListener('seek', ({ detail }) => this.deck.seek(detail === Infinity ? this.deck.edge : detail));
    wave.addEventListener('select', () => this.selection.show());
    this.session = mediaSession(this.deck);
    setInterval(() => this.#entriesNow(), TIMELINE_MS);
    setInterval(() => this.#measure(), LOUDNESS_MS);
    const move = () => {
      if (this.deck.playing || this.deck.growing) this.show();
      this.#hear();
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
  async open(recording, { place = null, play = false, selection = null } = {}) {
    const { deck, wave } = this;
    this.hidden = false;
    this.recording = recording;
    this.monitor.stop();
    this.audio.setAttribute('aria-label', recording.stream);
    wave.edge = this.feed.edge(recording);
    wave.recorded = this.feed.tail(recording).seconds;
    wave.open(recording);
    wave.selection = selection;
    this.#forget();
    deck.wanted = play;
    const growing = this.feed.tail(recording).state !== 'ended';
    deck.open(recording, place);
    if (growing) wave.view.length = Math.min(Math.max(20, wave.edge * 1.1), 120);
    else wave.view.whole(wave.edge);
    wave.view.show(deck.position, wave.edge);
    if (selection) wave.view.show(selection.from, wave.edge);
    this.#describe();
    this.selection.show();
    this.show();
    this.#measure();
    await this.#entriesNow();
  }

  /** How it is listed now: its title may be another one. */
  update(recording) {
    if (recording.id !== this.recording?.id) return;
    Object.assign(this.recording, recording);
    this.#describe();
  }

  #forget() {
    this.#entries = 0;
    this.#loudness = null;
    this.wave.tape = new Tape(this.recording.spec.rate);
    this.marks.clear();
  }

  async #entriesNow() {
    const { recording } = this;
    if (!recording || recording.deleted || this.#asking || document.hidden) return;
    this.#asking = true;
    try {
      const { entries } = await timeline(recording.id, this.#entries);
      if (recording === this.recording && entries.length) {
        this.#entries += entries.length;
        this.wave.tape.add(entries);
        this.marks.show();
        this.show();
      }
    } catch (error) {
      // What the browser has loaded would be heard for a minute still.
      if (error.status === 404 && recording === this.recording) this.deck.gone(error);
    } finally {
      this.#asking = false;
    }
    if (recording !== this.recording && this.recording) await this.#entriesNow();
  }

  // No list says how loud a recording is; while it grows that changes.
  async #measure() {
    const { recording } = this;
    if (!recording || recording.deleted || document.hidden || this.#loudness?.final) return;
    const said = await get(`/recordings/${recording.id}`).catch(() => null);
    if (!said || recording !== this.recording) return;
    const { loudness = null, sealed, edge } = said;
    this.#loudness = { integrated: loudness, final: sealed !== null && loudness !== null && isMeasured(edge) };
  }

  /** Asks for marks that have just been put. */
  refresh() {
    return this.#entriesNow();
  }

  #describe() {
    const { stream, title, spec } = this.recording;
    say(this.name, title || stream);
    const channels = spec.channels === 1 ? 'mono' : spec.channels === 2 ? 'stereo' : `${spec.channels} channels`;
    this.info = [title ? stream : '', `${spec.rate / 1000} kHz ${channels}, ${SAMPLES[spec.format] ?? spec.format}`].filter(Boolean).join(' · ');
    offer(this.tools.rendition, this.deck.choices, this.deck.rendition);
    const may = this.rights.manages(stream);
    this.tools.mark.hidden = !may;
  }

  // The level where one listens: at the edge as it is told, elsewhere as it was drawn.
  #hear() {
    const { recording, deck, monitor, wave } = this;
    if (!recording || document.hidden) return;
    const place = monitor.on ? monitor.position : deck.playing ? deck.position : null;
    const levels = place === null ? null : this.feed.levelAt(recording, place) ?? wave.levelAt(place);
    const integrated = this.#loudness?.integrated ?? null;
    const whole = integrated === null ? '' : `${signed(integrated, 1)} LUFS`;
    const peak = this.meter.show(levels, whole);
    const now = place === null ? '' : peak <= -60 ? 'silence' : `${signed(peak)} dB`;
    say(this.loudness, [now, whole && `whole ${whole}`].filter(Boolean).join(' · '));
  }

  /** Everything that moves. */
  show() {
    const { recording, deck, wave, keys } = this;
    if (!recording) return;
    const { position, edge, growing, live, playing } = deck;
    const moved = Math.abs(wave.position - position) + Math.abs(wave.edge - edge) > wave.view.length / wave.clientWidth / 2;
    const { state, seconds } = this.feed.tail(recording);
    if (moved || wave.growing !== growing) {
      const wasSeen = wave.position >= wave.view.from && wave.position <= wave.view.to;
      Object.assign(wave, { position, edge, growing, recorded: seconds });
      if (playing && wasSeen) wave.view.show(position, edge);
      wave.refresh();
    }
    const word = STATES[state] ?? state;
    say(this.state, word);
    this.state.className = `state ${word}`;
    const time = wave.tape.timeOf(position);
    say(keys.time, time === null ? '–' : timeOfDay(time));
    say(keys.day, time === null ? '' : `${shortDay(time, now())} · `);
    say(keys.at, clock(position, 1));
    say(keys.of, ` of ${clock(edge)}`);
    const titled = wave.tape.titleAt(position);
    say(this.about, [titled && `♪ ${titled}`, this.info].filter(Boolean).join(' · '));
    this.#buttons(playing, live, growing);
    say(this.trouble, this.monitor.trouble || deck.trouble);
    this.classList.toggle('waiting', deck.wanted && playing && this.audio.readyState < 3);
    this.session.show({ recording, titled });
  }

  #buttons(playing, live, growing) {
    const { keys, tools, deck, monitor } = this;
    const sounds = playing || monitor.on;
    const label = sounds ? 'Pause (space)' : 'Play (space)';
    if (keys.play.title !== label) {
      keys.play.title = label;
      keys.play.setAttribute('aria-label', label);
      keys.play.replaceChildren(icon(sounds ? ICONS.pause : ICONS.play));
    }
    const isHeard = live && (playing || monitor.on);
    keys.lag.hidden = !growing;
    keys.lag.className = `lag ${monitor.on ? 'near' : isHeard ? 'on' : live ? '' : 'late'}`;
    const [behind, unit] = this.#lag(isHeard, live);
    say(keys.behind, behind);
    say(keys.unit, unit);
    keys.live.hidden = !growing;
    keys.live.classList.toggle('calm', isHeard && !monitor.on);
    say(keys.live.lastChild, live || monitor.on ? 'Listen live' : 'Back to live');
    keys.faster.hidden = !growing || !playing || (!deck.catching && deck.behind < deck.holdBack + 0.5);
    keys.faster.setAttribute('aria-pressed', String(deck.catching));
    tools.monitor.hidden = !growing;
    tools.monitor.setAttribute('aria-pressed', String(monitor.on));
    if (Number(tools.speed.value) !== deck.speed) tools.speed.value = String(deck.speed);
  }

  // How far behind the edge that is, and what the number means.
  #lag(isHeard, live) {
    const { monitor: { on, distance }, deck: { behind } } = this;
    if (on) return distance === null ? ['…', 'joining'] : [`${distance.toFixed(2)} s`, 'to the edge'];
    if (isHeard) return ['Live', `${behind.toFixed(1)} s behind the edge`];
    if (live) return ['At the edge', 'play begins there'];
    return [behind < 60 ? span(behind) : clock(behind), 'behind live'];
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
  #over(next) {
    this.show();
    if (next && this.deck.wanted) this.dispatchEvent(new CustomEvent('next', { detail: next, bubbles: true }));
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
