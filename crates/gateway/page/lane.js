// <livetape-lane>: the audio of one stream on one day, as a bar: where there is some, where it is missing. A press plays from there;
// with the keyboard a line is moved along it.

import { now } from './api.js';
import { h } from './dom.js';
import { nextDay, span, timeOfDay } from './format.js';

const STEP_MS = 300_000;        // of an arrow key; with shift an hour

export class Lane extends HTMLElement {
  ids = [];                     // of the recordings on it
  #at;                          // time of day of the line

  constructor(archive, day, stream) {
    super();
    Object.assign(this, { archive, day, stream });
  }

  connectedCallback() {
    if (this.firstChild) return;
    const { day, stream } = this;
    this.end = nextDay(day);
    this.pieces = h('div', { class: 'pieces' });
    this.line = h('div', { class: 'line', hidden: true });
    this.tip = h('span', { class: 'tip', hidden: true });
    this.bar = h('div', { class: 'lane', tabIndex: 0, role: 'slider', 'aria-label': `${stream} by time of day: enter plays`,
      'aria-valuemin': '0', 'aria-valuemax': String(Math.round((this.end - day) / 60_000)) }, this.pieces, this.line, this.tip);
    this.bar.onclick = (event) => this.#press(this.#under(event), true);
    this.bar.onpointermove = (event) => { if (event.pointerType !== 'touch') this.#point(this.#under(event)); };
    this.bar.onpointerleave = this.bar.onblur = () => { this.line.hidden = this.tip.hidden = true; };
    this.bar.onfocus = () => { if (this.bar.matches(':focus-visible')) this.#point(this.#at); };
    this.bar.onkeydown = (event) => this.#key(event);
    this.append(h('span', { class: 'whose' }, stream), this.bar);
    this.#at = Math.max(day, this.#parts()[0]?.from ?? day);
    this.#say();
  }

  #parts() {
    return this.archive.parts(this.ids);
  }

  /** As it is now. */
  draw() {
    const pieces = this.#parts().flatMap(({ recording, from, to, gaps }) => [
      this.#piece(from, to, recording.sealed ? 'audio' : 'audio growing'),
      ...gaps.map((gap) => this.#piece(gap.from, gap.to, 'hole')),
    ]);
    this.pieces.replaceChildren(...pieces.filter(Boolean));
  }

  #piece(from, to, name) {
    const [a, b] = [Math.max(from, this.day), Math.min(to, this.end)];
    if (!(b > a)) return null;
    const piece = h('i', { class: name });
    piece.style.left = this.#percent(a);
    piece.style.width = `max(2px, ${(b - a) / (this.end - this.day) * 100}%)`;
    return piece;
  }

  #percent(time) {
    return `${(time - this.day) / (this.end - this.day) * 100}%`;
  }

  #under(event) {
    const { left, width } = this.bar.getBoundingClientRect();
    return this.day + (event.clientX - left) / width * (this.end - this.day);
  }

  #part(time) {
    return this.#parts().find(({ from, to }) => from <= time && to >= time);
  }

  #text(time) {
    const part = this.#part(time);
    const gap = part?.gaps.find(({ from, to }) => from < time && to > time);
    const what = gap ? `gap of ${span(gap.lost)}` : part ? part.recording.title || '' : 'nothing';
    return [timeOfDay(time, false), what].filter(Boolean).join(' · ');
  }

  #point(time) {
    this.line.hidden = this.tip.hidden = false;
    this.line.style.left = this.tip.style.left = this.#percent(time);
    this.tip.textContent = this.#text(time);
    // So that it stays inside.
    const along = (time - this.day) / (this.end - this.day);
    this.tip.style.translate = `${-along * 100}% 0`;
  }

  #say() {
    this.bar.setAttribute('aria-valuenow', String(Math.round((this.#at - this.day) / 60_000)));
    this.bar.setAttribute('aria-valuetext', this.#text(this.#at));
  }

  // A hand is not exact: beside a short piece is that piece.
  #press(time, roughly) {
    const near = roughly ? (this.end - this.day) / this.bar.clientWidth * 4 : 0;
    const part = this.#part(time)
      ?? this.#parts().find(({ from, to }) => from - near <= time && to + near >= time);
    if (part) this.archive.open(part.recording, Math.min(Math.max(time, part.from), part.to));
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = STEP_MS * (event.shiftKey ? 12 : 1);
    const parts = this.#parts();
    const last = Math.min(now(), this.end - 1, Math.max(...parts.map(({ to }) => to)));
    const moves = { ArrowLeft: this.#at - step, ArrowDown: this.#at - step, ArrowRight: this.#at + step, ArrowUp: this.#at + step,
      Home: Math.min(...parts.map(({ from }) => from)), End: last };
    if (event.key in moves) {
      this.#at = Math.min(Math.max(moves[event.key], this.day), last);
      this.#point(this.#at);
      this.#say();
    } else if (event.key === 'Enter' || event.key === ' ') this.#press(this.#at, false);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

customElements.define('livetape-lane', Lane);
