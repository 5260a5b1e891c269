// A recording in the archive: when, what, how long, and what may be done with it.

import { send } from './api.js';
import { ICONS, button, h, icon, say } from './dom.js';
import { ask } from './dialog.js';
import { signed, span, timeOfDay } from './format.js';
import { download } from './renditions.js';

/** The line of a recording in the list of a day. `changed` is called when something was done to it. */
export function row(recording, day, may, changed) {
  const { id, stream, title, started, locked, sealed } = recording;
  const began = Date.parse(started);
  const item = h('li', {});
  Object.assign(item, { recording, changed, says: sayings(recording, may) });
  item.length = h('span', { class: 'length' });
  item.trouble = h('p', { class: 'trouble', role: 'alert' });
  const when = began < day ? h('time', { dateTime: started, title: 'It began on a day before' }, '‹ 00:00') : h('time', { dateTime: started }, timeOfDay(began, false));
  item.loud = h('span', { class: 'loud', title: 'Integrated loudness (EBU R 128)' });
  item.append(when, h('a', { class: 'name', href: `#/recordings/${id}` }, h('bdi', {}, title || stream)),
    title ? h('span', { class: 'quiet' }, stream) : h('span'), item.loud, item.length,
    h('span', { class: 'signs' }, locked ? h('span', { title: 'locked: nobody deletes it', class: 'sign' }, 'locked') : null,
      sealed ? null : h('span', { class: 'state live' }, 'growing')),
    more(item, may), item.trouble);
  return item;
}

// What the line says that does not change by itself.
const sayings = ({ title, locked, sealed }, may) => JSON.stringify([title, locked, sealed, may]);

/** Whether a line still says what there is to say of a recording. */
export const sameRow = (item, recording, may) => item.says === sayings(recording, may);

/** How long it is by now, how many gaps it has, how loud it is (`null`: not known). */
export function tellRow(item, seconds, gaps, loudness) {
  item.save.href = download(item.recording, seconds);
  say(item.loud, loudness === null ? '' : `${signed(loudness, 1)} LUFS`);
  say(item.length, `${span(seconds)}${gaps ? ` · ${gaps} gap${gaps > 1 ? 's' : ''}` : ''}`);
}

function more(item, may) {
  const { id, title, stream, locked, sealed, urls } = item.recording;
  const name = title || stream;
  const act = (method, address, body) => change(item, method, address, body);
  item.save = h('a', { href: download(item.recording), download: '' }, 'Save WAV');
  const links = h('span', { class: 'links' }, item.save,
    h('a', { href: urls.wav, title: 'An address for VLC, mpv and other players' }, 'Address'));
  const acts = !may ? [] : [
    button('rename', { text: 'Title …' }, async () => {
      const text = await ask({ question: `Title of ${name}`, value: title, yes: 'Save' });
      if (text !== null) act('PATCH', `/recordings/${id}`, { title: text });
    }),
    button('lock', { text: locked ? 'Unlock' : 'Lock', label: locked ? 'Let it be deleted' : 'Nobody deletes it while it is locked' },
      () => act(locked ? 'DELETE' : 'PUT', `/recordings/${id}/lock`)),
    sealed && !locked ? button('delete', { text: 'Delete …' }, async () => {
      const detail = 'What was recorded is gone for good then.';
      if (await ask({ question: `Delete ${name}?`, detail, yes: 'Delete' })) act('DELETE', `/recordings/${id}`);
    }) : null,
  ];
  return h('details', {}, h('summary', { 'aria-label': `More about ${name}` }, icon(ICONS.more)), h('div', { class: 'group' }, ...acts, links));
}

async function change(item, method, address, body) {
  say(item.trouble, '');
  try {
    await send(method, address, body ?? {});
    item.changed();
  } catch (error) {
    say(item.trouble, error.message);
  }
}
