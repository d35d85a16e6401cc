// Long lists: only what is seen is drawn, and only what is seen is asked for.
import { Component, html, useCallback, useEffect, useLayoutEffect, useRef, useState } from '../vendor/preact-htm.js';
import { cameBack } from '../address.js';
import { ask, asked, useRefresh, useRetry } from '../api.js';

const SPARE = 4;
const left = new Map(); // address → how far its list was scrolled

/** Where a scroller stands and how large it is, in pixels. `wide`: whether its way to the right matters too; another `order` begins at
 * the top. */
export function useScroll(wide = false, order = '') {
  const ref = useRef(null);
  const shown = useRef(order);
  const [at, set] = useState({ top: 0, left: 0, width: 0, height: 0 });
  useLayoutEffect(() => {
    const box = ref.current;
    let frame = 0;
    const look = () => {
      frame = 0;
      left.set(location.href, box.scrollTop);
      set({ top: box.scrollTop, left: wide ? box.scrollLeft : 0, width: box.clientWidth, height: box.clientHeight });
    };
    const soon = () => (frame = frame || requestAnimationFrame(look));
    const sizes = new ResizeObserver(soon);
    sizes.observe(box);
    box.addEventListener('scroll', soon, { passive: true });
    if (cameBack()) box.scrollTop = left.get(location.href) ?? 0;
    look();
    return () => {
      cancelAnimationFrame(frame);
      sizes.disconnect();
      box.removeEventListener('scroll', soon);
    };
  }, []);
  useLayoutEffect(() => {
    if (shown.current !== order) ref.current.scrollTop = 0;
    shown.current = order;
  }, [order]);
  return [ref, at];
}

/** The first and one after the last of `count` pieces of `size` pixels that are seen, and some spare ones. */
export function seen(start, length, size, count, spare = SPARE) {
  const first = Math.max(0, Math.floor(start / size) - spare);
  return [Math.min(first, count), Math.min(count, Math.ceil((start + length) / size) + spare)];
}

/** Rows of one height under headers that stay. `columns`: [title, cell(row), class, order]; `at(n)`: a row, or nothing yet. A column with an
 * order is a button of its header: `sorting.by(order)` sorts by it. */
export function Rows({ label, count, height = 40, columns, layout, at, need, sorting }) {
  const [ref, where] = useScroll(false, sorting?.value);
  const [first, end] = seen(where.top, where.height, height, count);
  useEffect(() => need?.(first, end), [first, end, count, need]);
  const shown = Array.from({ length: end - first }, (_, n) => first + n);
  return html`<div class="rows ${layout}" ref=${ref} tabindex="0" role="table" aria-label=${label} aria-rowcount=${count + 1}>
    <div role="rowgroup" class="rows-head"><div role="row" aria-rowindex="1">
      ${columns.map((column) => html`<${Header} key=${column[0]} column=${column} sorting=${sorting} />`)}
    </div></div>
    <div role="rowgroup" class="rows-body" style=${{ height: `${count * height}px` }}>
      ${shown.map((n) => html`<${Row} key=${n} n=${n} row=${at(n)} top=${n * height} columns=${columns} />`)}
    </div>
  </div>`;
}

const TURNED = { ascending: '▲', descending: '▼', none: '' };

function Header({ column: [title, , kind, order], sorting }) {
  if (!order || !sorting) return html`<span role="columnheader" class=${kind}>${title}</span>`;
  const turned = sorting.sort === order ? (sorting.descending ? 'descending' : 'ascending') : 'none';
  return html`<span role="columnheader" class=${kind} aria-sort=${turned}><button type="button" class="sort" onClick=${() => sorting.by(order)}>${title}
    <span aria-hidden="true">${TURNED[turned]}</span></button></span>`;
}

/** Drawn again only when its row is another one: what scrolls by costs nothing. */
class Row extends Component {
  shouldComponentUpdate({ n, row }) {
    return n !== this.props.n || row !== this.props.row;
  }

  render({ n, row, top, columns }) {
    return html`<div role="row" aria-rowindex=${n + 2} style=${{ top: `${top}px` }}>
      ${columns.map(([title, cell, kind]) => html`<span key=${title} role="cell" class=${kind}>${row ? cell(row) : html`<i class="blank"></i>`}</span>`)}
    </div>`;
  }
}

/** Cards of one size, as many in a line as fit. `mark(row)`: what else a card shows of its row; it is drawn again when that is another.
 * Another `order` begins at the top. */
export function Cards({ label, count, width, height, card, at, need, mark, order }) {
  const [ref, where] = useScroll(false, order);
  const across = Math.max(1, Math.floor(where.width / width));
  const lines = Math.ceil(count / across);
  const [first, end] = seen(where.top, where.height, height, lines, 1);
  useEffect(() => need?.(first * across, end * across), [first, end, across, count, need]);
  const shown = Array.from({ length: Math.max(0, Math.min(count, end * across) - first * across) }, (_, n) => first * across + n);
  return html`<div class="cards" ref=${ref} tabindex="0" role="region" aria-label=${label}>
    <ul style=${{ height: `${lines * height}px` }}>
      ${shown.map((n) => html`<${Piece} key=${n} n=${n} row=${at(n)} mark=${at(n) && mark?.(at(n))} count=${count} across=${across} height=${height} card=${card} />`)}
    </ul>
  </div>`;
}

