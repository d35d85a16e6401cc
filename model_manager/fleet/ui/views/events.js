// What machines told, the newest first, and live.
import { html, useEffect, useRef, useState } from '../vendor/preact-htm.js';
import { link } from '../address.js';
import { asked, useAnswer } from '../api.js';
import { heard } from '../live.js';
import { counted } from '../words.js';
import { Choice, Search, useTyped } from '../parts/filters.js';
import { AsJson, Badge, Empty, Loading, Time, Trouble } from '../parts/pieces.js';
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
  const [typed, type, machine] = useTyped('machine_id', 300);
  const kind = address.query.get('kind') || '';
  const machines = useAnswer('/machines?limit=1000', { every: 60_000 }).data?.items.map((each) => each.machine_id);
  const path = asked('/events', { limit: 200, machine_id: machine, kind });
  const { data, problem } = useAnswer(path);
  const fresh = useFresh(machine, kind);
  const ids = new Set(fresh.map((event) => event.id));
  const rows = [...fresh, ...[...(data?.items ?? [])].reverse().filter((event) => !ids.has(event.id))].slice(0, KEPT);
  return html`
    <div class="title"><h1 tabindex="-1">Events</h1><p class="muted">${counted(rows.length, 'event')}, the newest first</p></div>
    <div class="filters">
      <${Search} label="Machine, its whole id" text=${typed} type=${(text) => type(text.trim())} known=${machines} />
      <${Choice} label="Kind" name="kind" value=${kind} options=${[['', 'all'], ...Object.entries(KINDS)]} />
      <span class="check"><${AsJson} path=${path} /></span>
    </div>
    <${Trouble} problem=${problem} />
    ${!data && !problem && html`<${Loading} />`}
    ${data && !rows.length && html`<${Empty}>${machine || kind ? 'Nothing was told that fits.' : 'Nothing was told yet. What machines tell appears here by itself.'}<//>`}
    ${rows.length > 0 && html`<ol class="timeline" aria-label="Events">${rows.map((event) => html`<${Line} key=${event.id} event=${event} />`)}</ol>`}`;
}

const Line = ({ event }) => html`<li>
  <span class="muted"><${Time} at=${event.at} /></span>
  <a href=${link('machines', event.machine_id)}>${event.machine_id}</a>
  <span><${Badge} tone=${toneOf(event)} title=${event.kind}>${KINDS[event.kind] ?? event.kind}<//></span>
  <span>${told(event)}</span>
</li>`;
