// <livetape-selection>: a part of the tape, to be kept as a file or sent as a link.

import { button, h, say } from './dom.js';
import { clock, span } from './format.js';

export class Selection extends HTMLElement {
  begin(player) {
    this.player = player;
    this.said = h('output', { class: 'quiet' });
    this.files = h('span', { class: 'links' });
    this.copied = h('span', { class: 'quiet', role: 'status' });
    this.none = button('', { text: 'Clear', label: 'Select nothing' }, () => this.#set(null));
    this.link = button('copy', { text: 'Copy link', label: 'A link that opens here' }, () => this.#copy());
    this.address = h('input', { readOnly: true, hidden: true, size: 40, 'aria-label': 'Link that opens here' });
    this.append(
      button('from', { text: 'From here', label: 'The selection begins here ([)' }, () => this.from()),
      button('to', { text: 'To here', label: 'The selection ends here (])' }, () => this.to()),
      this.said, this.files, this.none, this.link, this.address, this.copied);
  }

  get #now() {
    return this.player.wave.selection;
  }

  #set(selection) {
    this.player.wave.selection = selection;
    this.player.wave.refresh();
    this.show();
  }

  from() {
    const at = this.player.deck.position;
    this.#set({ from: at, to: Math.max(this.#now?.to ?? 0, Math.min(at + 30, this.player.deck.edge)) });
  }

  to() {
    const at = this.player.deck.position;
    this.#set({ from: Math.min(this.#now?.from ?? Math.max(0, at - 30), at), to: at });
  }

  show() {
    const selection = this.#now;
    const { recording } = this.player;
    this.none.hidden = !selection;
    this.address.hidden = true;
    say(this.copied, '');
    say(this.said, selection ? `${clock(selection.from, 1)} – ${clock(selection.to, 1)} (${span(selection.to - selection.from)})` : '');
    if (!selection || selection.to <= selection.from) return this.files.replaceChildren();
    const part = `from=${this.#exact(selection.from)}&to=${this.#exact(selection.to)}`;
    const { urls, id } = recording;
    const clip = urls.peaks ? `/recordings/${id}/clip.wav?${part}` : `${urls.wav}?${part}&len=now`;
    const others = this.player.deck.choices.filter((key) => key !== 'wav').map((key) => [key, `/recordings/${id}/audio.${key}?${part}&len=now`]);
    this.files.replaceChildren('Keep as ', ...[['wav', clip], ...others]
      .map(([text, href]) => h('a', { href, download: '', class: `keep ${text}` }, text.toUpperCase())));
  }

  // A frame's place, so that a file begins just there.
  #exact(seconds) {
    const { rate } = this.player.recording.spec;
    return (Math.round(seconds * rate) / rate).toFixed(9);
  }

  async #copy() {
    const { recording, deck } = this.player;
    const selection = this.#now;
    const place = selection ? `from=${selection.from.toFixed(3)}&to=${selection.to.toFixed(3)}` : `pos=${deck.position.toFixed(3)}`;
    const hash = `#/recordings/${recording.id}?${place}`;
    history.replaceState(null, '', hash);
    try {
      await navigator.clipboard.writeText(location.href);
      say(this.copied, 'copied');
    } catch {
      // Not over plain HTTP: then one does it by hand.
      this.address.hidden = false;
      this.address.value = location.href;
      this.address.select();
    }
  }
}

customElements.define('livetape-selection', Selection);
