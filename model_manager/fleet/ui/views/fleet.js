// The fleet: figures of the whole, and a card for each machine.
import { html, useEffect, useMemo, useState } from '../vendor/preact-htm.js';
import { link, put } from '../address.js';
import { asked, useAnswer, usePaused } from '../api.js';
import { ago, bytes, counted, number, since, span, speed } from '../words.js';
import { Disk, Empty, Field, Figure, MachineState, Trouble } from '../parts/pieces.js';
import { Actions } from '../parts/acting.js';
import { Cards } from '../parts/virtual.js';

const EVENTS = ['machine.', 'readiness.', 'model.download', 'inventory.', 'assignment.', 'disk.'];
const TROUBLE = { away: 0, stale: 1, live: 2 };
const FEW = 1000;

/** Who needs somebody comes first. */
const troubled = (a, b) => TROUBLE[a.state] - TROUBLE[b.state] || a.ready - b.ready || a.machine_id.localeCompare(b.machine_id);

export default function Fleet({ address }) {
  const { query } = address;
  const [q, type] = useState(query.get('q') || '');
  const [chosen, choose] = useState(() => new Set());
  const paused = usePaused(q);
  useEffect(() => put({ q: paused }), [paused]);
  const state = query.get('state') || '';
  const fleet = useAnswer('/fleet', { every: 3000, on: EVENTS });
  const params = { q: paused, state: state === 'unready' ? '' : state, ready: state === 'unready' ? false : '', limit: FEW };
  const machines = useAnswer(asked('/machines', params), { every: 3000, on: EVENTS });
  const rows = useMemo(() => [...(machines.data?.items ?? [])].sort(troubled), [machines.data]);
  const picked = rows.filter((row) => chosen.has(row.machine_id)).map((row) => row.machine_id);
  const turn = (id) => choose((old) => (old.has(id) ? new Set([...old].filter((each) => each !== id)) : new Set([...old, id])));
  const all = picked.length === rows.length && rows.length > 0;
  return html`
    <div class="title"><h1 tabindex="-1">Fleet</h1><${Actions} machines=${picked} /></div>
    <${Trouble} problem=${fleet.problem ?? machines.problem} />
    <${Figures} fleet=${fleet.data} />
    <div class="filters">
      <${Field} label="Machine"><input type="search" value=${q} onInput=${(event) => type(event.target.value)} /><//>
      <${Field} label="State">
        <select value=${state} onChange=${(event) => put({ state: event.target.value })}>
          ${[['', 'all'], ['live', 'live'], ['unready', 'not ready'], ['stale', 'stale'], ['away', 'away']].map(([value, word]) => html`<option key=${value} value=${value}>${word}</option>`)}
        </select>
      <//>
      <label class="check"><input type="checkbox" checked=${all} disabled=${!rows.length}
        onChange=${() => choose(all ? new Set() : new Set(rows.map((row) => row.machine_id)))} /> Choose all ${number(rows.length)} shown</label>
      <span class="muted">${picked.length ? `${counted(picked.length, 'machine')} chosen` : ''}</span>
    </div>
    ${machines.data && !rows.length ? html`<${Empty}>No machine is here${q || state ? ' that fits the filter' : '. Start an agent with the same REDIS_URL'}.<//>` : null}
    ${rows.length > 0 && html`<${Cards} label="Machines" count=${rows.length} width=${310} height=${236} at=${(n) => rows[n]} mark=${(row) => chosen.has(row.machine_id)}
      card=${(row) => html`<${Card} row=${row} chosen=${chosen.has(row.machine_id)} turn=${turn} />`} />`}`;
}

function Figures({ fleet }) {
  if (!fleet) return html`<div class="figures" aria-busy="true"></div>`;
  const { machines, models, workflows, downloads } = fleet;
  return html`<dl class="figures">
    <${Figure} label="Machines ready" value=${`${number(machines.ready)} of ${number(machines.total)}`}
      note=${[machines.stale && `${machines.stale} stale`, machines.away && `${machines.away} away`].filter(Boolean).join(', ') || 'all of them are heard'} />
    <${Figure} label="Workflows ready" value=${`${number(workflows.ready)} of ${number(workflows.assigned)}`} note="on one machine at least" />
    <${Figure} label="Models" value=${number(models.distinct)} note=${`${counted(models.copies, 'copy', 'copies')}, ${bytes(models.bytes)}`} />
    <${Figure} label="On one machine only" value=${number(models.single)} note="lost when it is" />
    <${Figure} label="Downloads" value=${number(downloads.running)} note=${speed(downloads.speed)} />
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

function Card({ row, chosen, turn }) {
  const name = row.machine_id;
  return html`<article class="card" aria-label=${name}>
    <div class="top">
      <input type="checkbox" checked=${chosen} onChange=${() => turn(name)} aria-label=${`Choose ${name}`} />
      <a href=${link('machines', name)} title=${name}>${name}</a>
      <${MachineState} row=${row} />
    </div>
    <p class="why" title=${why(row)}>${why(row)}</p>
    <div class="two"><span>Required models</span><span>${number(row.present)} of ${number(row.required)}</span></div>
    <div class="two"><span>Workflows ready</span><span>${number(row.workflows_ready)} of ${number(row.workflows)}</span></div>
    <div class="two"><span>Downloads</span><span>${row.downloads ? `${row.downloads} at ${speed(row.speed)}, ${span(row.eta)} left` : 'none'}</span></div>
    <div class="two"><span>Disk</span><span>${row.total === null ? 'not told' : `${bytes(row.free)} free of ${bytes(row.total)}`}</span></div>
    ${row.total !== null && html`<${Disk} ...${row} say=${`${bytes(row.free)} free of ${bytes(row.total)}; downloads leave ${bytes(row.floor)}`} />`}
    <div class="foot"><span>${counted(row.models, 'model')}, ${bytes(row.bytes)}</span><span>heard ${ago(since(row.last_seen))}</span></div>
  </article>`;
}
