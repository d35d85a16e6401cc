// What machines told, the newest first, and live.
import { html, useEffect, useRef, useState } from '../vendor/preact-htm.js';
import { link, put } from '../address.js';
import { asked, useAnswer, usePaused } from '../api.js';
import { heard } from '../live.js';
import { clock, counted } from '../words.js';
import { Badge, Empty, Field, Trouble } from '../parts/pieces.js';
import { KINDS, told, toneOf } from '../parts/telling.js';

const KEPT = 500;

/** What came since the view was opened; it is added a few times a second, however many there are. */
function useFresh(machine, kind) {
  const [fresh, set] = useState([]);
  const waiting = useRef([]);
  useEffect(() => {
    set([]);
    waiting.current = [];
    const quiet = heard((name, event) => {
      if (!event.id || (machine && event.machine_id !== machine) || (kind && name !== kind)) return;
      waiting.current.push(event);
    });
    const timer = setInterval(() => {
      if (!waiting.current.length) return;
      const came = waiting.current.splice(0).reverse();
      set((old) => [...came, ...old].slice(0, KEPT));
    }, 250);
    return () => (quiet(), clearInterval(timer));
  }, [machine, kind]);
  return fresh;
}

export default function Events({ address }) {
  const [typed, type] = useState(address.query.get('machine_id') || '');
  const machine = usePaused(typed, 300);
  const kind = address.query.get('kind') || '';
  useEffect(() => put({ machine_id: machine }), [machine]);
  const { data, problem } = useAnswer(asked('/events', { limit: 200, machine_id: machine, kind }));
  const fresh = useFresh(machine, kind);
  const ids = new Set(fresh.map((event) => event.id));
  const rows = [...fresh, ...[...(data?.items ?? [])].reverse().filter((event) => !ids.has(event.id))].slice(0, KEPT);
  return html`
    <div class="title"><h1 tabindex="-1">Events</h1><p class="muted">${counted(rows.length, 'event')}, the newest first</p></div>
    <div class="filters">
      <${Field} label="Machine, its whole id"><input type="search" value=${typed} onInput=${(event) => type(event.target.value.trim())} /><//>
      <${Field} label="Kind">
        <select value=${kind} onChange=${(event) => put({ kind: event.target.value })}>
          <option value="">all</option>${KINDS.map((each) => html`<option key=${each} value=${each}>${each}</option>`)}
        </select>
      <//>
    </div>
    <${Trouble} problem=${problem} />
    ${data && !rows.length && html`<${Empty}>Nothing was told that fits.<//>`}
    ${rows.length > 0 && html`<ol class="timeline" aria-label="Events">${rows.map((event) => html`<${Line} key=${event.id} event=${event} />`)}</ol>`}`;
}

const Line = ({ event }) => html`<li>
  <time class="muted" datetime=${event.at}>${clock(event.at)}</time>
  <a href=${link('machines', event.machine_id)}>${event.machine_id}</a>
  <span><${Badge} tone=${toneOf(event)}>${event.kind}<//></span>
  <span>${told(event)}</span>
</li>`;
