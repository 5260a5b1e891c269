// <livetape-stream>: a stream with what it does now, its level, and what may be done with it.

import { send } from './api.js';
import { button, h, say } from './dom.js';
import { span } from './format.js';
import { ask } from './dialog.js';

const STATES = { live: 'live', waiting: 'lost', ended: 'ended', idle: 'idle' };
const SAYS = {
  live: 'being recorded', silent: 'being recorded, but nothing is heard', lost: 'open, but nothing comes from its source',
  ended: 'its last recording is finished', idle: 'a source is there; nothing is recorded until somebody begins',
};

export class Stream extends HTMLElement {
  begin(feed, rights) {
    this.feed = feed;
    this.name = h('a', { class: 'name' });
    this.state = h('span', { class: 'state' });
    this.level = h('span', { class: 'bar unknown', role: 'meter', 'aria-label': 'Level', 'aria-valuemin': '-60', 'aria-valuemax': '0' }, h('i'), h('i'));
    this.about = h('p', { class: 'about' });
    this.trouble = h('p', { class: 'trouble', role: 'alert' });
    const go = () => this.dispatchEvent(new CustomEvent('listen', { bubbles: true, detail: this.stream }));
    this.live = button('live', { text: 'Listen live' }, go);
    const manage = (name, text, label, press) => Object.assign(button(name, { text, label }, press), { hidden: !rights.manage });
    this.record = manage('record', 'Record', 'Begin to record', () => this.#do('POST', `/streams/${this.stream.name}/recordings`));
    this.again = manage('again', 'New tape', 'Finish this recording and begin a new one, without losing a frame',
      () => this.#do('POST', `/streams/${this.stream.name}/recordings`));
    this.seal = manage('seal', 'Finish', 'Finish this recording', () => this.#finish());
    this.may = rights.manage;
    this.wav = h('a', { class: 'address', title: 'An address for VLC, mpv and other players' }, 'live.wav');
    this.append(h('h3', {}, this.name, this.state), this.level, this.about,
      h('div', { class: 'group' }, this.live, this.record, this.again, this.seal, this.wav), this.trouble);
  }

  /** How it is listed. */
  update(stream) {
    this.stream = stream;
    this.name.textContent = stream.name;
    this.name.href = `#/streams/${stream.name}`;
    this.wav.href = stream.urls.wav;
    this.tell(null);
  }

  /** News of its newest recording; `null` if only the time has gone on. */
  tell(news) {
    const { recording, state, title, name, record } = this.stream;
    const tail = news ?? (recording && this.feed.tails.get(recording.id));
    // That nobody records is in no event: the list says it.
    const now = state === 'idle' ? 'idle' : tail?.silent ? 'silent' : STATES[tail?.state ?? state] ?? state;
    say(this.state, now);
    this.state.className = `state ${now}`;
    this.state.title = SAYS[now] ?? '';
    const length = tail?.seconds ?? recording?.seconds ?? 0;
    const since = now === 'idle' ? 'recorded on demand' : recording ? `${now === 'ended' ? 'lasted' : 'for'} ${span(length)}` : 'nothing recorded yet';
    say(this.about, [title && title !== name ? `♪ ${title}` : '', since, record === 'on-demand' && now !== 'idle' ? 'on demand' : '']
      .filter(Boolean).join(' · '));
    this.live.hidden = now === 'ended' || now === 'idle' || !recording;
    this.record.hidden = !this.may || now !== 'idle';
    this.again.hidden = this.seal.hidden = !this.may || !['live', 'silent', 'lost'].includes(now);
    if (now !== 'live' && now !== 'silent') this.level.classList.add('unknown');
  }

  /** One bar for each of the first two channels. */
  sound(levels) {
    const part = (dB) => Math.min(1, Math.max(0, (dB + 60) / 60));
    this.level.classList.remove('unknown');
    [...this.level.children].forEach((bar, n) => {
      bar.style.transform = `scaleX(${part(levels[Math.min(n, levels.length - 1)].rms).toFixed(3)})`;
    });
    const peak = Math.max(-60, ...levels.map((level) => level.peak));
    this.level.setAttribute('aria-valuenow', peak.toFixed(0));
    this.level.setAttribute('aria-valuetext', `${peak.toFixed(0)} dB`);
  }

  async #finish() {
    const question = `Finish what is being recorded of ${this.stream.name}?`;
    const detail = 'A source that goes on begins a new recording, or waits for you where it is recorded on demand.';
    if (await ask({ question, detail, yes: 'Finish' })) await this.#do('POST', `/recordings/${this.stream.recording.id}/seal`);
  }

  async #do(method, address) {
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
