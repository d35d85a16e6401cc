// The fleet: figures of the whole, and a card for each machine.
import { html, useMemo, useState } from '../vendor/preact-htm.js';
import { link } from '../address.js';
import { asked, useAnswer } from '../api.js';
import { ago, bytes, counted, number, since, span, speed } from '../words.js';
import { AsJson, Disk, Empty, Figure, Loading, MachineState, Trouble } from '../parts/pieces.js';
import { Actions } from '../parts/acting.js';
import { Choice, Search, useTyped } from '../parts/filters.js';
import { Cards } from '../parts/virtual.js';

const EVENTS = ['machine.', 'readiness.', 'model.download', 'inventory.', 'assignment.', 'disk.'];
const TROUBLE = { away: 0, stale: 1, live: 2 };
const STATES = [['', 'all'], ['live', 'live'], ['unready', 'not ready'], ['stale', 'stale'], ['away', 'away']];
const FEW = 1000;

const named = (a, b) => a.machine_id.localeCompare(b.machine_id, 'en', { numeric: true });
const last = (value) => value ?? Infinity;
const ORDERS = {
  '': ['who needs somebody', (a, b) => TROUBLE[a.state] - TROUBLE[b.state] || a.ready - b.ready || named(a, b)],
  name: ['name', named],
  free: ['least room', (a, b) => last(a.free) - last(b.free) || named(a, b)],
  downloads: ['most downloads', (a, b) => b.downloads - a.downloads || named(a, b)],
};

