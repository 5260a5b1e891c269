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

/** An icon from the file of icons, as a drawing that nobody reads aloud. */
export function icon(path) {
  const space = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(space, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  const shape = document.createElementNS(space, 'path');
  shape.setAttribute('d', path);
  svg.append(shape);
  return svg;
}

export const ICONS = {
  play: 'M7 4.5v15l13-7.5z',
  pause: 'M6 5h4.2v14H6zM13.8 5H18v14h-4.2z',
  start: 'M5 5h2.6v14H5zM20 5v14L9 12z',
  back: 'M11.5 5v14L2 12zM21.5 5v14L12 12z',
  ahead: 'M2.5 5v14L12 12zM12 5v14l9.5-7z',
  mark: 'M6 3h12v18l-6-4.5L6 21z',
  volume: 'M3 9v6h4l5 5V4L7 9zM16 8a5 5 0 010 8M18.5 5a9 9 0 010 14',
};

/** A button with a text or an icon; `label` is its name where it has no text, and what is shown above it. */
export function button(name, { text = '', picture = null, label = '', ...more }, press) {
  const named = label ? { title: label, ...(text ? {} : { 'aria-label': label }) } : {};
  return h('button', { type: 'button', class: name, onclick: press, ...named, ...more }, picture ? icon(picture) : null, text);
}
