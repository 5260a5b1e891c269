// A question that needs an answer before anything is done.

import { button, h } from './dom.js';

/** Asks; gives `null` if it was cancelled, else the text, or `true` where none was asked for. */
export function ask({ question, detail = '', value = null, most = 256, yes }) {
  return new Promise((answer) => {
    const text = value === null ? null : h('input', { value, maxLength: most, 'aria-label': question });
    const dialog = h('dialog', { 'aria-label': question });
    const close = (said) => {
      answer(said);
      dialog.close();
      dialog.remove();
    };
    dialog.append(h('form', { onsubmit: (event) => { event.preventDefault(); close(text ? text.value.trim() : true); } },
      h('p', {}, h('bdi', {}, question)), detail ? h('p', { class: 'quiet' }, detail) : null, text,
      h('p', { class: 'answers' }, button('', { text: 'Cancel' }, () => close(null)), h('button', { class: 'yes' }, yes))));
    dialog.oncancel = (event) => {
      event.preventDefault();
      close(null);
    };
    document.body.append(dialog);
    dialog.showModal();
  });
}
