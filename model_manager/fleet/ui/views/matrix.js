// Models by machines: one letter a cell, drawn only where somebody looks.
import { Component, html, useEffect, useLayoutEffect, useState } from '../vendor/preact-htm.js';
import { link, put } from '../address.js';
import { usePaused } from '../api.js';
import { bytes, counted, number } from '../words.js';
import { Empty, Field, Trouble } from '../parts/pieces.js';
import { CellDialog, STATES, stateOf } from '../parts/cells.js';
import { FOLDERS } from '../parts/shelves.js';
import { seen, useScroll, useSlices } from '../parts/virtual.js';

const SIDE = 30;
const PIVOTS = [['', 'name'], ['folder', 'folder'], ['base', 'base model'], ['workflow', 'workflow'], ['collection', 'collection']];
const MOST = 1000;

export default function Matrix({ address }) {
  const { query } = address;
  const [q, type] = useState(query.get('q') || '');
  const paused = usePaused(q, 120);
  useEffect(() => put({ q: paused }), [paused]);
  const [folder, pivot, key, single] = ['folder', 'pivot', 'key', 'single'].map((name) => query.get(name) || '');
  const params = { q: paused, folder, single, pivot, key, mlimit: MOST };
  const found = useSlices('/matrix', params, { every: 3000, on: ['model.', 'inventory.', 'machine.'], size: 40 });
  const select = (name, label, value, options, changes = {}) => html`<${Field} label=${label}>
    <select value=${value} onChange=${(event) => put({ [name]: event.target.value, ...changes })}>
      ${options.map(([each, word]) => html`<option key=${each} value=${each}>${word}</option>`)}
    </select><//>`;
  return html`
    <div class="title"><h1 tabindex="-1">Models by machines</h1>
      <p class="muted" role="status">${found.answer ? `${counted(found.total, 'row')} × ${counted(found.answer.machines, 'machine')}` : ''}</p></div>
    <div class="filters">
      <${Field} label="Name or folder"><input type="search" value=${q} onInput=${(event) => type(event.target.value)} /><//>
      ${select('folder', 'Folder', folder, [['', 'all'], ...FOLDERS.map((each) => [each, each])])}
      ${select('pivot', 'Ordered by', pivot, PIVOTS, { key: '' })}
      ${pivot && select('key', 'Group', key, [['', 'all'], ...(found.answer?.groups ?? []).map((each) => [each.key, `${each.key || 'unknown'} (${number(each.rows)})`])])}
      <label class="check"><input type="checkbox" checked=${single === 'true'} onChange=${() => put({ single: single ? '' : 'true' })} /> On one machine only</label>
    </div>
    <${Trouble} problem=${found.problem} />
    ${unknown(found.answer, key).map((why) => html`<p key=${why} class="notice">${why}</p>`)}
    ${found.total === 0 && html`<${Empty}>No machine holds such a model.<//>`}
    ${found.total > 0 && html`<${Legend} /><${Grid} found=${found} columns=${found.answer.columns} />`}`;
}

/** Why models of the groups that are shown may be missing; a few are enough. */
const unknown = (answer, key) =>
  (answer?.groups ?? [])
    .filter((each) => each.unknown && (!key || each.key === key))
    .map((each) => `${each.key}: ${each.unknown}`)
    .slice(0, 3);

const Legend = () => html`<ul class="legend" aria-label="Meaning of the marks">
  ${Object.values(STATES).map(([mark, word, tone]) => html`<li key=${word} class=${tone}><span aria-hidden="true">${mark}</span> ${word}</li>`)}
</ul>`;

const MOVES = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1], PageDown: [12, 0], PageUp: [-12, 0] };
const within = (n, count) => Math.min(count - 1, Math.max(0, n));

const BLOCK = 8; // columns come and go by so many at a time

function Grid({ found, columns }) {
  const [ref, where] = useScroll(true);
  const [at, move] = useState([0, 0]);
  const [opened, open] = useState(null);
  const side = useFirst(ref);
  const [first, end] = seen(where.top, where.height - side.head, SIDE, found.total);
  const [from, to] = seen(where.left, where.width - side.first, SIDE, columns.length, 2);
  const [left, right] = [BLOCK * Math.floor(from / BLOCK), Math.min(columns.length, BLOCK * Math.ceil(to / BLOCK))];
  useEffect(() => found.need(first, end), [first, end, found.total, found.need]);
  useLayoutEffect(() => {
    if (document.activeElement?.classList.contains('cell')) ref.current.querySelector(`[data-at="${at}"]`)?.focus({ preventScroll: true });
  }, [at]);
  const show = ([n, m]) => found.at(n) && open({ row: found.at(n), column: columns[m], word: said(found.at(n), m, columns[m]) });
  const keyed = (event) => {
    const step = MOVES[event.key];
    const opens = event.key === 'Enter' || event.key === ' ';
    if (!(step || opens) || !event.target.dataset.at) return undefined;
    event.preventDefault();
    const from = event.target.dataset.at.split(',').map(Number);
    if (opens) return show(from);
    const next = [within(from[0] + step[0], found.total), within(from[1] + step[1], columns.length)];
    reveal(ref.current, next, side);
    return move(next);
  };
  const on = (event, what) => event.target.dataset?.at && what(event.target.dataset.at.split(',').map(Number), event.target);
  const shown = Array.from({ length: end - first }, (_, n) => first + n);
  const row = at[0] >= first && at[0] < end ? at[0] : first;
  const column = at[1] >= left && at[1] < right ? at[1] : left;
  const width = `${side.first + columns.length * SIDE}px`;
  return html`<div class="matrix" ref=${ref} role="grid" aria-label="Models by machines" aria-rowcount=${found.total + 1} aria-colcount=${columns.length + 1}
      onKeyDown=${keyed} onClick=${(event) => on(event, (cell) => (move(cell), show(cell)))}
      onMouseOver=${(event) => on(event, ([, m], cell) => (cell.title = `${columns[m].machine_id}: ${cell.ariaLabel}`))}>
    <div class="canvas" role="rowgroup" style=${{ width, height: `${side.head + found.total * SIDE}px` }}>
      <div class="heads" role="row" aria-rowindex="1" style=${{ width }}>
        <div class="corner" role="columnheader" aria-colindex="1">Model</div>
        ${columns.slice(left, right).map((each, n) => html`<div key=${each.machine_id} role="columnheader" aria-colindex=${left + n + 2} style=${{ left: `${side.first + (left + n) * SIDE}px` }}>
          <a tabindex="-1" href=${link('machines', each.machine_id)} class=${each.state === 'live' ? '' : 'bad'} title=${`${each.machine_id}: ${each.state}`}>${each.machine_id}</a></div>`)}
      </div>
      ${shown.map((n) => html`<${Line} key=${n} n=${n} row=${found.at(n)} top=${side.head + n * SIDE} width=${width} first=${side.first} left=${left} right=${right}
        columns=${columns} active=${n === row ? column : -1} />`)}
    </div>
    ${opened && html`<${CellDialog} ...${opened} onClose=${() => open(null)} />`}
  </div>`;
}

/** How wide the names and how high the heads are: the style sheet says so, and differently on a phone. */
function useFirst(ref) {
  const [side, set] = useState({ first: 300, head: 112 });
  useEffect(() => {
    const style = getComputedStyle(ref.current);
    const look = () => set({ first: parseInt(style.getPropertyValue('--first'), 10), head: parseInt(style.getPropertyValue('--head'), 10) });
    look();
    addEventListener('resize', look);
    return () => removeEventListener('resize', look);
  }, []);
  return side;
}

function reveal(box, [row, column], side) {
  const top = row * SIDE;
  const left = column * SIDE;
  const high = box.clientHeight - side.head - SIDE;
  const wide = box.clientWidth - side.first - SIDE;
  if (top < box.scrollTop) box.scrollTop = top;
  if (top > box.scrollTop + high) box.scrollTop = top - high;
  if (left < box.scrollLeft) box.scrollLeft = left;
  if (left > box.scrollLeft + wide) box.scrollLeft = left - wide;
}

function said(row, at, column) {
  const part = row.moving?.[column.machine_id];
  const word = stateOf(row, at)[1];
  return part === undefined ? word : `${word}, ${Math.floor(100 * part)} %`;
}

const DRAWN = ['row', 'top', 'width', 'first', 'left', 'right', 'active'];

/** Drawn again only when something of it changed: there may be a thousand cells on a screen. */
class Line extends Component {
  shouldComponentUpdate(next) {
    return DRAWN.some((name) => next[name] !== this.props[name]);
  }

  render({ n, row, top, width, first, left, right, columns, active }) {
    return html`<div class="line" role="row" aria-rowindex=${n + 2} style=${{ top: `${top}px`, width }}>
      <${Name} row=${row} />
      ${row && columns.slice(left, right).map((column, k) => cell(n, left + k, row, column, first, active))}
    </div>`;
  }
}

const Name = ({ row }) => html`<div class="name" role="rowheader" aria-colindex="1" title=${row ? `${row.model}, ${bytes(row.size)}` : ''}>
  ${row ? html`<a tabindex="-1" href=${link('models', row.model)}>${row.model}</a>` : html`<i class="blank"></i>`}
  ${row?.single && html`<span class="warn small" title="On one machine only">1×</span>`}
  ${row?.key && row.key !== row.folder && html`<small>${row.key}</small>`}
</div>`;

function cell(n, at, row, column, first, active) {
  const [mark, , tone] = stateOf(row, at);
  return html`<div key=${at} class=${`cell ${tone}`} role="gridcell" aria-colindex=${at + 2} data-at=${`${n},${at}`} tabindex=${at === active ? 0 : -1}
    style=${{ left: `${first + at * SIDE}px` }} aria-label=${said(row, at, column)}>${mark}</div>`;
}
