// Draws a part of a tape onto a canvas: waveform, gaps, marks, titles, selection, edge, playhead, ruler.

import { clock, dayOf, nextDay, span, tickStep, timeOfDay } from './format.js';

const RULER = 22;               // CSS pixels

/** The colours of the style sheet, so that light and dark are decided in one place. */
export function colours(element) {
  const probe = element.appendChild(document.createElement('i'));
  const names = ['wave', 'wave-loud', 'played', 'played-loud', 'ground', 'ink', 'quiet', 'line', 'live', 'mark', 'gap', 'select'];
  const found = names.map((name) => {
    probe.style.color = `var(--${name})`;
    return [name, getComputedStyle(probe).color];
  });
  probe.remove();
  return Object.fromEntries(found);
}

/** By how much to enlarge, so that what is quiet as a whole can be seen, too. */
export function gainOf(tiles) {
  let most = 0.05;
  for (const { high, low } of tiles) for (let n = 0; n < high.length; n += 1) most = Math.max(most, high[n], -low[n]);
  return 1 / most;
}

export class Painter {
  constructor(canvas, { ruler }) {
    this.canvas = canvas;
    this.ruler = ruler ? RULER : 0;
  }

  /** `scene`: view, edge, growing, position, tape, tiles, gain, selection, ghost, colours. */
  draw(scene) {
    const { canvas } = this;
    const scale = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (width === 0) return;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    const c = canvas.getContext('2d');
    c.setTransform(scale, 0, 0, scale, 0, 0);
    c.clearRect(0, 0, width, height);
    c.font = '11px system-ui, sans-serif';
    this.c = c;
    this.scene = scene;
    this.width = width;
    this.height = height - this.ruler;
    this.x = (seconds) => (seconds - scene.view.from) / scene.view.length * width;
    if (this.ruler) this.#ruler();
    this.#selection();
    this.#wave();
    this.#gaps();
    if (this.ruler) this.#flags();
    this.#edge();
    this.#head();
  }

