// Models by machines: one letter a cell, drawn only where somebody looks.
import { Component, html, useEffect, useLayoutEffect, useRef, useState } from '../vendor/preact-htm.js';
import { link, put } from '../address.js';
import { bytes, counted, number } from '../words.js';
import { Empty, Loading, Trouble } from '../parts/pieces.js';
import { CellDialog, STATES, stateOf } from '../parts/cells.js';
import { Choice, Search, useTyped } from '../parts/filters.js';
import { Marks, SIDE } from '../parts/marks.js';
import { FOLDERS } from '../parts/shelves.js';
import { seen, useScroll, useSlices } from '../parts/virtual.js';

const PIVOTS = [['', 'name'], ['folder', 'folder'], ['base', 'base model'], ['workflow', 'workflow'], ['collection', 'collection']];
const MOST = 1000;

export default function Matrix({ address }) {
  const { query } = address;
  const [q, type, paused] = useTyped('q', 120);
  const [folder, pivot, key, single] = ['folder', 'pivot', 'key', 'single'].map((name) => query.get(name) || '');
  const params = { q: paused, folder, single, pivot, key, mlimit: MOST };
  const found = useSlices('/matrix', params, { every: 3000, on: ['model.', 'inventory.', 'machine.'], size: 40 });
  const filtered = q || folder || key || single;
  return html`
    <div class="title"><h1 tabindex="-1">Models by machines</h1>
      <p class="muted" role="status">${found.answer ? `${counted(found.total, 'row')} × ${counted(found.answer.machines, 'machine')}` : ''}</p></div>
    <div class="filters">
      <${Search} label="Name or folder" text=${q} type=${type} />
      <${Choice} label="Folder" name="folder" value=${folder} options=${[['', 'all'], ...FOLDERS.map((each) => [each, each])]} />
      <${Choice} label="Ordered by" name="pivot" value=${pivot} options=${PIVOTS} besides=${{ key: '' }} />
      ${pivot && html`<${Choice} label="Group" name="key" value=${key} options=${[['', 'all'], ...(found.answer?.groups ?? []).map((each) => [each.key, `${each.key || 'unknown'} (${number(each.rows)})`])]} />`}
      <label class="check"><input type="checkbox" checked=${single === 'true'} onChange=${() => put({ single: single ? '' : 'true' })} /> On one machine only</label>
    </div>
    <${Trouble} problem=${found.problem} />
    ${unknown(found.answer, key).map((why) => html`<p key=${why} class="notice">${why}</p>`)}
    ${found.total === null && !found.problem && html`<${Loading} />`}
    ${found.total === 0 && html`<${Empty}>${filtered ? 'No machine holds such a model.' : html`No machine holds a model yet. Choose machines on <a href="/ui/">Fleet</a> and assign a workflow to them, or put files into a models directory.`}<//>`}
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
  const walking = useRef(false);
  const side = useFirst(ref, columns);
  const [first, end] = seen(where.top, where.height - side.head, SIDE, found.total);
  const [from, to] = seen(where.left, where.width - side.first, SIDE, columns.length, 2);
  const [left, right] = [BLOCK * Math.floor(from / BLOCK), Math.min(columns.length, BLOCK * Math.ceil(to / BLOCK))];
  useEffect(() => found.need(first, end), [first, end, found.total, found.need]);
  useLayoutEffect(() => {
    if (walking.current) ref.current.querySelector('.cell')?.focus({ preventScroll: true });
    walking.current = false;
  }, [at]);
  const walk = (to) => {
    walking.current = true;
    move(to);
  };
  const show = ([n, m]) => found.at(n) && open({ row: found.at(n), column: columns[m], word: said(found.at(n), m, columns[m]) });
  const row = at[0] >= first && at[0] < end ? at[0] : first;
  const column = at[1] >= left && at[1] < right ? at[1] : left;
  const keyed = (event) => {
    const step = MOVES[event.key];
    const opens = event.key === 'Enter' || event.key === ' ';
    if (!(step || opens) || !event.target.classList.contains('cell')) return undefined;
    event.preventDefault();
    if (opens) return show([row, column]);
    const next = [within(row + step[0], found.total), within(column + step[1], columns.length)];
    reveal(ref.current, next, side);
    return walk(next);
  };
  const pointed = (event) => {
    const box = ref.current.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left - side.first, event.clientY - box.top - side.head];
    if (x < 0 || y < 0 || event.target.closest('dialog, .name, .heads')) return null;
    const cell = [Math.floor((y + ref.current.scrollTop) / SIDE), Math.floor((x + ref.current.scrollLeft) / SIDE)];
    return cell[0] < found.total && cell[1] < columns.length ? cell : null;
  };
  const clicked = (event) => {
    const cell = pointed(event);
    if (cell) return walk(cell), show(cell);
  };
  const hinted = (event) => {
    const cell = pointed(event);
    const known = cell && found.at(cell[0]);
    if (known) event.target.title = `${known.model} on ${columns[cell[1]].machine_id}: ${said(known, cell[1], columns[cell[1]])}`;
  };
  const shown = Array.from({ length: end - first }, (_, n) => first + n);
  const width = `${side.first + columns.length * SIDE}px`;
  return html`<div class="matrix" ref=${ref} role="grid" aria-label="Models by machines" aria-rowcount=${found.total + 1} aria-colcount=${columns.length + 1}
      onKeyDown=${keyed} onClick=${clicked} onMouseMove=${hinted}>
    <div class="canvas" role="rowgroup" style=${{ width, height: `${side.head + found.total * SIDE}px`, '--names': `${side.first}px`, '--head': `${side.head}px` }}>
      <${Heads} columns=${columns} left=${left} right=${right} first=${side.first} width=${width} />
      ${shown.map((n) => html`<${Line} key=${n} n=${n} row=${found.at(n)} top=${side.head + n * SIDE} width=${width}
        at=${n === row ? column : -1} left=${n === row ? side.first + column * SIDE : 0} machine=${n === row ? columns[column] : null} />`)}
      <${Marks} top=${side.head + first * SIDE} left=${side.first + left * SIDE} from=${left} to=${right} rows=${shown.map(found.at)} />
    </div>
    ${opened && html`<${CellDialog} ...${opened} onClose=${() => open(null)} />`}
  </div>`;
}

