// What whoever looks at the page may change: shown is only what is allowed. The gateway decides, whatever is shown.

export class Rights {
  #grants = [];                 // `manage:studio-*`
  #some = [];                   // rights that there are on some stream: all that an older gateway tells

  /** Takes in what `/session` says; `null` if it says nothing. */
  told(session) {
    this.#grants = session?.grants ?? null;
    this.#some = session?.rights ?? [];
  }

  /** Whether recordings of a stream may be begun, sealed, named, marked, locked, deleted. */
  manages(stream) {
    return this.#has('manage', stream);
  }

  /** Whether parts of its recordings may be taken away as clips. */
  exports(stream) {
    return this.#has('export', stream);
  }

  #has(right, stream) {
    if (this.#grants === null) return this.#some.includes(right);
    return this.#grants.some((grant) => {
      const [rights, pattern] = grant.split(':');
      return rights.split(',').includes(right) && matches(pattern, stream);
    });
  }
}

/** Whether a name fits a pattern, in which each `*` stands for any characters or none. */
export function matches(pattern, name) {
  const [first, ...parts] = pattern.split('*');
  if (parts.length === 0) return first === name;
  const last = parts.pop();
  if (!name.startsWith(first)) return false;
  let at = first.length;
  // The first place for each part leaves the most room for those after it.
  for (const part of parts) {
    const found = name.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return name.length - last.length >= at && name.endsWith(last);
}