export default function Fleet({ address }) {
  const { query } = address;
  const [q, type, paused] = useTyped('q');
  const [chosen, choose] = useState(() => new Set());
  const [state, sort] = ['state', 'sort'].map((name) => query.get(name) || '');
  const fleet = useAnswer('/fleet', { every: 3000, on: EVENTS });
  const params = { q: paused, state: state === 'unready' ? '' : state, ready: state === 'unready' ? false : '', limit: FEW };
  const machines = useAnswer(asked('/machines', params), { every: 3000, on: EVENTS });
  const rows = useMemo(() => [...(machines.data?.items ?? [])].sort((ORDERS[sort] ?? ORDERS[''])[1]), [machines.data, sort]);
  const picked = rows.filter((row) => chosen.has(row.machine_id)).map((row) => row.machine_id);
  const turn = (id) => choose((old) => (old.has(id) ? new Set([...old].filter((each) => each !== id)) : new Set([...old, id])));
  const all = picked.length === rows.length && rows.length > 0;
  const none = machines.data && !rows.length;
  return html`
    <div class="title"><h1 tabindex="-1">Fleet</h1><${Actions} machines=${picked} /></div>
    <${Trouble} problem=${fleet.problem ?? machines.problem} />
    <${Figures} fleet=${fleet.data} />
    <div class="filters">
      <${Search} label="Machine" text=${q} type=${type} />
      <${Choice} label="State" name="state" value=${state} options=${STATES} />
      <${Choice} label="First" name="sort" value=${sort} options=${Object.entries(ORDERS).map(([value, [word]]) => [value, word])} />
      <label class="check"><input type="checkbox" checked=${all} disabled=${!rows.length}
        onChange=${() => choose(all ? new Set() : new Set(rows.map((row) => row.machine_id)))} /> Choose all ${number(rows.length)} shown</label>
      <span class="check"><${AsJson} path=${asked('/machines', params)} /></span>
      <span class="muted check" role="status">${picked.length ? `${counted(picked.length, 'machine')} chosen` : ''}</span>
    </div>
    ${!machines.data && !machines.problem && html`<${Loading} />`}
    ${none && (q || state ? html`<${Empty}>No machine fits the filter.<//>` : html`<${First} />`)}
    ${rows.length > 0 && html`<${Cards} label="Machines" count=${rows.length} width=${310} height=${236} at=${(n) => rows[n]} mark=${(row) => chosen.has(row.machine_id)}
      card=${(row) => html`<${Card} row=${row} chosen=${chosen.has(row.machine_id)} turn=${turn} />`} />`}`;
}

const First = () => html`<section class="first panel"><h2>No machine is here yet</h2>
  <p>Start an agent on each machine that has models, with the REDIS_URL of this aggregator:</p>
  <pre><code>REDIS_URL=… model-manager run</code></pre>
  <p class="muted">It finds what is there, and appears on this page by itself.</p></section>`;

function Figures({ fleet }) {
  if (!fleet) return html`<div class="figures" aria-busy="true"></div>`;
  const { machines, models, workflows, downloads } = fleet;
  return html`<dl class="figures">
    <${Figure} label="Machines ready" value=${`${number(machines.ready)} of ${number(machines.total)}`} href=${machines.ready < machines.total ? '/ui/?state=unready' : null}
      note=${[machines.stale && `${machines.stale} stale`, machines.away && `${machines.away} away`].filter(Boolean).join(', ') || (machines.total ? 'all of them are heard' : 'none is here yet')} />
    <${Figure} label="Workflows ready" value=${`${number(workflows.ready)} of ${number(workflows.assigned)}`} note="on one machine at least" href="/ui/workflows" />
    <${Figure} label="Models" value=${number(models.distinct)} note=${`${counted(models.copies, 'copy', 'copies')}, ${bytes(models.bytes)}`} href="/ui/models" />
    <${Figure} label="On one machine only" value=${number(models.single)} note="lost when it is" href="/ui/models?only=single" />
    <${Figure} label="Downloads" value=${number(downloads.running)} note=${downloads.running ? speed(downloads.speed) : 'none is running'} href="/ui/downloads" />
  </dl>
  ${!fleet.exact && html`<p class="notice">Not everything was read yet: the numbers are too small.</p>`}`;
}

function why(row) {
  if (row.unsure) return row.unsure;
  if (row.reasons.length) return row.reasons.join('; ');
  if (row.state === 'away') return 'Its lease ended, or it said goodbye.';
  if (row.state === 'stale') return 'Its beats are overdue.';
  if (row.ready) return 'The gate is open.';
  const lacking = row.workflows - row.workflows_ready;
  return lacking > 0 ? `${counted(lacking, 'workflow')} not ready: its page says why.` : 'It gives no reason yet.';
}

const of = (row, part, whole) => (whole || row.state === 'live' ? `${number(part)} of ${number(whole)}` : '–');

function Card({ row, chosen, turn }) {
  const name = row.machine_id;
  return html`<article class="card" aria-label=${name}>
    <div class="top">
      <input type="checkbox" checked=${chosen} onChange=${() => turn(name)} aria-label=${`Choose ${name}`} />
      <a href=${link('machines', name)} title=${name}>${name}</a>
      <${MachineState} row=${row} />
    </div>
    <p class="why" title=${why(row)}>${why(row)}</p>
    <div class="two"><span>Required models</span><span>${of(row, row.present, row.required)}</span></div>
    <div class="two"><span>Workflows ready</span><span>${of(row, row.workflows_ready, row.workflows)}</span></div>
    <div class="two"><span>Downloads</span><span>${row.downloads ? `${row.downloads} at ${speed(row.speed)}, ${span(row.eta)} left` : 'none'}</span></div>
    <div class="two"><span>Disk</span><span>${row.total === null ? 'not told' : `${bytes(row.free)} free of ${bytes(row.total)}`}</span></div>
    ${row.total !== null && html`<${Disk} ...${row} say=${`${bytes(row.free)} free of ${bytes(row.total)}; downloads leave ${bytes(row.floor)}`} />`}
    <div class="foot"><span>${row.models || row.state === 'live' ? `${counted(row.models, 'model')}, ${bytes(row.bytes)}` : ''}</span><span>${row.last_seen === null ? 'not heard' : `heard ${ago(since(row.last_seen))}`}</span></div>
  </article>`;
}
