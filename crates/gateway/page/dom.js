// Elements with text in them. Text from elsewhere only ever becomes text: nothing here takes markup.

/** An element with properties (`class`, `data-…`, `aria-…`, `role` as attributes) and children: nodes or text. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === 'class') element.className = value;
    else if (name.includes('-') || name === 'role' || name === 'for') element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Changes a text only if it is another one: what is read aloud or selected stays. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Makes the children of an element those of a list. What is there under the same `key` stays as it is, and so does the focus in it,
 * unless it is not the `same` any more: what is made in its place has the focus and the open menu of the one before. `tell` is called
 * for each, before it is shown.
 */
export function arrange(parent, list, { key, make, same = () => true, tell = () => {} }) {
  const before = new Map([...parent.children].map((child) => [child.key, child]));
  const wanted = list.map((one) => {
    const old = before.get(key(one));
    before.delete(key(one));
    const child = old && same(old, one) ? old : Object.assign(make(one), { key: key(one) });
    tell(child, one);
    if (old && old !== child) takeOver(old, child);
    return child;
  });
  const kept = new Set(wanted);
  for (const child of [...parent.children]) if (!kept.has(child)) child.remove();
  // Nothing that is in its place is moved: that would take the focus away.
  wanted.forEach((child, n) => { if (parent.children[n] !== child) parent.insertBefore(child, parent.children[n] ?? null); });
}

function takeOver(old, child) {
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const open = old.querySelector('details')?.open ?? false;
  old.replaceWith(child);
  const menu = child.querySelector('details');
  if (menu) menu.open = open;
  if (!focused) return;
  const alike = child.querySelector([focused.localName, ...focused.classList].join('.'));
  (alike ?? child.querySelector('summary'))?.focus();
}

/** One of the icons below, as a drawing that nobody reads aloud. */
export function icon(picture) {
  const { path, line } = typeof picture === 'string' ? { path: picture, line: false } : picture;
  const space = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(space, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  if (line) svg.setAttribute('class', 'line');
  const shape = document.createElementNS(space, 'path');
  shape.setAttribute('d', path);
  svg.append(shape);
  return svg;
}

// Drawn as lines, where the others are areas.
const line = (path) => ({ path, line: true });

export const ICONS = {
  play: 'M7 4.5v15l13-7.5z',
  pause: 'M6 5h4.2v14H6zM13.8 5H18v14h-4.2z',
  start: 'M5 5h2.6v14H5zM20 5v14L9 12z',
  live: 'M4 5v14l10.5-7zM16.4 5H19v14h-2.6z',
  mark: line('M7 3.5h10V20l-5-4-5 4z'),
  clip: line('M8 4H4v16h4M16 4h4v16h-4M12 8v8'),
  share: line('M10 14a4 4 0 006 .5l3-3a4 4 0 00-5.7-5.7l-1.3 1.3M14 10a4 4 0 00-6-.5l-3 3a4 4 0 005.7 5.7l1.3-1.3'),
  monitor: line('M4 15v-3a8 8 0 0116 0v3M4 14.5h3.5V20H5a1 1 0 01-1-1zM20 14.5h-3.5V20H19a1 1 0 001-1z'),
  back: line('M4.5 5v5h5M5 10a8 8 0 11-1 4'),
  ahead: line('M19.5 5v5h-5M19 10a8 8 0 101 4'),
  volume: line('M3 9.5v5h4l5 4.5v-14L7 9.5zM16 9a4.5 4.5 0 010 6M18.8 6a9 9 0 010 12'),
  save: line('M12 4v11M7.5 11l4.5 4.5L16.5 11M5 20h14'),
  earlier: line('M14.5 6l-6 6 6 6'),
  later: line('M9.5 6l6 6-6 6'),
  more: 'M5 10.2a1.8 1.8 0 110 3.6 1.8 1.8 0 010-3.6zm7 0a1.8 1.8 0 110 3.6 1.8 1.8 0 010-3.6zm7 0a1.8 1.8 0 110 3.6 1.8 1.8 0 010-3.6z',
};

/** A button with a text or an icon; `label` is its name where it has no text, and what is shown above it. */
export function button(name, { text = '', picture = null, label = '', ...more }, press) {
  const named = label ? { title: label, ...(text ? {} : { 'aria-label': label }) } : {};
  return h('button', { type: 'button', class: name, onclick: press, ...named, ...more }, picture ? icon(picture) : null, text);
}
