// Models on their way.
import { html } from '../vendor/preact-htm.js';
import { link } from '../address.js';
import { bytes, moment, percent, span, speed } from '../words.js';
import { Badge, Bar, Named, Table } from './pieces.js';

const TONES = { queued: 'idle', resolving: 'busy', fetching: 'busy', verifying: 'busy', placing: 'busy', waiting: 'warn', failed: 'bad', done: 'good' };

function Progress({ row }) {
  const done = `${bytes(row.bytes)} of ${row.total ? bytes(row.total) : 'unknown size'}`;
  return html`<${Bar} value=${row.bytes} whole=${row.total} tone="busy" label=${done} /><span class="small">${row.total ? `${Math.floor(percent(row.bytes, row.total))} %, ` : ''}${done}</span>`;
}

function why(row) {
  const again = row.retry_at ? `Again at ${moment(row.retry_at)}.` : '';
  return [row.attempt > 1 && `Try ${row.attempt}.`, row.why, again].filter(Boolean).join(' ');
}

export function Transfers({ rows, machines = false }) {
  const columns = [
    ['Model', (row) => html`<a href=${link('models', row.model)}><${Named} text=${row.model} /></a>`, 'name'],
    ['Phase', (row) => html`<${Badge} tone=${TONES[row.phase] ?? 'idle'}>${row.phase || 'unknown'}<//>`, 'tight'],
    ['Progress', (row) => html`<${Progress} row=${row} />`, 'tight'],
    ['Speed', (row) => speed(row.speed), 'num'],
    ['Left', (row) => span(row.eta), 'num'],
    ['Why', why, 'prose', why],
  ];
  if (machines) columns.splice(1, 0, ['Machine', (row) => html`<a href=${link('machines', row.machine_id)}>${row.machine_id}</a>`]);
  return html`<${Table} label="Downloads" rows=${rows} columns=${columns} id=${(row) => `${row.machine_id} ${row.model}`} />`;
}
