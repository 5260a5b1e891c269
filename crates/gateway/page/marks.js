// <livetape-marks>: the marks of the tape that is open, and the line in which a new one is written. The place of a new mark is where
// one was when one pressed the key, not where one is when the text is written.

import { send } from './api.js';
import { ICONS, button, h, say } from './dom.js';
import { clock, timeOfDay } from './format.js';

const SHOWN = 200;

export class Marks extends HTMLElement {
  #frame = 0;

  begin(player) {
    this.player = player;
    this.add = button('mark', { text: 'Mark', picture: ICONS.mark, label: 'Put a mark here (M)' }, () => this.put());
    this.text = h('input', { maxLength: 256, placeholder: 'what is here?', 'aria-label': 'Text of the mark', autocomplete: 'off' });
    this.where = h('span', { class: 'quiet' });
    this.form = h('form', { class: 'new', hidden: true, onsubmit: (event) => { event.preventDefault(); this.#save(); } },
      this.where, this.text, h('button', {}, 'Save'), button('', { text: 'Cancel' }, () => this.#close()));
    this.form.onkeydown = (event) => { if (event.key === 'Escape') this.#close(); };
    this.list = h('ol', { 'aria-label': 'Marks' });
    this.links = h('span', { class: 'links' });
    this.trouble = h('p', { class: 'trouble', role: 'alert' });
    this.append(h('div', { class: 'group' }, this.add, this.form, this.links), this.trouble, this.list);
  }

  clear() {
    this.list.replaceChildren();
    this.links.replaceChildren();
    this.#close();
  }

  show() {
    const { wave, recording } = this.player;
    this.add.hidden = !this.player.rights.manage;
    const { marks } = wave.tape;
    this.list.replaceChildren(...marks.slice(-SHOWN).map((mark) => this.#item(mark)));
    const address = `/recordings/${recording.id}/marks`;
    const files = [['CSV', `${address}.csv`], ['Audacity', `${address}.txt`]];
    if (marks.length === 0 || !recording.urls.peaks) return this.links.replaceChildren();
    this.links.replaceChildren('Marks as ', ...files.map(([text, href]) => h('a', { href, download: '' }, text)));
  }

  #item({ at, text }) {
    const time = this.player.wave.tape.timeOf(at);
    const place = time === null ? clock(at) : `${timeOfDay(time)} · ${clock(at)}`;
    const press = () => {
      this.player.deck.wanted = true;
      this.player.deck.seek(at);
    };
    return h('li', {}, button('place', { text: place }, press), h('bdi', {}, text));
  }

  put() {
    const { deck, recording, rights } = this.player;
    if (!recording || !rights.manage) return;
    this.#frame = Math.floor(Math.min(deck.position, this.player.feed.tail(recording).seconds) * recording.spec.rate);
    const time = this.player.wave.tape.timeOf(deck.position);
    say(this.where, time === null ? clock(deck.position) : timeOfDay(time));
    this.form.hidden = false;
    this.add.hidden = true;
    this.text.focus();
  }

  #close() {
    this.form.hidden = true;
    this.add.hidden = !this.player.rights.manage;
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
    this.add.focus();
    await this.player.refresh();
  }
}

customElements.define('livetape-marks', Marks);
