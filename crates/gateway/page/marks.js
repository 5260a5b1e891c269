// <livetape-marks>: the marks of the tape that is open, and the line in which a new one is written. The place of a new mark is where
// one was when one pressed the key, not where one is when the text is written.

import { send } from './api.js';
import { arrange, button, h, say } from './dom.js';
import { clock, timeOfDay } from './format.js';

const SHOWN = 200;

export class Marks extends HTMLElement {
  #frame = 0;

  begin(player) {
    this.player = player;
    this.text = h('input', { maxLength: 256, placeholder: 'what is here?', 'aria-label': 'Text of the mark', autocomplete: 'off' });
    this.where = h('span', { class: 'quiet' });
    this.form = h('form', { class: 'new', hidden: true, onsubmit: (event) => { event.preventDefault(); this.#save(); } },
      this.where, this.text, h('button', {}, 'Save'), button('', { text: 'Cancel' }, () => this.#close()));
    this.form.onkeydown = (event) => { if (event.key === 'Escape') this.#close(); };
    this.list = h('ol', { 'aria-label': 'Marks' });
    this.links = h('span', { class: 'links' });
    this.trouble = h('p', { class: 'trouble', role: 'alert' });
    this.append(h('div', { class: 'top' }, h('h3', {}, 'Marks'), this.links), this.form, this.trouble, this.list);
    this.hidden = true;
  }

  /** Whether somebody is writing one. */
  get isWriting() {
    return !this.form.hidden;
  }

  clear() {
    this.list.replaceChildren();
    this.links.replaceChildren();
    this.#close();
  }

  show() {
    const { wave, recording } = this.player;
    const { marks } = wave.tape;
    this.hidden = marks.length === 0 && this.form.hidden;
    arrange(this.list, marks.slice(-SHOWN), { key: ({ at, text }) => `${at} ${this.#place(at)} ${text}`, make: (mark) => this.#item(mark) });
    const address = `/recordings/${recording.id}/marks`;
    const files = marks.length === 0 || !recording.urls.peaks ? [] : [['CSV', `${address}.csv`], ['Audacity labels', `${address}.txt`]];
    arrange(this.links, files, { key: ([, href]) => href, make: ([text, href]) => h('a', { href, download: '' }, text) });
  }

  #place(at) {
    const time = this.player.wave.tape.timeOf(at);
    return time === null ? clock(at) : timeOfDay(time);
  }

  #item({ at, text }) {
    const place = this.#place(at);
    const press = () => {
      this.player.deck.wanted = true;
      this.player.deck.seek(at);
    };
    return h('li', {}, button('place', { text: place, label: `Play from ${clock(at)}`, 'aria-label': `Play from ${place}` }, press), h('bdi', {}, text),
      h('span', { class: 'quiet' }, clock(at)));
  }

  put() {
    const { deck, monitor, recording, rights } = this.player;
    if (!recording || !rights.manages(recording.stream)) return;
    const place = monitor.position ?? deck.position;
    this.#frame = Math.floor(Math.min(place, this.player.feed.tail(recording).seconds) * recording.spec.rate);
    say(this.where, this.#place(place));
    this.hidden = this.form.hidden = false;
    this.text.focus();
  }

  #close() {
    this.form.hidden = true;
    this.hidden = this.list.children.length === 0;
    this.text.value = '';
    say(this.trouble, '');
  }

  async #save() {
    const { recording } = this.player;
    try {
      await send('POST', `/recordings/${recording.id}/marks`, { text: this.text.value.trim() || 'mark', frame: this.#frame });
    } catch (error) {
      return say(this.trouble, error.message);
    }
    this.#close();
    this.player.tools.mark.focus();
    await this.player.refresh();
  }
}

customElements.define('livetape-marks', Marks);