  #wave() {
    const { c, scene: { tiles, position, colours, view, edge, gain }, height } = this;
    const middle = height / 2;
    c.fillStyle = colours.wave;
    c.fillRect(this.x(0), middle - 0.5, this.x(Math.min(edge, view.to)) - this.x(0), 1);
    const most = (middle - (this.ruler ? 16 : 3)) * gain;
    const columns = new Float32Array(Math.ceil(this.width) * 3).fill(-1);
    for (const tile of tiles) this.#columns(columns, tile);
    const head = this.x(position);
    for (const [which, colour] of [[0, ['wave', 'played']], [2, ['wave-loud', 'played-loud']]]) {
      for (const played of [false, true]) {
        c.fillStyle = colours[colour[Number(played)]];
        for (let x = 0; x < this.width; x += 1) {
          if ((x < head) !== played || columns[3 * x + 1] < 0) continue;
          const up = Math.max(which ? columns[3 * x + 2] : columns[3 * x + 1], 0) * most;
          const down = Math.max(which ? columns[3 * x + 2] : columns[3 * x], 0) * most;
          c.fillRect(x, middle - Math.max(up, 0.5), 1, Math.max(up, 0.5) + Math.max(down, 0.5));
        }
      }
    }
  }

  // For each column how far it goes down and up, and its level; a finer tile takes the place of a coarser one.
  #columns(columns, { first, step, length, low, high, rms }) {
    const { from } = this.scene.view;
    const second = this.width / this.scene.view.length;
    const x0 = Math.max(0, Math.floor((first - from) * second));
    const x1 = Math.min(Math.ceil(this.width), Math.ceil((first + length * step - from) * second));
    for (let x = x0; x < x1; x += 1) {
      const n0 = Math.max(0, Math.floor((from + x / second - first) / step));
      const n1 = Math.min(length, Math.max(n0 + 1, Math.ceil((from + (x + 1) / second - first) / step)));
      let [down, up, loud] = [0, 0, 0];
      for (let n = n0; n < n1; n += 1) {
        down = Math.max(down, -low[n]);
        up = Math.max(up, high[n]);
        loud = Math.max(loud, rms[n]);
      }
      columns.set([down, up, loud], 3 * x);
    }
  }

  #gaps() {
    const { c, scene: { tape, colours, view } } = this;
    for (const { at, lost } of tape.gaps) {
      if (at < view.from || at > view.to) continue;
      const x = Math.round(this.x(at));
      c.fillStyle = colours.ground;
      c.fillRect(x - 2, 0, 5, this.height);
      c.fillStyle = colours.gap;
      for (let y = 0; y < this.height; y += 6) c.fillRect(x - 1, y, 3, 3);
      if (this.ruler) this.#label(`gap ${span(lost)}`, x + 5, this.height - 5, colours.gap);
    }
  }

  // Marks have their flag at the top, titles are written along the bottom.
  #flags() {
    const { c, scene: { tape, colours, view } } = this;
    let free = -Infinity;
    for (const { at, text } of tape.marks) {
      if (at < view.from - view.length || at > view.to) continue;
      const x = Math.round(this.x(at));
      c.fillStyle = colours.mark;
      c.fillRect(x, 0, 1.5, this.height);
      c.beginPath();
      c.moveTo(x, 0);
      c.lineTo(x + 8, 4);
      c.lineTo(x, 8);
      c.fill();
      if (x > free) free = x + 14 + this.#label(text, x + 10, 10, colours.mark);
    }
    let right = this.width;
    for (const { at, text } of tape.titles.toReversed()) {
      if (at > view.to) continue;
      const x = Math.max(4, this.x(at) + 4);
      if (text && x < right - 20) this.#label(`♪ ${text}`, x, this.height - 5, colours.ink, right - x - 8);
      right = this.x(at);
      if (at < view.from) break;
    }
  }

  // Each in its own direction of writing; none longer than there is room.
  #label(text, x, y, colour, room = 180) {
    const { c } = this;
    let shown = [...text.slice(0, 80)].slice(0, 40).join('');
    if (shown.length < text.length) shown += '…';
    const width = Math.min(c.measureText(shown).width, room);
    c.fillStyle = colour;
    c.fillText(`\u2068${shown}\u2069`, x, y, room);
    return width;
  }

  #selection() {
    const { c, scene: { selection, colours } } = this;
    if (!selection) return;
    const [from, to] = [this.x(selection.from), this.x(selection.to)];
    c.fillStyle = colours.select;
    c.fillRect(from, 0, Math.max(1, to - from), this.height);
  }

  #edge() {
    const { c, scene: { edge, growing, colours } } = this;
    const x = this.x(edge);
    if (x < 0 || x > this.width) return;
    c.fillStyle = growing ? colours.live : colours.line;
    c.fillRect(x, 0, growing ? 2 : 1, this.height);
    if (growing && this.ruler) {
      c.beginPath();
      c.arc(x + 1, 6, 4, 0, 7);
      c.fill();
    }
  }

  #head() {
    const { c, scene: { position, colours, ghost } } = this;
    for (const [place, alpha] of [[ghost, 0.45], [position, 1]]) {
      if (place === null) continue;
      const x = this.x(place);
      c.globalAlpha = alpha;
      c.fillStyle = colours.ink;
      c.fillRect(x - 0.75, 0, 1.5, this.height);
      if (this.ruler) {
        c.beginPath();
        c.arc(x, this.height, 4.5, 0, 7);
        c.fill();
      }
      c.globalAlpha = 1;
    }
  }

  // Times of day, where they are known; else positions.
  #ruler() {
    const { c, scene: { view, tape, colours }, width, height } = this;
    c.fillStyle = colours.line;
    c.fillRect(0, height, width, 1);
    const step = tickStep(view.length, Math.max(2, width / 90));
    const start = tape.timeOf(view.from);
    const times = start === null ? [] : [...timesOfDay(start, tape.timeOf(view.to), step)];
    const ticks = start === null ? positions(view, step) : times.map((ms) => [tape.secondsOf(ms), label(ms, step)]);
    let free = -Infinity;
    for (const [at, text] of ticks) {
      const x = this.x(at);
      if (x < 0 || x > width || x < free) continue;
      free = x + 60;
      c.fillStyle = colours.line;
      c.fillRect(x, height, 1, 6);
      c.fillStyle = colours.quiet;
      c.fillText(text, x + 4, height + 15);
    }
  }
}

// Whole steps of the day of this place: not of UTC.
function* timesOfDay(from, to, step) {
  for (let day = dayOf(from); day < to; day = nextDay(day)) {
    const first = Math.max(0, Math.ceil((from - day) / 1000 / step));
    const end = Math.min(to, nextDay(day));
    for (let n = first; day + n * step * 1000 < end && n - first < 1000; n += 1) yield day + n * step * 1000;
  }
}

function label(ms, step) {
  if (step >= 86400 || ms === dayOf(ms)) return new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' }).format(ms);
  return step < 1 ? `${timeOfDay(ms)}.${Math.round(ms % 1000 / 100)}` : timeOfDay(ms, step < 60);
}

function positions(view, step) {
  const first = Math.ceil(view.from / step);
  const count = Math.min(1000, Math.floor(view.length / step) + 1);
  return Array.from({ length: count }, (_, n) => [(first + n) * step, clock((first + n) * step, step < 1 ? 1 : 0)]);
}