class Piece extends Component {
  shouldComponentUpdate(next) {
    return ['n', 'row', 'mark', 'count', 'across'].some((name) => next[name] !== this.props[name]);
  }

  render({ n, row, count, across, height, card }) {
    const style = { top: `${Math.floor(n / across) * height}px`, left: `${(100 * (n % across)) / across}%`, width: `${100 / across}%`, height: `${height}px` };
    return html`<li aria-setsize=${count} aria-posinset=${n + 1} style=${style}>${row ? card(row) : html`<div class="card"><i class="blank"></i></div>`}</li>`;
  }
}

const PAGE = 500;

/** A long list by cursors: what is seen is asked for, page after page, and asked again when it may have changed. */
export function usePages(path, params, { every = 0, on = [] } = {}) {
  const key = asked(path, { ...params, limit: PAGE });
  const held = useRef(null);
  const [, drawn] = useState(0);
  if (held.current?.key !== key) held.current = { key, pages: [], cursors: [''], total: null, problem: null, wanted: 1, busy: false };
  const load = useCallback(async (mine, from, to) => {
    if (mine.busy) return;
    mine.busy = true;
    try {
      for (let n = from; n < Math.min(to, mine.cursors.length) && held.current === mine; n += 1) {
        const answer = await ask(mine.cursors[n] ? `${mine.key}&cursor=${mine.cursors[n]}` : mine.key);
        mine.pages[n] = answer.items;
        mine.total = answer.total;
        if (answer.next) mine.cursors[n + 1] = answer.next;
        else mine.cursors.length = mine.pages.length = n + 1;
        mine.problem = null;
        drawn((x) => x + 1);
      }
    } catch (problem) {
      mine.problem = problem;
      drawn((x) => x + 1);
    }
    mine.busy = false;
    if (held.current === mine && !mine.problem && mine.pages.length < Math.min(mine.wanted, mine.cursors.length)) load(mine, mine.pages.length, mine.wanted);
  }, []);
  const need = useCallback((_, end) => {
    const mine = held.current;
    mine.wanted = Math.max(1, Math.ceil(end / PAGE));
    mine.first = Math.max(0, mine.wanted - 2);
    load(mine, mine.pages.length, mine.wanted);
  }, [key]);
  const again = useCallback(() => load(held.current, held.current.first ?? 0, Math.max(1, held.current.wanted)), [key]);
  useEffect(() => void load(held.current, 0, 1), [key]);
  useRefresh(again, every, on);
  useRetry(every ? null : held.current.problem, again);
  const { pages, total, problem } = held.current;
  return { total, problem, need, again, at: (n) => pages[Math.floor(n / PAGE)]?.[n % PAGE] };
}

/** Rows that are as they were stay the same objects, and are not drawn again. */
const kept = (old, rows) => (old ? rows.map((row, n) => (JSON.stringify(row) === JSON.stringify(old[n]) ? old[n] : row)) : rows);

/** A long list by offsets: any part of it can be had at once. `size`: rows of one question; `order`: parameters that change which comes
 * first, but not how many there are. */
export function useSlices(path, params, { every = 0, on = [], size = 200, order = {} } = {}) {
  const set = asked(path, params);
  const key = asked(path, { ...params, ...order, limit: size });
  const held = useRef(null);
  const [, drawn] = useState(0);
  if (held.current?.key !== key) held.current = { key, set, slices: new Map(), coming: new Map(), answer: held.current?.set === set ? held.current.answer : null, problem: null, first: 0, end: 1 };
  const load = useCallback((mine, n) => {
    if (mine.coming.has(n)) return;
    mine.coming.set(n, true);
    ask(`${mine.key}${mine.key.includes('?') ? '&' : '?'}offset=${n * size}`)
      .then((answer) => {
        mine.slices.set(n, kept(mine.slices.get(n), answer.rows ?? answer.items));
        Object.assign(mine, { answer, problem: null });
      }, (problem) => (mine.problem = problem))
      .finally(() => {
        mine.coming.delete(n);
        if (held.current === mine) drawn((x) => x + 1);
      });
  }, [size]);
  const wanted = (mine, what) => {
    const most = Math.max(1, Math.ceil((mine.answer?.total ?? 1) / size));
    for (let n = Math.floor(mine.first / size); n < Math.min(most, Math.ceil(mine.end / size)); n += 1) what(n);
  };
  const need = useCallback((first, end) => {
    const down = first >= held.current.first; // what comes next is asked for before it is seen
    const mine = Object.assign(held.current, { first: down ? first : Math.max(0, first - size / 2), end: Math.max(end, 1) + (down ? size / 2 : 0) });
    wanted(mine, (n) => mine.slices.has(n) || load(mine, n));
    mine.first = first;
  }, [key]);
  const again = useCallback(() => {
    const mine = held.current;
    wanted(mine, (n) => load(mine, n));
    for (const n of mine.slices.keys()) if (n < Math.floor(mine.first / size) || n >= Math.ceil(mine.end / size)) mine.slices.delete(n);
  }, [key]);
  useEffect(() => load(held.current, 0), [key]);
  useRefresh(again, every, on);
  useRetry(every ? null : held.current.problem, again);
  const { slices, answer, problem } = held.current;
  return { answer, total: answer?.total ?? null, problem, need, again, at: (n) => slices.get(Math.floor(n / size))?.[n % size] };
}
