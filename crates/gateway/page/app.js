// The page: streams, the player, recordings by day. It uses nothing that another client could not use. What is open stands in the
// address after the `#`: /streams/NAME (live), /recordings/ID, with pos=, or from= and to=.

import { get, login, pages, send } from './api.js';
import { say } from './dom.js';
import { Feed } from './feed.js';
import { Opener } from './opener.js';
import { Rights } from './rights.js';
import './archive.js';
import './player.js';
import './streams.js';

const $ = (id) => document.getElementById(id);
const REFRESH_MS = 15_000;
const SOON_MS = 500;
const feed = new Feed();
const rights = new Rights();
const cards = new Map();        // name of a stream -> its element
const [player, archive] = [document.querySelector('livetape-player'), document.querySelector('livetape-archive')];
player.begin(feed, rights);
archive.begin(feed, rights, $('days'));
const streams = () => [...cards.values()].map(({ stream }) => stream);
const opener = new Opener({ player, archive, streams, tell: (error) => tell('open', error) });

// What is wrong, by whoever says it: each takes back its own words alone.
const troubles = new Map();
function tell(who, error) {
  if (error?.status === 401) $('login').hidden = false;
  troubles.set(who, error?.message ?? '');
  say($('status'), ['feed', 'list', 'open'].map((one) => troubles.get(one)).find(Boolean) ?? '');
}

let refreshing = null;
let again = false;
function refresh({ all = false, anew = all } = {}) {
  if (all) archive.forget();
  // What is being asked for may be how it was before, or nobody answers it any more.
  again ||= anew && refreshing !== null;
  refreshing ??= load().then(() => tell('list', null), (error) => tell('list', error)).finally(() => {
    refreshing = null;
    if (again) refresh();
    again = false;
  });
  return refreshing;
}

// Events come several times a second: what is new is asked for once.
let due = null;
function refreshSoon() {
  due ??= setTimeout(() => {
    due = null;
    refresh();
  }, SOON_MS);
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
  await archive.refresh(newest(streams), streams.map(({ recording }) => recording).filter(Boolean));
  const open = [...streams.map((stream) => stream.recording), ...archive.recordings].find((one) => one && one.id === player.recording?.id);
  if (open) player.update(open);
  opener.follow();
  if (!player.recording && started) await opener.route();
}

// What was pressed further down is played further up.
function toPlayer() {
  player.scrollIntoView({ block: 'nearest', behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth' });
}

// Whether a modifier makes it another key. Brackets are where they need AltGr on many keyboards, which some systems call control and
// alt; on a Mac option.
function isModified(event) {
  const { ctrlKey, metaKey, altKey, key } = event;
  if ('[]'.includes(key) && !metaKey && (event.getModifierState('AltGraph') || (altKey && (ctrlKey || navigator.platform.startsWith('Mac'))))) return false;
  return ctrlKey || metaKey || altKey;
}

function keys(event) {
  const { target } = event;
  if (isModified(event) || event.defaultPrevented || document.querySelector('dialog[open]')) return;
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
  if (!player.recording) await opener.route();
}

feed.addEventListener('state', () => {
  tell('feed', feed.connected ? null : new Error('The gateway is away; trying again …'));
  if (!feed.connected) for (const card of cards.values()) card.level.clear();
  // A browser does not try again by itself when it was refused: is it that one has to log in?
  if (feed.connected && !known) begin();
  else if (feed.connected || feed.refused) refresh({ anew: true });
  if (feed.refused) setTimeout(() => feed.refused && feed.open(), REFRESH_MS / 3);
});
feed.addEventListener('tail', ({ detail }) => {
  const card = cards.get(detail.stream);
  if (card?.stream.recording?.id !== detail.recording) refreshSoon();
  else if (card.stream.state === 'idle' && detail.state !== 'ended') refreshSoon();
  else card.tell(detail);
});
feed.addEventListener('level', ({ detail }) => cards.get(detail.stream)?.sound(detail.levels));
player.deck.addEventListener('gone', () => refresh({ all: true }));
document.addEventListener('listen', ({ detail }) => {
  toPlayer();
  opener.listen(detail);
});
document.addEventListener('open', ({ detail: { recording, time } }) => {
  toPlayer();
  opener.playAt(recording, time);
});
document.addEventListener('changed', () => refresh({ all: true }));
document.addEventListener('keydown', keys);
addEventListener('hashchange', () => {
  toPlayer();
  opener.route();
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
