// <livetape-waveform>: the tape as one sees it. A press or a drag says where to play, a wheel or two fingers zoom, the strip above
// shows the whole tape. It knows nothing of playing: it says `seek` with seconds, and is told where the playhead is.

import { h } from './dom.js';
import { clock, timeOfDay } from './format.js';
import { Painter, colours, gainOf } from './paint.js';
import { Peaks } from './peaks.js';
import { Tape } from './tape.js';
import { View } from './view.js';

const WHEEL = 0.0016;
const STEP = 5;                 // seconds of an arrow key
const REACH = { mouse: 6, pen: 10, touch: 18 };   // so near to a handle takes hold of it, in pixels

export class Waveform extends HTMLElement {
  view = new View();
  tape = new Tape(1);
  edge = 0;
  recorded = 0;                 // how far it surely goes: the edge moves on by itself between two pieces of news
  growing = false;
  position = 0;
  selection = null;
  #ghost = null;                // where a drag would go
  #peaks = null;
  #fingers = new Map();
  #pinch = null;                // what two fingers took hold of; `over` when one of them has left
  #held = null;                 // what a finger has hold of: an end of the selection, of the window, or the window
  #asked = 0;

  connectedCallback() {
    if (this.firstChild) return;
    this.strip = h('canvas', { class: 'strip', 'aria-hidden': 'true' });
    this.main = h('canvas', { class: 'main', tabIndex: 0, role: 'slider', 'aria-label': 'Place on the tape', 'aria-valuemin': '0',
      'aria-describedby': 'wave-help' });
    this.tip = h('output', { class: 'tip', hidden: true, 'aria-hidden': 'true' });
    const help = h('span', { id: 'wave-help', class: 'unseen' },
      'Arrow keys move by five seconds, with shift by a minute; plus and minus zoom; home and end go to the start and to the live edge.');
    this.append(this.strip, this.main, this.tip, help);
    this.painters = [new Painter(this.strip, { ruler: false }), new Painter(this.main, { ruler: true })];
    this.#pointers();
    new ResizeObserver(() => this.refresh()).observe(this);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { this.palette = null; this.refresh(); });
  }

  /** Shows another tape: its edge and its timeline are told afterwards. */
  open({ urls }) {
    this.#peaks?.close();
    this.#peaks = new Peaks(urls.peaks, () => this.refresh());
    this.view = new View();
    this.selection = null;
    this.#ghost = null;
    this.refresh();
  }

  /** Draws before the next frame, however often it is asked. */
  refresh() {
    this.#asked ||= requestAnimationFrame(() => {
      this.#asked = 0;
      this.#draw();
    });
  }

  /** How loud it is at a place, if that is known: see `Peaks`. */
  levelAt(seconds) {
    return this.#peaks?.levelAt(seconds, this.recorded) ?? null;
  }

  zoom(factor, around = this.position) {
    this.view.zoom(factor, around, this.edge);
    this.refresh();
  }

  #draw() {
    if (!this.#peaks) return;
    this.palette ??= colours(this);
    this.view.settle(this.edge);
    const whole = this.#whole;
    const { edge, growing, position, tape, selection, palette } = this;
    const common = { edge, growing, position, tape, selection, colours: palette, ghost: this.#ghost };
    const seen = [[this.painters[0], whole], [this.painters[1], this.view]].map(([painter, view]) => {
      const pixel = view.length / Math.max(1, painter.canvas.clientWidth);
      return [painter, view, this.#peaks.of(view.from, view.to, pixel, this.recorded)];
    });
    // By the whole tape, so that nothing becomes higher or lower where one zooms.
    const gain = gainOf(seen[0][2]);
    for (const [painter, view, tiles] of seen) painter.draw({ ...common, view, tiles, gain });
    this.#window(whole);
    this.#aria();
  }

  get #whole() {
    const length = Math.max(this.edge * 1.01, 1);
    return { from: 0, length, to: length };
  }

  // Where the part that is seen below begins and ends in the strip.
  #ends(whole = this.#whole) {
    const second = this.strip.clientWidth / whole.length;
    return [this.view.from * second, Math.min(this.view.to, whole.to) * second];
  }

  #window(whole) {
    const c = this.strip.getContext('2d');
    const [x0, x1] = this.#ends(whole);
    const [width, height] = [this.strip.clientWidth, this.strip.clientHeight];
    c.globalAlpha = 0.62;
    c.fillStyle = this.palette.ground;
    c.fillRect(0, 0, x0, height);
    c.fillRect(x1, 0, width - x1, height);
    c.globalAlpha = 1;
    c.strokeStyle = c.fillStyle = this.palette.ink;
    c.lineWidth = 1.5;
    c.beginPath();
    c.roundRect(x0 + 1, 1.5, Math.max(6, x1 - x0 - 2), height - 3, 4);
    c.stroke();
    for (const x of [x0 + 1, Math.max(x0 + 7, x1 - 1)]) {
      c.beginPath();
      c.roundRect(x - 2.5, height / 2 - 8, 5, 16, 2.5);
      c.fill();
    }
  }

  #aria() {
    const time = this.tape.timeOf(this.position);
    const text = `${clock(this.position)} of ${clock(this.edge)}${time === null ? '' : `, ${timeOfDay(time)}`}`;
    this.main.setAttribute('aria-valuemax', String(Math.floor(this.edge)));
    this.main.setAttribute('aria-valuenow', String(Math.floor(this.position)));
    if (this.main.getAttribute('aria-valuetext') !== text) this.main.setAttribute('aria-valuetext', text);
  }

  #place(event, canvas, view) {
    const { left, width } = canvas.getBoundingClientRect();
    const seconds = view.from + (event.clientX - left) / width * view.length;
    return Math.min(Math.max(0, seconds), this.edge);
  }

  #seek(seconds) {
    this.dispatchEvent(new CustomEvent('seek', { detail: seconds }));
  }

  #pointers() {
    const { main, strip } = this;
    main.onpointerdown = (event) => this.#down(event);
    main.onpointermove = (event) => this.#move(event);
    main.onpointerup = main.onpointercancel = (event) => this.#up(event);
    main.onpointerleave = () => { this.tip.hidden = true; };
    main.onwheel = (event) => {
      event.preventDefault();
      const { clientWidth } = main;
      if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.view.pan(event.deltaX / clientWidth * this.view.length, this.edge);
      else this.view.zoom(Math.exp(event.deltaY * WHEEL), this.#place(event, main, this.view), this.edge);
      this.refresh();
    };
    strip.onpointerdown = (event) => this.#grab(event);
    strip.onpointermove = (event) => this.#pull(event);
    strip.onpointerup = strip.onpointercancel = () => { this.#held = null; };
    strip.onwheel = main.onwheel;
    main.onkeydown = (event) => this.#key(event);
  }

  // The strip: a handle makes the window longer or shorter, anything else moves it.
  #grab(event) {
    const { left } = this.strip.getBoundingClientRect();
    const [x0, x1] = this.#ends();
    const x = event.clientX - left;
    const reach = REACH[event.pointerType] ?? REACH.mouse;
    this.strip.setPointerCapture(event.pointerId);
    if (x1 - x0 > 3 * reach && Math.abs(x - x0) < reach) this.#held = 'from';
    else if (x1 - x0 > 3 * reach && Math.abs(x - x1) < reach) this.#held = 'to';
    // Where it is taken hold of it stays under the finger; beside it it comes to where the finger is.
    else this.#held = { from: x > x0 && x < x1 ? this.#place(event, this.strip, this.#whole) - this.view.from : this.view.length / 2 };
    this.#pull(event);
  }

  #pull(event) {
    if (this.#held === null || !event.buttons) return;
    const { view, edge } = this;
    const place = this.#place(event, this.strip, this.#whole);
    if (this.#held === 'from') view.set(place, view.to, edge);
    else if (this.#held === 'to') view.set(view.from, place, edge);
    else view.pan(place - this.#held.from - view.from, edge);
    this.refresh();
  }

  // The end of the selection that a pointer has reached.
  #handle(event) {
    if (!this.selection) return null;
    const { width } = this.main.getBoundingClientRect();
    const reach = (REACH[event.pointerType] ?? REACH.mouse) / width * this.view.length;
    const place = this.#place(event, this.main, this.view);
    const [near] = ['from', 'to'].sort((a, b) => Math.abs(this.selection[a] - place) - Math.abs(this.selection[b] - place));
    return Math.abs(this.selection[near] - place) < reach ? near : null;
  }

  #down(event) {
    if (event.button !== 0) return;
    this.main.setPointerCapture(event.pointerId);
    this.#held = this.#handle(event);
    if (this.#held) return;
    this.#fingers.set(event.pointerId, event.clientX);
    if (this.#fingers.size === 2) this.#pinch = this.#spread();
    this.anchor = this.#place(event, this.main, this.view);
    this.#ghost = this.#fingers.size === 1 ? this.anchor : null;
    this.refresh();
  }

  #spread() {
    const [a, b] = [...this.#fingers.values()];
    const { left, width } = this.main.getBoundingClientRect();
    const { from, length } = this.view;
    return { apart: Math.max(20, Math.abs(a - b)), at: from + ((a + b) / 2 - left) / width * length, length };
  }

  #move(event) {
    const place = this.#place(event, this.main, this.view);
    this.#point(event, place);
    if (this.#held) {
      const other = this.selection[this.#held === 'from' ? 'to' : 'from'];
      if (Math.sign(place - other) !== Math.sign(this.selection[this.#held] - other)) this.#held = this.#held === 'from' ? 'to' : 'from';
      const [from, to] = [other, place].sort((a, b) => a - b);
      this.#select({ from, to });
      return;
    }
    if (event.buttons === 0) this.main.classList.toggle('handle', this.#handle(event) !== null);
    if (!this.#fingers.has(event.pointerId)) return;
    this.#fingers.set(event.pointerId, event.clientX);
    if (this.#pinch?.over) return;
    if (this.#pinch) {
      const { apart } = this.#spread();
      this.view.zoom(this.#pinch.length * this.#pinch.apart / apart / this.view.length, this.#pinch.at, this.edge);
    } else if (event.shiftKey) {
      const [from, to] = [this.anchor, place].sort((a, b) => a - b);
      this.#ghost = null;
      this.#select({ from, to });
    } else {
      this.#ghost = place;
    }
    this.refresh();
  }

  #select(selection) {
    this.selection = selection;
    this.dispatchEvent(new Event('select'));
    this.refresh();
  }

  // What a pointer stands on: time of day and position.
  #point(event, place) {
    const { left, width } = this.main.getBoundingClientRect();
    const time = this.tape.timeOf(place);
    const mark = this.tape.marks.find(({ at }) => Math.abs(at - place) < this.view.length / width * 8);
    this.tip.value = [time === null ? null : timeOfDay(time), clock(place, this.view.length < 60 ? 1 : 0), mark?.text.slice(0, 120)]
      .filter(Boolean).join('  ·  ');
    this.tip.hidden = false;
    const half = this.tip.offsetWidth / 2;
    this.tip.style.left = `${Math.min(Math.max(event.clientX - left, half), width - half)}px`;
  }

  #up(event) {
    const ghost = this.#ghost;
    this.#held = null;
    this.#fingers.delete(event.pointerId);
    // Two fingers never leave at once: the one that is left does nothing any more.
    if (this.#pinch) this.#pinch = this.#fingers.size < 2 ? { over: true } : this.#spread();
    if (this.#fingers.size > 0) return;
    if (event.type === 'pointerup' && ghost !== null && !this.#pinch) this.#seek(ghost);
    this.#pinch = null;
    this.#ghost = null;
    if (event.pointerType === 'touch') this.tip.hidden = true;
    this.refresh();
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = event.shiftKey ? 60 : STEP;
    const moves = { ArrowLeft: -step, ArrowDown: -step, ArrowRight: step, ArrowUp: step, PageDown: -600, PageUp: 600 };
    if (event.key in moves) this.#seek(this.position + moves[event.key]);
    else if (event.key === 'Home') this.#seek(0);
    else if (event.key === 'End') this.#seek(Infinity);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

customElements.define('livetape-waveform', Waveform);
