// What stands around the waveform of the player: the transport, and one row of tools. It only builds: what a press does is said by
// the player, and what is shown at a moment is its business, too.

import { ICONS, button, h, icon } from './dom.js';
import { RENDITIONS } from './renditions.js';

const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 2];

/** Play and its neighbours, the time, and how far behind the edge that is with the way back. */
export function transport({ toStart, back, toggle, ahead, goLive, catchUp }) {
  const parts = {
    time: h('span', { class: 'time', role: 'timer', 'aria-label': 'Time of day' }),
    day: h('span', { class: 'date' }),
    at: h('span', { class: 'at position', role: 'timer', 'aria-label': 'Position' }),
    of: h('span', { class: 'tail', role: 'timer', 'aria-label': 'Length' }),
    play: button('play big', { picture: ICONS.play, label: 'Play (space)' }, toggle),
    behind: h('b', {}),
    unit: h('span', { class: 'unit' }),
    live: button('live', { text: 'Listen live', picture: ICONS.live, label: 'To the live edge (L)' }, goLive),
    faster: button('faster', { text: '1.25×', label: 'Catch up with the live edge: faster, until it is reached', 'aria-pressed': 'false' }, catchUp),
  };
  parts.lag = h('div', { class: 'lag', role: 'timer', 'aria-label': 'Behind the live edge' }, parts.behind, ' ', parts.unit);
  parts.element = h('div', { class: 'transport' },
    h('div', { class: 'readouts' },
      h('div', { class: 'readout' }, parts.time, h('span', { class: 'where' }, parts.day, parts.at, parts.of)), parts.lag),
    h('div', { class: 'keys', role: 'group', 'aria-label': 'Play' },
      button('start', { picture: ICONS.start, label: 'To the first frame' }, toStart),
      button('back', { picture: ICONS.back, text: '10', label: 'Back 10 seconds', 'aria-label': 'Back 10 seconds' }, back),
      parts.play,
      button('ahead', { picture: ICONS.ahead, text: '10', label: 'Ahead 10 seconds', 'aria-label': 'Ahead 10 seconds' }, ahead)),
    h('div', { class: 'edge' }, parts.faster, parts.live));
  return parts;
}

/** Everything else, in one row. */
export function toolbar({ mark, clip, share, monitor, out, inwards, all, go, volume, speed, rendition }) {
  const parts = {
    mark: button('mark', { text: 'Mark', picture: ICONS.mark, label: 'Put a mark here (M)' }, mark),
    clip: button('clip', { text: 'Clip', picture: ICONS.clip, label: 'Keep a part as a file', 'aria-expanded': 'false' }, clip),
    share: button('share copy', { text: 'Link', picture: ICONS.share, label: 'Copy a link that opens here' }, share),
    monitor: button('monitor', { text: 'Monitor', picture: ICONS.monitor, 'aria-pressed': 'false',
      label: 'Hear what is recorded now with the least delay, as it is recorded' }, monitor),
    place: h('input', { class: 'pos', placeholder: '@14:30 or 1:23', size: 12, 'aria-label': 'Go to a place', spellcheck: false,
      autocomplete: 'off', title: 'A position (1:23:45), seconds before the live edge (-30) or a time of day (@14:30)' }),
    speed: h('select', { 'aria-label': 'Speed', title: 'Speed' },
      ...SPEEDS.map((speed) => h('option', { value: String(speed), selected: speed === 1 }, `${speed}×`))),
    volume: h('input', { type: 'range', min: 0, max: 1, step: 0.01, 'aria-label': 'Volume' }),
    rendition: h('select', { 'aria-label': 'Rendition', title: 'In which form it is played' }),
  };
  parts.volume.value = '1';
  parts.volume.oninput = () => volume(Number(parts.volume.value));
  parts.speed.onchange = () => speed(Number(parts.speed.value));
  parts.rendition.onchange = () => rendition(parts.rendition.value);
  const form = h('form', { class: 'go', onsubmit: (event) => { event.preventDefault(); go(); } },
    parts.place, h('button', { title: 'Play from there' }, 'Go'));
  parts.element = h('div', { class: 'tools' },
    h('div', { class: 'acts', role: 'group', 'aria-label': 'Keep' }, parts.mark, parts.clip, parts.share, parts.monitor),
    h('div', { class: 'zoom', role: 'group', 'aria-label': 'Zoom' },
      button('out', { text: '−', 'aria-label': 'Zoom out', label: 'Zoom out (−)' }, out),
      button('all', { text: 'All', 'aria-label': 'All: the whole tape', label: 'The whole tape (0)' }, all),
      button('in', { text: '+', 'aria-label': 'Zoom in', label: 'Zoom in (+)' }, inwards)),
    form,
    h('div', { class: 'sound', role: 'group', 'aria-label': 'Sound' },
      h('label', { class: 'volume' }, icon(ICONS.volume), parts.volume), parts.speed, parts.rendition));
  return parts;
}

/** The choices of a rendition, with the one that is chosen. */
export function offer(select, choices, chosen) {
  const options = [['auto', 'Automatic'], ...choices.map((key) => [key, RENDITIONS[key].name])];
  const signature = JSON.stringify([options, chosen]);
  if (select.dataset.shown === signature) return;
  select.dataset.shown = signature;
  select.hidden = choices.length < 2;
  select.replaceChildren(...options.map(([value, text]) => h('option', { value, selected: value === chosen }, text)));
}