const WIDEST = 560;

/** How wide the names are, at least as the style sheet says and as far as few machines leave room, and how high the heads: as the
 * longest name of a machine, within reason. */
function useFirst(ref, columns) {
  const longest = columns.reduce((most, each) => Math.max(most, each.machine_id.length), 0);
  const head = Math.min(140, Math.max(64, 24 + 7 * longest));
  const [first, set] = useState(300);
  useLayoutEffect(() => {
    const style = getComputedStyle(ref.current);
    const look = () => {
      const least = parseInt(style.getPropertyValue('--first'), 10);
      const room = ref.current.clientWidth - columns.length * SIDE;
      set(Math.max(least, Math.min(room, WIDEST)));
    };
    look();
    addEventListener('resize', look);
    return () => removeEventListener('resize', look);
  }, [columns.length]);
  return { first, head };
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

const changed = (one, other) => Object.keys(other).some((name) => name !== 'children' && one[name] !== other[name]);

/** The names of the machines that are seen. */
class Heads extends Component {
  shouldComponentUpdate(next) {
    return changed(this.props, next);
  }

  render({ columns, left, right, first, width }) {
    return html`<div class="heads" role="row" aria-rowindex="1" style=${{ width }}>
      <div class="corner" role="columnheader" aria-colindex="1">Model</div>
      ${columns.slice(left, right).map((each, n) => html`<div key=${each.machine_id} role="columnheader" aria-colindex=${left + n + 2} style=${{ left: `${first + (left + n) * SIDE}px` }}>
        <a tabindex="-1" href=${link('machines', each.machine_id)} class=${each.state === 'live' ? '' : 'bad'} title=${`${each.machine_id}: ${each.state}`}>${each.machine_id}</a></div>`)}
    </div>`;
  }
}

/** A model's name, and the one cell of it that has the focus; the others are drawn, and read in the row's title. */
class Line extends Component {
  shouldComponentUpdate(next) {
    return changed(this.props, next);
  }

  render({ n, row, top, width, at, left, machine }) {
    return html`<div class="line" role="row" aria-rowindex=${n + 2} style=${{ top: `${top}px`, width }}>
      <div class="name" role="rowheader" aria-colindex="1" title=${row ? summed(row) : ''}>
        ${row ? html`<a tabindex="-1" href=${link('models', row.model)}><span class="muted">${row.model.slice(0, row.model.lastIndexOf('/') + 1)}</span>${row.model.slice(row.model.lastIndexOf('/') + 1)}</a>` : html`<i class="blank"></i>`}
        ${row?.single && html`<span class="warn small" title="On one machine only">1×</span>`}
        ${row?.key && row.key !== row.folder && html`<small>${row.key}</small>`}
      </div>
      ${machine && row && html`<div class="cell" role="gridcell" aria-colindex=${at + 2} tabindex="0" style=${{ left: `${left}px` }}
        aria-label=${`${row.model} on ${machine.machine_id}: ${said(row, at, machine)}`}></div>`}
    </div>`;
  }
}

/** How it stands on all machines, in words. */
function summed(row) {
  const counts = new Map();
  for (const letter of row.cells) counts.set(letter, (counts.get(letter) ?? 0) + 1);
  const words = Object.keys(STATES).filter((letter) => counts.has(letter)).map((letter) => `${STATES[letter][1]} on ${number(counts.get(letter))}`);
  return `${row.model}, ${bytes(row.size)}: ${words.join(', ')}`;
}
