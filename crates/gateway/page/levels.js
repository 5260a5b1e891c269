// <livetape-meter>: a level of up to two channels on a scale in dBFS; and the small picture of the last seconds of a stream.

import { h } from './dom.js';
import { decibels, signed } from './format.js';

const LOWEST = -60;
const FALL = 24;                // dB by which a bar falls in a second
const HELD_MS = 1500;           // how long the line of a peak stays
const TICKS = [-48, -36, -24, -12, -6, 0];

/** How far a level goes along the scale, 0 to 1. */
export const part = (dB) => Math.min(1, Math.max(0, (dB - LOWEST) / -LOWEST));

export class Meter extends HTMLElement {
  #shown = [LOWEST, LOWEST];
  #held = [{ dB: LOWEST, at: 0 }, { dB: LOWEST, at: 0 }];
  #at = 0;

  connectedCallback() {
    if (this.firstChild) return;
    this.setAttribute('role', 'meter');
    this.setAttribute('aria-label', 'Level of what is heard');
    this.setAttribute('aria-valuemin', String(LOWEST));
    this.setAttribute('aria-valuemax', '0');
    this.bars = [0, 1].map(() => h('span', { class: 'track' }, h('i', { class: 'fill' }), h('i', { class: 'held' })));
    const ticks = TICKS.map((dB) => {
      const tick = h('span', {}, dB === 0 ? '0' : signed(dB));
      tick.style.left = `${part(dB) * 100}%`;
      return tick;
    });
    this.append(...this.bars, h('span', { class: 'scale', 'aria-hidden': 'true' }, ...ticks));
  }

  /** Linear peaks and levels of each channel; `null` for nothing. */
  show(levels, loudness = '') {
    const now = performance.now();
    const fall = (now - this.#at) / 1000 * FALL;
    this.#at = now;
    const of = (n) => levels?.[Math.min(n, levels.length - 1)];
    this.bars.forEach((bar, n) => {
      bar.hidden = n > 0 && levels?.length === 1;
      const [rms, peak] = [decibels(of(n)?.rms ?? 0), decibels(of(n)?.peak ?? 0)];
      this.#shown[n] = Math.max(rms, this.#shown[n] - fall, LOWEST);
      const held = this.#held[n];
      if (peak >= held.dB || now - held.at > HELD_MS) Object.assign(held, { dB: Math.max(peak, LOWEST), at: now });
      const [fill, line] = bar.children;
      fill.style.clipPath = `inset(0 ${((1 - part(this.#shown[n])) * 100).toFixed(1)}% 0 0)`;
      line.style.left = `${(part(held.dB) * 100).toFixed(1)}%`;
      line.hidden = held.dB <= LOWEST;
    });
    const most = Math.max(...this.#held.map(({ dB }) => dB));
    this.setAttribute('aria-valuenow', most.toFixed(0));
    this.setAttribute('aria-valuetext', [most <= LOWEST ? 'silence' : `${most.toFixed(0)} dB`, loudness].filter(Boolean).join(', '));
    return most;
  }
}

customElements.define('livetape-meter', Meter);

const POINTS = 120;             // twelve seconds

/** The level of the last seconds as a small picture, the newest at the right. */
export class Trace extends HTMLElement {
  #points = [];
  #asked = 0;

  connectedCallback() {
    if (this.firstChild) return;
    this.setAttribute('role', 'meter');
    this.setAttribute('aria-label', 'Level');
    this.setAttribute('aria-valuemin', String(LOWEST));
    this.setAttribute('aria-valuemax', '0');
    this.canvas = h('canvas', { 'aria-hidden': 'true' });
    this.append(this.canvas);
    new ResizeObserver(() => this.#refresh()).observe(this);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#refresh());
  }

  /** One more point: levels of each channel in dBFS. */
  add(levels) {
    const peak = Math.max(LOWEST, ...levels.map((level) => level.peak));
    this.#points.push({ peak: part(peak), rms: part(Math.max(...levels.map((level) => level.rms))) });
    if (this.#points.length > POINTS) this.#points.shift();
    this.setAttribute('aria-valuenow', peak.toFixed(0));
    this.setAttribute('aria-valuetext', peak <= LOWEST ? 'silence' : `${peak.toFixed(0)} dB`);
    this.#refresh();
  }

  /** Nothing is known of it any more. */
  clear() {
    this.#points = [];
    this.setAttribute('aria-valuenow', String(LOWEST));
    this.setAttribute('aria-valuetext', 'not known');
    this.#refresh();
  }

  #refresh() {
    this.#asked ||= requestAnimationFrame(() => {
      this.#asked = 0;
      this.#draw();
    });
  }

  #draw() {
    const { canvas } = this;
    const [width, height, scale] = [canvas.clientWidth, canvas.clientHeight, devicePixelRatio || 1];
    if (width === 0) return;
    Object.assign(canvas, { width: Math.round(width * scale), height: Math.round(height * scale) });
    const c = canvas.getContext('2d');
    c.scale(scale, scale);
    const style = getComputedStyle(this);
    const colour = style.color;
    const step = width / POINTS;
    c.fillStyle = colour;
    c.globalAlpha = 0.3;
    c.fillRect(0, height / 2 - 0.5, width, 1);
    this.#points.forEach(({ peak, rms }, n) => {
      const x = width - (this.#points.length - n) * step;
      for (const [value, alpha] of [[peak, 0.4], [rms, 1]]) {
        const tall = Math.max(1, value * (height - 2));
        c.globalAlpha = alpha;
        c.fillRect(x, (height - tall) / 2, Math.max(1, step - 1), tall);
      }
    });
  }
}

customElements.define('livetape-trace', Trace);
