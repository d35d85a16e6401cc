// What machines told, the newest first: live at its top, older ones on demand, and never more of it drawn than a page can bear.
import { useCallback, useEffect, useRef, useState } from '../vendor/preact-htm.js';
import { put } from '../address.js';
import { ask, asked, useRetry } from '../api.js';
import { heard } from '../live.js';
import { concerns } from './telling.js';

const PAGE = 200;
const MOST = 1000; // rows that are kept; whoever goes on loses those at the other end, and finds them by the address
const SOON = 250;

const keyOf = (filters, before) => asked('', { ...filters, before });

function begun(filters, before) {
  return { key: keyOf(filters, before), rows: null, older: null, problem: null, busy: false, newer: 0 };
}

/** Puts what came on top. Whoever reads further back is only told how much came. */
function take(mine, came, before) {
  if (before) mine.newer += came.length;
  else if (mine.rows) {
    const known = new Set(mine.rows.slice(0, PAGE).map((event) => event.id));
    mine.rows = [...came.filter((event) => !known.has(event.id)), ...mine.rows];
    if (mine.rows.length > MOST) {
      mine.rows.length = MOST;
      mine.older = mine.rows[MOST - 1].id;
    }
  }
}

const fits = (event, kind, filters) =>
  Boolean(event.id) && (!filters.machine_id || event.machine_id === filters.machine_id) && (!filters.kind || kind === filters.kind) && (!filters.model || concerns(event, filters.model));

/** `filters` as /events takes them. `rows` (null: not known yet), `more`: whether there are older ones, `newer`: how many came while one reads what was told `before`
 * an event. `further()` answers how many older ones came, null when that could not be told. */
export function useStory(filters, before) {
  const held = useRef(null);
  const waiting = useRef([]);
  const [, drawn] = useState(0);
  const key = keyOf(filters, before);
  const same = keyOf(filters, '');
  if (held.current?.key !== key) held.current = begun(filters, before);
  const draw = () => drawn((n) => n + 1);
  const page = useCallback((upto) => ask(asked('/events', { limit: PAGE, ...filters, before: upto })), [same]);
  const begin = useCallback(async () => {
    const mine = held.current;
    try {
      const answer = await page(before);
      Object.assign(mine, { rows: answer.items.reverse(), older: answer.older, problem: null });
    } catch (problem) {
      mine.problem = problem;
    }
    draw();
  }, [key]);
  useEffect(() => {
    const mine = held.current;
    waiting.current = [];
    if (!mine.rows) begin();
    const quiet = heard((name, event) => {
      if (name === 'gap') return before || begin();
      return fits(event, name, filters) && waiting.current.push(event);
    });
    const timer = setInterval(() => {
      if (!waiting.current.length || !held.current.rows) return;
      take(held.current, waiting.current.splice(0).reverse(), before);
      draw();
    }, SOON);
    return () => (quiet(), clearInterval(timer));
  }, [key]);
  useRetry(held.current.rows ? null : held.current.problem, begin);
  const further = async () => {
    const mine = held.current;
    if (mine.busy || !mine.older) return null;
    mine.busy = true;
    draw();
    let came = null;
    try {
      const answer = await page(mine.older);
      came = answer.items.reverse();
      Object.assign(mine, { rows: [...mine.rows, ...came], older: answer.older, problem: null });
    } catch (problem) {
      mine.problem = problem;
    }
    mine.busy = false;
    if (held.current !== mine) return null;
    moved(mine, filters);
    draw();
    return came && came.length;
  };
  const { rows, older, problem, busy, newer } = held.current;
  return { rows, more: Boolean(older), problem, busy, newer, further };
}

/** The first rows go when there are too many; the address says where the rest begins, and nothing is asked anew for it. */
function moved(mine, filters) {
  const over = mine.rows.length - MOST;
  if (over <= 0) return;
  const before = mine.rows[over - 1].id;
  mine.rows = mine.rows.slice(over);
  mine.key = keyOf(filters, before);
  put({ before }, { typing: true });
}
