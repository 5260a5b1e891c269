// Draws a part of a tape onto a canvas: waveform, gaps, marks, titles, selection, edge, playhead, ruler.

import { clock, dayOf, nextDay, span, tickStep, timeOfDay } from './format.js';

const RULER = 24;               // CSS pixels
const BAR = 3;                  // a bar and the room after it, where more than FINE seconds are seen
const FINE = 6;

/** The colours of the style sheet, so that light and dark are decided in one place. */
export function colours(element) {
  const probe = element.appendChild(document.createElement('i'));
  const names = ['wave', 'wave-loud', 'played', 'played-loud', 'ground', 'ink', 'quiet', 'line', 'live', 'mark', 'gap', 'select', 'accent'];
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
    c.font = '500 11px system-ui, sans-serif';
    c.lineJoin = 'round';
    this.c = c;
    this.scene = scene;
    this.width = width;
    this.height = height - this.ruler;
    this.x = (seconds) => (seconds - scene.view.from) / scene.view.length * width;
    this.#selection();
    if (this.ruler) this.#ruler();
    this.#wave();
    this.#handles();
    this.#gaps();
    this.#edge();
    if (this.ruler) this.#flags();
    this.#head();
  }

  // Bars stand on places of the tape, so that they move with it and do not shimmer.
  #wave() {
    const { c, scene: { tiles, position, colours, view, edge, gain }, height, width } = this;
    const middle = Math.round(height / 2);
    c.fillStyle = colours.wave;
    c.fillRect(this.x(0), middle - 0.5, this.x(Math.min(edge, view.to)) - this.x(0), 1);
    const most = (middle - (this.ruler ? 20 : 4)) * gain;
    const pitch = this.ruler && view.length > FINE ? BAR : 1;
    const each = pitch / width * view.length;
    const first = Math.floor(view.from / each);
    const columns = new Float32Array((Math.ceil(width / pitch) + 2) * 3).fill(-1);
    for (const tile of tiles) fill(columns, tile, first, each);
    const fat = Math.max(1, pitch - 1);
    for (const [which, colour] of [[0, ['wave', 'played']], [2, ['wave-loud', 'played-loud']]]) {
      for (const played of [false, true]) {
        c.fillStyle = colours[colour[Number(played)]];
        for (let n = 0; n < columns.length / 3; n += 1) {
          if (columns[3 * n + 1] < 0 || ((first + n + 0.5) * each < position) !== played) continue;
          const up = Math.max(columns[3 * n + (which || 1)] * most, 0.5);
          const down = Math.max(columns[3 * n + which] * most, 0.5);
          c.fillRect(Math.round(this.x((first + n) * each)), middle - up, fat, up + down);
        }
      }
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
      if (this.ruler) this.#label(Number.isFinite(lost) ? `gap ${span(lost)}` : 'gap', x + 6, this.height - 22, colours.gap);
    }
  }

  // Marks have their flag at the top, titles are written along the bottom.
  #flags() {
    const { c, scene: { tape, colours, view } } = this;
    const seen = tape.marks.filter(({ at }) => at >= view.from - view.length && at <= view.to);
    seen.forEach(({ at, text }, n) => {
      const x = Math.round(this.x(at));
      c.fillStyle = colours.mark;
      c.globalAlpha = 0.7;
      c.fillRect(x, 0, 1, this.height);
      c.globalAlpha = 1;
      c.beginPath();
      c.roundRect(x - 4.5, 3, 10, 12, [2, 2, 5, 5]);
      c.fill();
      // As far as the next one; a word that is cut off says less than none.
      const room = (n + 1 < seen.length ? this.x(seen[n + 1].at) - 8 : Infinity) - x - 9;
      if (room > 40) this.#label(text, x + 9, 13, colours.mark, Math.min(room, 180));
    });
    let right = this.width;
    for (const { at, text } of tape.titles.toReversed()) {
      if (at > view.to) continue;
      const x = Math.max(8, this.x(at) + 6);
      if (text && x < right - 20) this.#label(`♪ ${text}`, x, this.height - 7, colours.ink, Math.min(260, right - x - 8));
      right = this.x(at);
      if (at < view.from) break;
    }
  }

  // Each in its own direction of writing; none longer than there is room.
  #label(text, x, y, colour, room = 180) {
    const { c } = this;
    let shown = [...text.slice(0, 80)].slice(0, 40).join('');
    if (shown.length < text.length) shown += '…';
    while (shown.length > 2 && c.measureText(shown).width > room) shown = `${[...shown].slice(0, -2).join('')}…`;
    const apart = `\u2068${shown}\u2069`;
    c.strokeStyle = this.scene.colours.ground;
    c.lineWidth = 4;
    c.strokeText(apart, x, y, room);
    c.fillStyle = colour;
    c.fillText(apart, x, y, room);
  }

  #selection() {
    const { c, scene: { selection, colours } } = this;
    if (!selection) return;
    const [from, to] = [this.x(selection.from), this.x(selection.to)];
    c.fillStyle = colours.select;
    c.fillRect(from, 0, Math.max(1, to - from), this.height);
  }

  #handles() {
    const { c, scene: { selection, colours } } = this;
    if (!selection || !this.ruler) return;
    const [from, to] = [this.x(selection.from), this.x(selection.to)];
    // What one takes hold of to make it longer or shorter.
    for (const x of [from, to]) {
      c.fillStyle = colours.accent;
      c.fillRect(x - 0.75, 0, 1.5, this.height);
      c.beginPath();
      c.roundRect(x - 4, this.height / 2 - 14, 8, 28, 4);
      c.fill();
    }
  }

  #edge() {
    const { c, scene: { edge, growing, colours } } = this;
    const x = this.x(edge);
    if (x < 0 || x > this.width) return;
    c.fillStyle = growing ? colours.live : colours.line;
    c.fillRect(x, 0, growing ? 2 : 1, this.height);
    if (!growing || !this.ruler) return;
    const glow = c.createLinearGradient(x - 40, 0, x, 0);
    c.globalAlpha = 0.22;
    glow.addColorStop(0, 'transparent');
    glow.addColorStop(1, colours.live);
    c.fillStyle = glow;
    c.fillRect(x - 40, 0, 40, this.height);
    c.globalAlpha = 1;
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
        c.moveTo(x - 6, 0);
        c.lineTo(x + 6, 0);
        c.lineTo(x, 8);
        c.fill();
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
      const wide = c.measureText(text).width;
      if (x < 0 || x < free || x + 5 + wide > width) continue;
      free = x + wide + 16;
      c.fillStyle = colours.line;
      c.fillRect(x, height, 1, 6);
      c.fillStyle = colours.quiet;
      c.fillText(text, x + 5, height + 16);
    }
  }
}

// For each column how far it goes down and up, and its level; a finer tile takes the place of a coarser one.
function fill(columns, { first, step, length, low, high, rms }, start, each) {
  const [from, to] = [Math.floor(first / each), Math.ceil((first + length * step) / each)];
  for (let k = Math.max(from, start); k < Math.min(to, start + columns.length / 3); k += 1) {
    const n0 = Math.max(0, Math.floor((k * each - first) / step));
    const n1 = Math.min(length, Math.max(n0 + 1, Math.ceil(((k + 1) * each - first) / step)));
    if (n0 >= n1) continue;
    let [down, up, loud] = [0, 0, 0];
    for (let n = n0; n < n1; n += 1) {
      down = Math.max(down, -low[n]);
      up = Math.max(up, high[n]);
      loud = Math.max(loud, rms[n]);
    }
    columns.set([down, up, loud], 3 * (k - start));
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
