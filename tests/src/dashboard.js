// Draws the dashboard's panels with what a Prometheus says, where there is no Grafana: run in a page of that Prometheus, with the
// dashboard as the first argument and the seconds to show as the second. Gives how many panels have something to show.
//
// It knows of Grafana's panels what this dashboard uses: rows, stats with thresholds and mappings, and time series.
const [dashboard, seconds] = arguments;
const [CELL, LINE, GAP] = [60, 34, 8];
const COLORS = ['#73bf69', '#f2cc0c', '#5794f2', '#ff9830', '#f2495c', '#b877d9', '#70dbed', '#c4162a', '#96d98d', '#ffee52'];
const now = Date.now() / 1000;

const plain = expr => expr.replaceAll('$__rate_interval', '15s').replaceAll('$stream', '.*');
const ask = async (how, query) => {
    const reply = await (await fetch(`/api/v1/${how}&query=${encodeURIComponent(plain(query))}`)).json();
    if (reply.status !== 'success') throw new Error(`${query}: ${reply.error}`);
    return reply.data.result;
};
const name = (legend, metric) => legend.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => metric[label] ?? '');

const scaled = (n, base, units) => {
    let i = 0;
    while (Math.abs(n) >= base && i < units.length - 1) { n /= base; i += 1; }
    return `${+n.toPrecision(3)}${units[i]}`;
};
const shown = (n, unit) => {
    if (unit === 's') return Math.abs(n) < 1 && n !== 0 ? `${+(n * 1000).toPrecision(3)} ms` : `${+n.toPrecision(3)} s`;
    if (unit === 'bytes') return scaled(n, 1024, [' B', ' KiB', ' MiB', ' GiB', ' TiB']);
    if (unit === 'Bps') return scaled(n, 1000, [' B/s', ' kB/s', ' MB/s']);
    if (unit === 'reqps') return `${+n.toPrecision(3)} req/s`;
    if (unit === 'ops') return `${+n.toPrecision(3)} ops/s`;
    return scaled(n, 1000, ['', ' K', ' Mil']);
};

const element = (parent, kind, style, text) => {
    const made = document.createElement(kind);
    made.style.cssText = style;
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
};

function stat(box, series, { unit, thresholds, mappings = [] }) {
    const row = element(box, 'div', 'display:flex;gap:4px;flex:1;margin:4px 8px 8px');
    for (const { label, value } of series) {
        const step = (thresholds?.steps ?? []).filter(s => s.value === null || value >= s.value).at(-1);
        const color = { red: '#c4162a', green: '#37872d', yellow: '#e0b400', orange: '#fa6400' }[step?.color] ?? '#37872d';
        const text = mappings.map(m => m.options[value]?.text).find(Boolean) ?? shown(value, unit);
        const tile = element(row, 'div', `flex:1;background:${color};border-radius:3px;display:flex;flex-direction:column;align-items:center;justify-content:center;overflow:hidden`);
        element(tile, 'div', 'font-size:26px', text);
        element(tile, 'div', 'font-size:11px;opacity:.85', label);
    }
}

function graph(box, series, { unit }, width, height) {
    const legend = Math.ceil(series.length / 2) * 14;
    const canvas = element(box, 'canvas', 'margin:0 8px');
    [canvas.width, canvas.height] = [width - 16, Math.max(height - 40 - Math.min(legend, 70), 60)];
    const c = canvas.getContext('2d');
    const all = series.flatMap(s => s.points.map(p => p[1])).filter(Number.isFinite);
    const [low, top] = [Math.min(0, ...all), Math.max(...all, Math.min(0, ...all) + 1e-9)];
    const high = top === low + 1e-9 ? low + 1 : top + (top - low) * 0.08;
    const [left, w, h] = [62, canvas.width - 66, canvas.height - 20];
    const x = t => left + ((t - (now - seconds)) / seconds) * w;
    const y = v => 10 + (1 - (v - low) / (high - low)) * (h - 10);
    c.font = '10px sans-serif';
    for (let i = 0; i <= 4; i += 1) {
        const v = low + ((high - low) * i) / 4;
        c.fillStyle = '#9a9da5';
        c.textAlign = 'right';
        c.fillText(shown(v, unit), left - 6, y(v) + 3);
        c.fillStyle = '#2c3235';
        c.fillRect(left, y(v), w, 1);
    }
    c.fillStyle = '#9a9da5';
    c.textAlign = 'center';
    for (let i = 0; i <= 2; i += 1) {
        const t = now - seconds + (seconds * i) / 2;
        c.fillText(new Date(t * 1000).toISOString().slice(11, 19), Math.min(Math.max(x(t), left + 22), left + w - 22), h + 16);
    }
    series.forEach((s, n) => {
        const color = COLORS[n % COLORS.length];
        c.strokeStyle = color;
        c.lineWidth = 1.4;
        c.beginPath();
        let last = -Infinity;
        for (const [t, v] of s.points) {
            if (!Number.isFinite(v)) continue;
            if (t - last > 10) c.moveTo(x(t), y(v)); else c.lineTo(x(t), y(v));
            last = t;
        }
        c.stroke();
    });
    const labels = element(box, 'div', 'margin:0 8px;font-size:10px;line-height:14px;height:70px;overflow:hidden;columns:2');
    series.forEach((s, n) => {
        const label = element(labels, 'div', 'white-space:nowrap;overflow:hidden;text-overflow:ellipsis');
        element(label, 'span', `display:inline-block;width:10px;height:3px;margin:0 5px 3px 0;background:${COLORS[n % COLORS.length]}`);
        label.append(s.label);
    });
}

document.body.replaceChildren();
document.body.style.cssText = 'margin:0;background:#111217;color:#d8d9da;font-family:sans-serif';
const page = element(document.body, 'div', `position:relative;width:${24 * CELL}px`);
let withData = 0;
for (const panel of dashboard.panels) {
    const { x, y, w, h } = panel.gridPos;
    const [width, height] = [w * CELL - GAP, h * LINE - GAP];
    const box = element(page, 'div', `position:absolute;left:${x * CELL + GAP / 2}px;top:${y * LINE + GAP / 2}px;width:${width}px;height:${height}px;display:flex;flex-direction:column`);
    if (panel.type === 'row') {
        element(box, 'div', 'font-weight:bold;font-size:15px;line-height:26px', `▾ ${panel.title}`);
        continue;
    }
    box.style.background = '#181b1f';
    box.style.border = '1px solid #25282d';
    element(box, 'div', 'font-size:12px;font-weight:bold;padding:5px 8px', panel.title);
    const series = [];
    for (const { expr, legendFormat } of panel.targets) {
        if (panel.type === 'stat') {
            for (const { metric, value } of await ask(`query?time=${now}`, expr)) series.push({ label: name(legendFormat, metric), value: Number(value[1]) });
        } else {
            const range = `query_range?start=${now - seconds}&end=${now}&step=2`;
            for (const { metric, values } of await ask(range, expr)) series.push({ label: name(legendFormat, metric), points: values.map(([t, v]) => [t, Number(v)]) });
        }
    }
    if (series.length === 0) {
        element(box, 'div', 'margin:auto;color:#8e8e8e;font-size:13px', 'No data');
        continue;
    }
    withData += 1;
    if (panel.type === 'stat') stat(box, series, panel.fieldConfig.defaults);
    else graph(box, series, panel.fieldConfig.defaults, width, height);
}
return withData;
