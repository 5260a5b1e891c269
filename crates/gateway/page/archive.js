// <livetape-archive>: recordings by day, newest first. A bar of each day shows at which times there is audio, and where it is missing.

import { now, send, timeline } from './api.js';
import { button, h, say } from './dom.js';
import { dayName, dayOf, nextDay, span, timeOfDay } from './format.js';
import { ask } from './dialog.js';
import { Tape } from './tape.js';

const GROW_MS = 5000;

export class Archive extends HTMLElement {
  #gaps = new Map();            // recording -> its gaps, once they were asked for
  #shown = '';

  begin(feed, rights) {
    this.feed = feed;
    this.rights = rights;
    setInterval(() => { if (this.recordings?.length && !document.hidden) this.#grow(); }, GROW_MS);
    this.seen = new IntersectionObserver((found) => {
      for (const { isIntersecting, target } of found) if (isIntersecting) this.#look(target.recording);
    });
  }

  /** All that is to be shown, oldest first. */
  update(recordings) {
    const signature = JSON.stringify(recordings.map(({ id, title, locked, sealed, stream }) => [id, title, locked, sealed, stream]));
    this.recordings = recordings;
    if (signature === this.#shown) return this.#grow();
    this.#shown = signature;
    this.seen.disconnect();
    const days = Map.groupBy(recordings.toReversed(), ({ started }) => dayOf(Date.parse(started)));
    // One that goes on past midnight is also on the bar of the next day.
    this.replaceChildren(...[...days].map(([day, list]) => this.#day(day, list)));
    for (const row of this.querySelectorAll('li')) this.seen.observe(row);
    this.#grow();
  }

  #ends(recording) {
    const { edge, started } = recording;
    const tail = this.feed.tails.get(recording.id);
    return Date.parse(tail?.time ?? edge ?? started);
  }

  #day(day, list) {
    const bars = [...Map.groupBy(list, ({ stream }) => stream)].sort().map(([stream, ones]) => this.#bar(day, stream, ones));
    const title = dayName(day, now());
    return h('section', { 'aria-label': title }, h('h3', {}, title),
      h('div', { class: 'day', 'aria-hidden': 'true' }, ...bars,
        h('div', { class: 'hours' }, ...[0, 6, 12, 18].map((hour) => h('span', {}, `${String(hour).padStart(2, '0')}:00`)))),
      h('ol', {}, ...list.map((recording) => this.#row(recording))));
  }

  #bar(day, stream) {
    const lane = h('div', { class: 'lane' });
    Object.assign(lane, { day, stream });
    lane.onclick = (event) => {
      const { left, width } = lane.getBoundingClientRect();
      this.#openAt(stream, day + (event.clientX - left) / width * (nextDay(day) - day));
    };
    return h('div', { class: 'stream' }, h('span', {}, stream), lane);
  }

  #openAt(stream, time) {
    const recording = this.recordings.find((r) => r.stream === stream && Date.parse(r.started) <= time && this.#ends(r) >= time);
    if (recording) this.dispatchEvent(new CustomEvent('open', { bubbles: true, detail: { recording, time } }));
  }

  // What lies on the bars changes as recordings grow.
  #grow() {
    for (const lane of this.querySelectorAll('.lane')) {
      const end = nextDay(lane.day);
      const part = (from, to, name) => {
        const [a, b] = [Math.max(from, lane.day), Math.min(to, end)];
        if (b <= a) return null;
        const piece = h('i', { class: name });
        piece.style.left = `${(a - lane.day) / (end - lane.day) * 100}%`;
        piece.style.width = `max(2px, ${(b - a) / (end - lane.day) * 100}%)`;
        return piece;
      };
      const pieces = this.recordings.filter((r) => r.stream === lane.stream).flatMap((recording) => {
        const name = recording.sealed ? 'audio' : 'audio growing';
        const gaps = (this.#gaps.get(recording.id) ?? []).map(({ from, to }) => part(from, to, 'hole'));
        return [part(Date.parse(recording.started), this.#ends(recording), name), ...gaps];
      });
      lane.replaceChildren(...pieces.filter(Boolean));
    }
    for (const row of this.querySelectorAll('li')) this.#lasted(row);
  }

  #row(recording) {
    const { id, stream, title, started, locked, sealed } = recording;
    const row = h('li', {});
    row.recording = recording;
    const name = h('a', { class: 'name', href: `#/recordings/${id}` }, h('bdi', {}, title || stream));
    row.length = h('span', { class: 'length' });
    row.trouble = h('p', { class: 'trouble', role: 'alert' });
    row.append(h('time', { dateTime: started }, timeOfDay(Date.parse(started), false)), name,
      title ? h('span', { class: 'quiet' }, stream) : h('span'), row.length,
      h('span', { class: 'signs' }, locked ? h('span', { title: 'locked: nobody deletes it', class: 'sign' }, 'locked') : null,
        sealed ? null : h('span', { class: 'state live' }, 'growing')),
      this.#more(recording, row), row.trouble);
    return row;
  }

  #lasted(row) {
    const seconds = this.feed.tails.get(row.recording.id)?.seconds ?? row.recording.seconds ?? 0;
    const gaps = this.#gaps.get(row.recording.id)?.length ?? 0;
    say(row.length, `${span(seconds)}${gaps ? ` · ${gaps} gap${gaps > 1 ? 's' : ''}` : ''}`);
  }

  #more(recording, row) {
    const { id, title, stream, locked, sealed, urls } = recording;
    const name = title || stream;
    const links = h('span', { class: 'links' }, h('a', { href: `${urls.wav}?len=now`, download: '' }, 'Save WAV'),
      h('a', { href: urls.wav, title: 'An address for VLC, mpv and other players' }, 'Address'));
    const acts = !this.rights.manage ? [] : [
      button('rename', { text: 'Title …' }, async () => {
        const text = await ask({ question: `Title of ${name}`, value: title, yes: 'Save' });
        if (text !== null) this.#do(row, 'PATCH', `/recordings/${id}`, { title: text });
      }),
      button('lock', { text: locked ? 'Unlock' : 'Lock', label: locked ? 'Let it be deleted' : 'Nobody deletes it while it is locked' },
        () => this.#do(row, locked ? 'DELETE' : 'PUT', `/recordings/${id}/lock`)),
      sealed && !locked ? button('delete', { text: 'Delete …' }, async () => {
        const detail = 'What was recorded is gone for good then.';
        if (await ask({ question: `Delete ${name}?`, detail, yes: 'Delete' })) this.#do(row, 'DELETE', `/recordings/${id}`);
      }) : null,
    ];
    return h('details', {}, h('summary', { 'aria-label': `More about ${name}` }, '⋯'), h('div', { class: 'group' }, ...acts, links));
  }

  async #do(row, method, address, body) {
    say(row.trouble, '');
    try {
      await send(method, address, body ?? {});
      this.#shown = '';
      this.dispatchEvent(new Event('changed', { bubbles: true }));
    } catch (error) {
      say(row.trouble, error.message);
    }
  }

  // The gaps of what is in sight.
  async #look({ id, spec }) {
    if (this.#gaps.has(id)) return;
    this.#gaps.set(id, []);
    const found = await timeline(id).catch(() => null);
    if (!found) return;
    const tape = new Tape(spec.rate);
    tape.add(found.entries);
    this.#gaps.set(id, tape.gaps);
    if (tape.gaps.length) this.#grow();
  }
}

customElements.define('livetape-archive', Archive);
