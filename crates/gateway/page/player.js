// <livetape-player>: one tape with all that one does to it. It joins the deck, which plays, and the waveform, which is looked at.

import { now, timeline } from './api.js';
import { Deck, RENDITIONS } from './deck.js';
import { ICONS, button, h, icon, say } from './dom.js';
import { clock, readPlace, span, timeOfDay } from './format.js';
import { Marks } from './marks.js';
import { Selection } from './selection.js';
import { mediaSession } from './session.js';
import { Tape } from './tape.js';
import { Waveform } from './waveform.js';

const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 2];
const TIMELINE_MS = 5000;
const STATES = { live: 'live', waiting: 'lost', ended: 'finished', idle: 'idle' };

export class Player extends HTMLElement {
  recording = null;
  #entries = 0;
  #asking = false;

  /** Once: what it plays by, and whether one may change anything. */
  begin(feed, rights) {
    this.feed = feed;
    this.rights = rights;
    this.#build();
    const { audio, wave } = this;
    this.deck = new Deck(audio, feed);
    this.marks.begin(this);
    this.selection.begin(this);
    this.deck.addEventListener('change', () => this.show());
    this.deck.addEventListener('jump', () => {
      wave.view.show(this.deck.position, this.deck.edge);
      wave.refresh();
    });
    this.deck.addEventListener('ended', ({ detail }) => this.#over(detail));
    wave.addEventListener('seek', ({ detail }) => this.deck.seek(detail === Infinity ? this.deck.edge : detail));
    wave.addEventListener('select', () => this.selection.show());
    feed.addEventListener('level', ({ detail }) => { if (detail.recording === this.recording?.id) this.#level(detail.levels); });
    this.session = mediaSession(this.deck);
    setInterval(() => this.#entriesNow(), TIMELINE_MS);
    const move = () => {
      if (this.deck.playing || this.deck.growing) this.show();
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
    this.meter = h('meter', { class: 'level', min: -60, max: 0, low: -50, high: -3, optimum: -20, 'aria-label': 'Level' });
    this.loudness = h('span', { class: 'quiet', 'aria-hidden': 'true' });
    this.playButton = button('play big', { picture: ICONS.play, label: 'Play (space)' }, () => deck().toggle());
    this.liveButton = button('live', { text: 'Live', label: 'To the live edge (L)' }, () => deck().goLive());
    this.fasterButton = button('faster', { text: '1.25×', label: 'Catch up with the live edge', 'aria-pressed': 'false' },
      () => deck().catchUp(!deck().catching));
    this.at = h('output', { class: 'at position', 'aria-label': 'Position' });
    this.time = h('output', { class: 'time', 'aria-label': 'Time of day' });
    this.behind = h('output', { class: 'behind tail' });
    this.trouble = h('p', { class: 'trouble', role: 'alert' });
    this.speed = h('select', { 'aria-label': 'Speed', onchange: () => { deck().speed = Number(this.speed.value); } },
      ...SPEEDS.map((speed) => h('option', { value: String(speed), selected: speed === 1 }, `${speed}×`)));
    this.volume = h('input', { type: 'range', min: 0, max: 1, step: 0.01, 'aria-label': 'Volume',
      oninput: () => { this.audio.volume = Number(this.volume.value); } });
    this.volume.value = '1';
    this.rendition = h('select', { 'aria-label': 'Rendition', onchange: () => deck().choose(this.rendition.value) });
    this.place = h('input', { class: 'pos', placeholder: '1:23:45, -30, @14:30', size: 14, 'aria-label': 'Go to a place', spellcheck: false,
      autocomplete: 'off', title: 'A position (1:23:45), seconds before the live edge (-30) or a time of day (@14:30)' });
    const go = h('form', { class: 'go', onsubmit: (event) => { event.preventDefault(); this.#go(); } }, this.place, h('button', {}, 'Go'));
    this.marks = new Marks();
    this.selection = new Selection();
    this.setAttribute('aria-labelledby', 'player-name');
    this.setAttribute('role', 'region');
    this.append(
      h('div', { class: 'head' }, h('div', {}, h('div', { class: 'title' }, this.name, this.state), this.about),
        h('div', { class: 'levels' }, this.meter, this.loudness)),
      this.wave, this.audio,
      h('div', { class: 'transport' },
        h('div', { class: 'group keys' },
          button('start', { picture: ICONS.start, label: 'To the first frame' }, () => this.#from(0)),
          button('back', { picture: ICONS.back, label: 'Back 10 seconds' }, () => deck().seek(deck().position - 10)),
          this.playButton,
          button('ahead', { picture: ICONS.ahead, label: 'Ahead 10 seconds' }, () => deck().seek(deck().position + 10))),
        h('div', { class: 'readout' }, this.time, h('span', { class: 'where' }, this.at, this.behind)),
        h('div', { class: 'group edge' }, this.fasterButton, this.liveButton)),
      this.trouble,
      h('div', { class: 'tools' }, go,
        h('div', { class: 'group', role: 'group', 'aria-label': 'Zoom' },
          button('out', { text: '−', 'aria-label': 'Zoom out', label: 'Zoom out (−)' }, () => this.wave.zoom(2)),
          button('in', { text: '+', 'aria-label': 'Zoom in', label: 'Zoom in (+)' }, () => this.wave.zoom(0.5)),
          button('all', { text: 'All', label: 'The whole tape (0)' }, () => this.#all())),
        h('label', { class: 'volume' }, icon(ICONS.volume), this.volume), this.speed, this.rendition),
      this.selection, this.marks);
  }

  /** Shows a recording; `place` in seconds, or `null` for the live edge (of a finished one: its start). */
  async open(recording, { place = null, play = false, selection = null } = {}) {
    const { deck, wave } = this;
    this.hidden = false;
    this.recording = recording;
    this.meter.hidden = true;
    say(this.loudness, '');
    this.audio.setAttribute('aria-label', recording.stream);
    wave.edge = this.feed.edge(recording);
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
    await Promise.all([this.#entriesNow(), deck.look(recording)]);
    if (recording !== this.recording) return;
    this.#describe();
    this.selection.show();
  }

  /** How it is listed now: its title may be another one. */
  update(recording) {
    if (recording.id !== this.recording?.id) return;
    Object.assign(this.recording, recording);
    this.#describe();
  }

  close() {
    this.deck.close();
    this.recording = null;
    this.hidden = true;
  }

  #forget() {
    this.#entries = 0;
    this.wave.tape = new Tape(this.recording.spec.rate);
    this.marks.clear();
  }

  async #entriesNow() {
    const { recording } = this;
    if (!recording || this.#asking || document.hidden) return;
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
      if (error.status === 404) this.deck.dispatchEvent(new CustomEvent('gone', { detail: 404 }));
    } finally {
      this.#asking = false;
    }
    if (recording !== this.recording && this.recording) await this.#entriesNow();
  }

  /** Asks for marks that have just been put. */
  refresh() {
    return this.#entriesNow();
  }

  #describe() {
    const { stream, title, spec, source } = this.recording;
    say(this.name, title || stream);
    const shape = `${spec.format}, ${spec.rate / 1000} kHz, ${spec.channels === 1 ? 'mono' : spec.channels === 2 ? 'stereo' : `${spec.channels} channels`}`;
    this.info = [title ? stream : '', source, shape].filter(Boolean).join(' · ');
    const choices = this.deck.choices.map((key) => [key, RENDITIONS[key].name]);
    this.rendition.hidden = choices.length < 2;
    this.rendition.replaceChildren(...[['auto', 'Automatic'], ...choices]
      .map(([value, text]) => h('option', { value, selected: value === this.deck.rendition }, text)));
  }

  #level(levels) {
    const peak = Math.max(-60, ...levels.map(({ peak }) => peak));
    this.meter.hidden = false;
    this.meter.value = peak;
    say(this.loudness, `${peak <= -60 ? '< −60' : peak.toFixed(0).replace('-', '−')} dB at the edge`);
  }

  /** Everything that moves. */
  show() {
    const { recording, deck, wave } = this;
    if (!recording) return;
    const { position, edge, growing, live, playing } = deck;
    const moved = Math.abs(wave.position - position) + Math.abs(wave.edge - edge) > wave.view.length / wave.clientWidth / 2;
    if (moved || wave.growing !== growing) {
      const wasSeen = wave.position >= wave.view.from && wave.position <= wave.view.to;
      Object.assign(wave, { position, edge, growing });
      if (playing && wasSeen) wave.view.show(position, edge);
      wave.refresh();
    }
    const { state, silent } = this.feed.tail(recording);
    const word = silent ? 'silent' : STATES[state] ?? state;
    say(this.state, word);
    this.state.className = `state ${word}`;
    const time = wave.tape.timeOf(position);
    say(this.time, time === null ? '–' : timeOfDay(time));
    say(this.at, clock(position, 1));
    say(this.behind, growing ? (live ? ` of ${clock(edge)} · live` : ` of ${clock(edge)} · ${span(deck.behind)} behind`) : ` of ${clock(edge)}`);
    const titled = wave.tape.titleAt(position);
    say(this.about, [titled && `♪ ${titled}`, this.info].filter(Boolean).join(' · '));
    this.#buttons(playing, live, growing);
    say(this.trouble, deck.trouble);
    this.classList.toggle('waiting', deck.wanted && playing && this.audio.readyState < 3);
    this.session.show({ recording, titled });
  }

  #buttons(playing, live, growing) {
    const { playButton, liveButton, fasterButton, deck } = this;
    const label = playing ? 'Pause (space)' : 'Play (space)';
    if (playButton.title !== label) {
      playButton.title = label;
      playButton.setAttribute('aria-label', label);
      playButton.replaceChildren(icon(playing ? ICONS.pause : ICONS.play));
    }
    liveButton.hidden = !growing;
    liveButton.classList.toggle('on', live && playing);
    fasterButton.hidden = !growing || (live && !deck.catching) || !playing;
    fasterButton.setAttribute('aria-pressed', String(deck.catching));
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
      ' ': () => deck.toggle(), k: () => deck.toggle(), l: () => deck.goLive(), m: () => this.marks.put(),
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
