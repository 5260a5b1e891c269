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

export class Waveform extends HTMLElement {
  view = new View();
  tape = new Tape(1);
  edge = 0;
  growing = false;
  position = 0;
  selection = null;
  #ghost = null;                // where a drag would go
  #peaks = null;
  #fingers = new Map();
  #pinch = null;
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

  zoom(factor, around = this.position) {
    this.view.zoom(factor, around, this.edge);
    this.refresh();
  }

  #draw() {
    if (!this.#peaks) return;
    this.palette ??= colours(this);
    this.view.settle(this.edge);
    const whole = { from: 0, length: Math.max(this.edge * 1.01, 1), to: Math.max(this.edge * 1.01, 1) };
    const { edge, growing, position, tape, selection, palette } = this;
    const common = { edge, growing, position, tape, selection, colours: palette, ghost: this.#ghost };
    const seen = [[this.painters[0], whole], [this.painters[1], this.view]].map(([painter, view]) => {
      const pixel = view.length / Math.max(1, painter.canvas.clientWidth);
      return [painter, view, this.#peaks.of(view.from, view.to, pixel, edge)];
    });
    // By the whole tape, so that nothing becomes higher or lower where one zooms.
    const gain = gainOf(seen[0][2]);
    for (const [painter, view, tiles] of seen) painter.draw({ ...common, view, tiles, gain });
    this.#window(whole);
    this.#aria();
  }

  // The part that is seen below, in the strip.
  #window(whole) {
    const c = this.strip.getContext('2d');
    const second = this.strip.clientWidth / whole.length;
    const [x0, x1] = [this.view.from * second, Math.min(this.view.to, whole.to) * second];
    c.globalAlpha = 0.55;
    c.fillStyle = this.palette.ground;
    c.fillRect(0, 0, x0, this.strip.clientHeight);
    c.fillRect(x1, 0, this.strip.clientWidth - x1, this.strip.clientHeight);
    c.globalAlpha = 1;
    c.strokeStyle = this.palette.quiet;
    c.strokeRect(x0 + 0.5, 0.5, Math.max(2, x1 - x0 - 1), this.strip.clientHeight - 1);
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
    const pan = (event) => {
      const middle = this.#place(event, strip, { from: 0, length: Math.max(this.edge * 1.01, 1) });
      this.view.pan(middle - this.view.length / 2 - this.view.from, this.edge);
      this.refresh();
    };
    strip.onpointerdown = (event) => { strip.setPointerCapture(event.pointerId); pan(event); };
    strip.onpointermove = (event) => { if (event.buttons) pan(event); };
    main.onkeydown = (event) => this.#key(event);
  }

  #down(event) {
    if (event.button !== 0) return;
    this.main.setPointerCapture(event.pointerId);
    this.#fingers.set(event.pointerId, event.clientX);
    if (this.#fingers.size === 2) this.#pinch = { ...this.#spread(), length: this.view.length };
    this.anchor = this.#place(event, this.main, this.view);
    this.#ghost = this.#fingers.size === 1 ? this.anchor : null;
    this.refresh();
  }

  #spread() {
    const [a, b] = [...this.#fingers.values()];
    const { left, width } = this.main.getBoundingClientRect();
    return { apart: Math.max(20, Math.abs(a - b)), at: this.view.from + ((a + b) / 2 - left) / width * this.view.length };
  }

  #move(event) {
    const place = this.#place(event, this.main, this.view);
    this.#point(event, place);
    if (!this.#fingers.has(event.pointerId)) return;
    this.#fingers.set(event.pointerId, event.clientX);
    if (this.#pinch) {
      const { apart } = this.#spread();
      this.view.zoom(this.#pinch.length * this.#pinch.apart / apart / this.view.length, this.#pinch.at, this.edge);
    } else if (event.shiftKey) {
      const [from, to] = [this.anchor, place].sort((a, b) => a - b);
      this.#ghost = null;
      this.selection = { from, to };
      this.dispatchEvent(new Event('select'));
    } else {
      this.#ghost = place;
    }
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
    this.#fingers.delete(event.pointerId);
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
