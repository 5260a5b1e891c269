// The page: streams, the player, recordings by day. It uses nothing that another client could not use. What is open stands in the
// address after the `#`: /streams/NAME (live), /recordings/ID, with pos=, or from= and to=.

import { get, login, pages, send } from './api.js';
import { say } from './dom.js';
import { Feed } from './feed.js';
import { Rights } from './rights.js';
import './archive.js';
import './player.js';
import './streams.js';

const $ = (id) => document.getElementById(id);
const REFRESH_MS = 15_000;
const feed = new Feed();
const rights = new Rights();
const cards = new Map();        // name of a stream -> its element
const [player, archive] = [document.querySelector('livetape-player'), document.querySelector('livetape-archive')];
let listening = null;           // the stream that is followed from one recording into the next

let refreshing = null;
function refresh() {
  refreshing ??= load().catch(trouble).finally(() => { refreshing = null; });
  return refreshing;
}

function trouble(error) {
  if (error.status === 401) $('login').hidden = false;
  say($('status'), error.message);
}

// When the newest recording of all was going on; `null` if there is none.
function newest(streams) {
  const times = streams.map(({ recording: one }) => Date.parse(one?.edge ?? one?.started)).filter(Number.isFinite);
  return times.length ? Math.max(...times) : null;
}

async function load() {
  const streams = await pages('/streams', 'streams');
  $('login').hidden = true;
  $('no-streams').hidden = streams.length > 0;
  $('no-recordings').hidden = newest(streams) !== null;
  for (const stream of streams) {
    if (!cards.has(stream.name)) {
      const card = document.createElement('livetape-stream');
      card.begin(feed, rights);
      cards.set(stream.name, card);
      $('streams').append(card);
    }
    cards.get(stream.name).update(stream);
  }
  const names = new Set(streams.map(({ name }) => name));
  for (const [name, card] of cards) {
    if (names.has(name)) continue;
    card.remove();
    cards.delete(name);
  }
  await archive.refresh(newest(streams));
  const open = [...archive.recordings, ...streams.map((stream) => stream.recording)].find((one) => one && one.id === player.recording?.id);
  if (open) player.update(open);
  const followed = listening && cards.get(listening)?.stream.recording;
  // What is followed has gone on in another recording, and nobody is listening to the old one.
  if (followed && followed.id !== player.recording?.id && !player.deck.wanted) player.open(followed);
  else if (!player.recording && started) await route();
}

function listenTo(stream, play) {
  listening = stream.name;
  history.replaceState(null, '', `#/streams/${stream.name}`);
  return player.open(stream.recording, { play });
}

// What was pressed further down is played further up.
function toPlayer() {
  player.scrollIntoView({ block: 'nearest', behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth' });
}

/** Opens what the address says; the first live stream, if it says nothing. */
async function route() {
  const [path, query = ''] = location.hash.slice(1).split('?');
  const [, kind, name] = path.split('/');
  const said = new URLSearchParams(query);
  const number = (key) => (said.has(key) && Number.isFinite(Number(said.get(key))) ? Number(said.get(key)) : null);
  try {
    if (kind === 'recordings' && name) {
      listening = null;
      const [from, to] = [number('from'), number('to')];
      const selection = from !== null && to > from ? { from, to } : null;
      return await player.open(await archive.find(name), { place: number('pos') ?? from, selection });
    }
    const all = [...cards.values()].map(({ stream }) => stream).filter((stream) => stream.recording);
    const stream = kind === 'streams' && name ? await get(`/streams/${name}`) : ['live', 'silent'].map((one) => all.find(({ state }) => state === one)).find(Boolean) ?? all[0];
    if (!stream?.recording) return;
    listening = stream.name;
    await player.open(stream.recording);
  } catch (error) {
    trouble(error);
  }
}

function keys(event) {
  const { target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || document.querySelector('dialog[open]')) return;
  const types = target.matches?.('input:not([type=range]), select, textarea');
  const presses = [' ', 'Enter'].includes(event.key) && target.matches?.('button, a, summary');
  const slides = event.key.startsWith('Arrow') && target.matches?.('input[type=range]');
  if (types || presses || slides || !player.recording) return;
  if (player.press(event)) event.preventDefault();
}

// Who one is comes first: it decides what is shown. Without a gateway all this waits until there is one.
let known = false;
let started = false;
async function begin() {
  const session = await get('/session').catch(() => null);
  rights.told(session);
  $('logout').hidden = !session || session.way === 'anonymous';
  known = session !== null;
  if (known) await refresh();
  started = true;
  if (!player.recording) await route();
}

feed.addEventListener('state', () => {
  say($('status'), feed.connected ? '' : 'The gateway is away; trying again …');
  // A browser does not try again by itself when it was refused: is it that one has to log in?
  if (feed.connected && !known) begin();
  else if (feed.connected || feed.refused) refresh();
  if (feed.refused) setTimeout(() => feed.refused && feed.open(), REFRESH_MS / 3);
});
feed.addEventListener('tail', ({ detail }) => {
  const card = cards.get(detail.stream);
  if (card?.stream.recording?.id !== detail.recording) refresh();
  else if (card.stream.state === 'idle' && detail.state !== 'ended') refresh();
  else card.tell(detail);
});
feed.addEventListener('level', ({ detail }) => cards.get(detail.stream)?.sound(detail.levels));
player.begin(feed, rights);
archive.begin(feed, rights, $('days'));
// Nothing else is opened by itself: what is said of it would be gone, too.
player.deck.addEventListener('gone', () => {
  listening = null;
  refresh();
});
player.addEventListener('next', async ({ detail }) => {
  if (listening) player.open(await get(`/recordings/${detail}`), { place: 0, play: true }).catch(trouble);
});
document.addEventListener('listen', ({ detail }) => {
  toPlayer();
  listenTo(detail, true).catch(trouble);
});
document.addEventListener('open', async ({ detail: { recording: one, time } }) => {
  listening = null;
  toPlayer();
  await player.open(one, { place: 0 });
  player.deck.wanted = true;
  const at = player.wave.tape.secondsOf(time);
  player.deck.seek(at);
  player.wave.view.show(at, player.wave.edge);
});
document.addEventListener('changed', () => refresh());
document.addEventListener('keydown', keys);
addEventListener('hashchange', () => {
  toPlayer();
  route();
});
setInterval(() => { if (!document.hidden && feed.connected) refresh(); }, REFRESH_MS);

$('login').onsubmit = async (event) => {
  event.preventDefault();
  const token = $('token').value.trim();
  $('token').value = '';
  try {
    await login(token);
    say($('refused'), '');
    $('login').hidden = true;
    location.reload();
  } catch (error) {
    say($('refused'), error.message);
  }
};
$('logout').onclick = async () => {
  await send('DELETE', '/session').catch(() => null);
  location.reload();
};
begin().then(() => feed.open());
