// <livetape-stream>: a stream with what it does now, its level, and what may be done with it.

import { now, send } from './api.js';
import { ICONS, button, h, icon, say } from './dom.js';
import { shortDay, span, timeOfDay } from './format.js';
import { ask } from './dialog.js';
import { Trace } from './levels.js';

const STATES = { waiting: 'lost' };
const SAYS = {
  live: 'being recorded', silent: 'being recorded, but nothing is heard', lost: 'open, but nothing comes from its source',
  ended: 'its last recording is finished', idle: 'a source is there; nothing is recorded until somebody begins',
};

export class Stream extends HTMLElement {
  begin(feed, rights) {
    this.feed = feed;
    this.rights = rights;
    this.name = h('a', { class: 'name' });
    this.state = h('span', { class: 'state' });
    this.level = new Trace();
    this.playing = h('p', { class: 'playing' }, h('bdi', {}));
    this.about = h('p', { class: 'about' });
    this.trouble = h('p', { class: 'trouble', role: 'alert' });
    const go = () => this.dispatchEvent(new CustomEvent('listen', { bubbles: true, detail: this.stream }));
    this.live = button('live', { text: 'Listen live', picture: ICONS.play }, go);
    this.record = button('record', { text: 'Record', label: 'Begin to record' },
      () => this.#do('POST', `/streams/${this.stream.name}/recordings`));
    this.again = button('again', { text: 'New tape', label: 'Finish this recording and begin a new one, without losing a frame' },
      () => this.#do('POST', `/streams/${this.stream.name}/recordings`));
    this.seal = button('seal', { text: 'Finish …', label: 'Finish this recording' }, () => this.#finish());
    this.wav = h('a', { class: 'address', title: 'An address for VLC, mpv and other players' }, 'live.wav');
    this.more = h('details', { class: 'more' }, h('summary', {}, icon(ICONS.more)),
      h('div', { class: 'menu' }, this.again, this.seal, this.wav));
    this.append(h('h3', {}, this.name, this.state), this.playing, this.level, this.about,
      h('div', { class: 'group' }, this.live, this.record, this.more), this.trouble);
  }

  /** How it is listed. */
  update(stream) {
    this.stream = stream;
    this.name.textContent = stream.name;
    this.name.href = `#/streams/${stream.name}`;
    this.wav.href = stream.urls.wav;
    this.more.firstChild.setAttribute('aria-label', `More about ${stream.name}`);
    this.tell(null);
  }

  // What it does: a word of the page's.
  #word(tail) {
    const { state } = this.stream;
    // That nobody records is in no event: the list says it.
    if (state === 'idle') return 'idle';
    const told = tail?.state ?? state;
    return STATES[told] ?? told;
  }

  /** News of its newest recording; `null` if only the time has gone on. */
  tell(news) {
    const { recording, title, name } = this.stream;
    const tail = news ?? (recording && this.feed.tails.get(recording.id));
    const word = this.#word(tail);
    say(this.state, word);
    this.state.className = `state ${word}`;
    this.state.title = SAYS[word] ?? '';
    this.dataset.state = word;
    const heard = tail?.playing ?? this.stream.playing;
    this.playing.classList.toggle('heard', Boolean(heard));
    say(this.playing.firstChild, heard || (title !== name ? title : ''));
    say(this.about, this.#says(word, tail).filter(Boolean).join(' · '));
    const listened = word !== 'ended' && word !== 'idle' && recording;
    const may = this.rights.manages(name);
    this.live.hidden = !listened;
    this.record.hidden = !may || word !== 'idle';
    this.again.hidden = this.seal.hidden = !may || !['live', 'silent', 'lost'].includes(word);
    if (!['live', 'silent'].includes(word) && !this.level.hidden) this.level.clear();
  }

  #says(word, tail) {
    const { recording, record, listeners, drift_ppm: drift } = this.stream;
    if (word === 'idle') return ['recorded on demand'];
    if (!recording) return ['nothing recorded yet'];
    const began = Date.parse(recording.started);
    const day = shortDay(began, now());
    const since = `${day === 'today' ? '' : `${day}, `}${timeOfDay(began, false)}`;
    return [`${word === 'ended' ? 'lasted' : 'for'} ${span(tail?.seconds ?? recording.seconds ?? 0)}`, `since ${since}`,
      Number.isFinite(listeners) && word !== 'ended' ? `${listeners === 1 ? '1 listener' : `${listeners || 'no'} listeners`}` : '',
      record === 'on-demand' ? 'on demand' : '', Number.isFinite(drift) ? `card ${drift < 0 ? '−' : '+'}${Math.abs(drift).toFixed(1)} ppm` : ''];
  }

  /** What it sounds like. */
  sound(levels) {
    this.level.add(levels);
  }

  async #finish() {
    const question = `Finish what is being recorded of ${this.stream.name}?`;
    const detail = 'A source that goes on begins a new recording, or waits for you where it is recorded on demand.';
    if (await ask({ question, detail, yes: 'Finish' })) await this.#do('POST', `/recordings/${this.stream.recording.id}/seal`);
  }

  async #do(method, address) {
    this.more.open = false;
    say(this.trouble, '');
    try {
      await send(method, address, {});
    } catch (error) {
      say(this.trouble, error.message);
    }
    this.dispatchEvent(new Event('changed', { bubbles: true }));
  }
}

customElements.define('livetape-stream', Stream);
