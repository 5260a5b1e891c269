// <livetape-selection>: a part of the tape, to be kept as a file or sent as a link. Its ends can be taken hold of in the waveform, too.

import { ICONS, button, h, icon, say } from './dom.js';
import { clock, span, timeOfDay } from './format.js';
import { download } from './renditions.js';

const CLIP = 30;                // seconds of a part that nobody has said anything about yet

export class Selection extends HTMLElement {
  begin(player) {
    this.player = player;
    this.hidden = true;
    this.said = h('p', { class: 'said' });
    this.files = h('span', { class: 'files' });
    this.copied = h('span', { class: 'quiet', role: 'status' });
    this.address = h('input', { readOnly: true, hidden: true, size: 40, 'aria-label': 'Link that opens here' });
    this.parts = h('div', { class: 'part' },
      h('div', { class: 'top' }, h('h3', {}, 'Clip'), this.said, button('none', { text: 'Clear', label: 'Select nothing' }, () => this.#set(null))),
      h('div', { class: 'group' },
        button('from', { text: 'From here', label: 'The selection begins here ([)' }, () => this.from()),
        button('to', { text: 'To here', label: 'The selection ends here (])' }, () => this.to()),
        button('seen', { text: 'What I see', label: 'The selection is what the waveform shows' }, () => this.seen()),
        button('hear', { text: 'Hear it', label: 'Play from where the selection begins' }, () => this.#hear())),
      this.files);
    this.append(this.parts, this.address, this.copied);
  }

  get #now() {
    return this.player.wave.selection;
  }

  #set(selection) {
    this.player.wave.selection = selection;
    this.player.wave.refresh();
    this.show();
  }

  /** The last half minute, if nothing is selected; else nothing. */
  toggle() {
    if (this.#now) return this.#set(null);
    const { deck, wave } = this.player;
    const to = Math.max(Math.min(deck.position, deck.edge), Math.min(CLIP, deck.edge));
    this.#set({ from: Math.max(0, to - CLIP), to });
    wave.view.show(this.#now.from, wave.edge);
  }

  from() {
    const at = this.player.deck.position;
    this.#set({ from: at, to: Math.max(this.#now?.to ?? 0, Math.min(at + CLIP, this.player.deck.edge)) });
  }

  to() {
    const at = this.player.deck.position;
    this.#set({ from: Math.min(this.#now?.from ?? Math.max(0, at - CLIP), at), to: at });
  }

  seen() {
    const { view, edge } = this.player.wave;
    this.#set({ from: Math.max(0, view.from), to: Math.min(view.to, edge) });
  }

  #hear() {
    const { deck } = this.player;
    deck.wanted = true;
    deck.seek(this.#now.from);
  }

  show() {
    const selection = this.#now;
    const { recording, wave, tools } = this.player;
    this.parts.hidden = !selection;
    this.address.hidden = true;
    this.hidden = !selection;
    tools.clip.setAttribute('aria-expanded', String(Boolean(selection)));
    say(this.copied, '');
    if (!selection) return;
    const { from, to } = selection;
    const time = (at) => (wave.tape.timeOf(at) === null ? clock(at, 1) : timeOfDay(wave.tape.timeOf(at)));
    say(this.said, `${time(from)} – ${time(to)} · ${span(to - from)}`);
    if (to <= from) return this.files.replaceChildren();
    const part = `from=${this.#exact(from)}&to=${this.#exact(to)}`;
    const { urls, id } = recording;
    // Who may only listen keeps what it hears, without the time of day in it, and in whole packets.
    const clips = urls.peaks && this.player.rights.exports(recording.stream) ? ['wav', 'mp3'] : [];
    const heard = (key) => (key === 'wav' ? `${download(recording, to - from)}&${part}` : `/recordings/${id}/audio.${key}?${part}&len=now`);
    const url = (key) => (clips.includes(key) ? `/recordings/${id}/clip.${key}?${part}` : heard(key));
    const others = this.player.deck.choices.filter((key) => key !== 'wav');
    this.files.replaceChildren(...['wav', ...others].map((key) => [key, url(key)])
      .map(([text, href]) => h('a', { href, download: '', class: `keep ${text}`, title: `Keep it as ${text.toUpperCase()}` },
        icon(ICONS.save), text.toUpperCase())));
  }

  // A frame's place, so that a file begins just there.
  #exact(seconds) {
    const { rate } = this.player.recording.spec;
    return (Math.round(seconds * rate) / rate).toFixed(9);
  }

  /** A link that opens here: with what is selected, if something is. */
  async copy() {
    const { recording, deck } = this.player;
    const selection = this.#now;
    const place = selection ? `from=${selection.from.toFixed(3)}&to=${selection.to.toFixed(3)}` : `pos=${deck.position.toFixed(3)}`;
    const hash = `#/recordings/${recording.id}?${place}`;
    history.replaceState(null, '', hash);
    this.hidden = false;
    try {
      await navigator.clipboard.writeText(location.href);
      say(this.copied, 'A link that opens here is in your clipboard.');
    } catch {
      // Not over plain HTTP: then one does it by hand.
      this.address.hidden = false;
      this.address.value = location.href;
      this.address.select();
      say(this.copied, 'This link opens here.');
    }
  }
}

customElements.define('livetape-selection', Selection);
