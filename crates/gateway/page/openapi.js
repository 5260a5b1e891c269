// Shows /openapi.json. Everything in it is text here: nothing is ever taken for markup.

const METHODS = ["get", "head", "post", "put", "patch", "delete", "options"];
const place = (id) => document.getElementById(id);

// An element with a class, a text, and what is in it.
function make(tag, name, text, ...inside) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text) element.textContent = text;
  element.append(...inside);
  return element;
}

const pretty = (value) => make("pre", "", typeof value === "string" ? value : JSON.stringify(value, null, 2));

function reader(whole) {
  return (value) => {
    let found = value;
    for (let steps = 0; found?.$ref && steps < 8; steps += 1) {
      const parts = found.$ref.split("/").slice(1).map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
      found = parts.reduce((inside, part) => inside?.[part], whole);
    }
    return found ?? {};
  };
}

// A schema in a few words.
function kind(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  for (const word of ["anyOf", "oneOf"]) if (schema[word]) return schema[word].map(kind).join(" or ");
  if (schema.items) return `list of ${kind(schema.items)}`;
  const bounds = [["minimum", "≥"], ["maximum", "≤"], ["maxLength", "length ≤"]].filter(([name]) => schema[name] !== undefined);
  return [[schema.type ?? "anything"].flat().join(" or "), schema.format, ...bounds.map(([name, sign]) => `${sign} ${schema[name]}`)]
    .filter(Boolean).join(", ");
}

function table(rows) {
  const line = (cells) => make("tr", "", "", ...cells.map((cell) => make("td", "", cell)));
  return make("table", "", "", make("tbody", "", "", ...rows.map(line)));
}

function content(types, read) {
  return Object.entries(types ?? {}).flatMap(([type, media]) => {
    const examples = Object.values(media.examples ?? {}).map((example) => read(example).value);
    if (media.example !== undefined) examples.push(media.example);
    return [make("p", "says", `${type} ${media.schema ? kind(media.schema) : ""}`), ...examples.map(pretty)];
  });
}

function answer(status, given, read) {
  const said = read(given);
  const headers = Object.entries(said.headers ?? {}).map(([name, header]) => [name, read(header).description]);
  return make("details", "answer", "", make("summary", "", `${status} ${said.description ?? ""}`),
    ...(headers.length ? [table(headers)] : []), ...content(said.content, read));
}

function operation(method, path, said, shared, read) {
  const parameters = [...shared, ...(said.parameters ?? [])].map(read);
  const rows = parameters.map((p) => [p.name, p.in, kind(p.schema), p.description, p.example === undefined ? "" : `e.g. ${p.example}`]);
  const title = make("summary", "", "", make("span", "method", method.toUpperCase()), make("span", "path", path),
    make("span", "says", said.summary));
  return make("details", "operation", "", title, make("p", "", said.description ?? ""),
    ...(rows.length ? [make("h4", "", "Parameters"), table(rows)] : []),
    ...(said.requestBody ? [make("h4", "", "Body"), ...content(said.requestBody.content, read)] : []),
    make("h4", "", "Answers"), ...Object.entries(said.responses).map(([status, given]) => answer(status, given, read)));
}

function show(whole) {
  const read = reader(whole);
  place("about").textContent = whole.info.description;
  for (const tag of whole.tags) {
    const all = Object.entries(whole.paths).flatMap(([path, item]) => METHODS
      .filter((method) => item[method]?.tags.includes(tag.name))
      .map((method) => operation(method, path, item[method], item.parameters ?? [], read)));
    place("operations").append(make("section", "", "", make("h2", "", `${tag.name}: ${tag.description}`), ...all));
  }
  for (const [name, schema] of Object.entries(whole.components.schemas)) {
    const fields = Object.entries(schema.properties ?? {}).map(([field, inside]) => [field, kind(inside), inside.description ?? ""]);
    place("schemas").append(make("details", "schema", "", make("summary", "", name), make("p", "says", schema.description ?? kind(schema)),
      ...(fields.length ? [table(fields)] : [pretty(schema)])));
  }
  place("status").textContent = `${whole.info.title} ${whole.info.version}, OpenAPI ${whole.openapi}`;
}

function filter() {
  const words = place("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const one of document.querySelectorAll(".operation")) {
    const text = one.querySelector("summary").textContent.toLowerCase();
    one.hidden = !words.every((word) => text.includes(word));
  }
}

place("filter").addEventListener("input", filter);
try {
  const reply = await fetch("/openapi.json");
  if (!reply.ok) throw new Error(`/openapi.json was answered by ${reply.status}`);
  show(await reply.json());
} catch (error) {
  place("status").textContent = `It cannot be shown: ${error.message}`;
}
