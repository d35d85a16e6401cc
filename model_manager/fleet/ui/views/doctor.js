// What needs somebody, worst first.
import { html } from '../vendor/preact-htm.js';
import { link } from '../address.js';
import { useAnswer } from '../api.js';
import { ago, bytes, clock, counted, number } from '../words.js';
import { Badge, Table, Trouble } from '../parts/pieces.js';
import { told } from '../parts/telling.js';

const machineLink = (id) => html`<a href=${link('machines', id)}>${id}</a>`;
const modelLink = (name) => html`<a href=${link('models', name)}>${name}</a>`;
const MACHINES = ['machine.', 'readiness.', 'disk.', 'root.'];
const MODELS = ['model.', 'inventory.'];

/** One thing to look for: where it is asked, what counts, and its columns. */
const CHECKS = [
  { title: 'Silent machines', path: '/machines?limit=1000', on: MACHINES, every: 5000, good: 'Every machine is heard.', keep: (row) => row.state !== 'live',
    columns: [['Machine', (row) => machineLink(row.machine_id)], ['State', (row) => row.state], ['Heard', (row) => ago(row.silent)]] },
  { title: 'Disks at their floor', path: '/machines?limit=1000', on: MACHINES, every: 5000, good: 'Every disk has room.', keep: (row) => row.free !== null && row.floor !== null && row.free <= row.floor,
    columns: [['Machine', (row) => machineLink(row.machine_id)], ['Free', (row) => bytes(row.free), 'num'], ['Downloads leave', (row) => bytes(row.floor), 'num']] },
  { title: 'Inventories read anew', path: '/machines?limit=1000', on: MACHINES, every: 5000, good: 'Every inventory is exact.', keep: (row) => row.unsure,
    columns: [['Machine', (row) => machineLink(row.machine_id)], ['Why', (row) => row.unsure]] },
  { title: 'Same name, other bytes', path: '/models?conflicting=true&limit=200', on: MODELS, good: 'No name stands for two contents.',
    columns: [['Model', (row) => modelLink(row.model)], ['Contents', (row) => number(row.hashes.length), 'num'], ['Machines', (row) => number(row.machines), 'num']] },
  { title: 'Unverified models', path: '/models?verified=false&limit=200', on: MODELS, good: 'Every copy is verified.',
    columns: [['Model', (row) => modelLink(row.model)], ['Verified', (row) => `${row.verified} of ${row.copies}`, 'num'], ['Size', (row) => bytes(row.size), 'num']] },
  { title: 'Workflows that machines cannot serve', path: '/missing?limit=200', on: [...MACHINES, ...MODELS, 'assignment.'], every: 10000, good: 'Every machine serves what it was told to.',
    columns: [['Machine', (row) => machineLink(row.machine_id)], ['Workflow', (row) => html`<a href=${link('workflows', row.workflow)}>${row.workflow}</a>`], ['Why', (row) => row.reasons.join('; ') || row.unknown]] },
  { title: 'Downloads that failed', path: '/events?kind=model.download.failed&limit=100', on: ['model.download.failed'], good: 'None was told of lately.', event: true },
  { title: 'Roots that are away', path: '/events?kind=root.lost&limit=50', on: ['root.'], good: 'None was told of lately.', event: true },
  { title: 'Orders that were refused', path: '/events?kind=order.answered&limit=200', on: ['order.'], good: 'None was told of lately.', event: true, keep: (row) => row.data.state === 'refused' || row.data.state === 'dropped' },
];

const TOLD = [['When', (row) => clock(row.at), 'tight'], ['Machine', (row) => machineLink(row.machine_id)], ['What', told]];

export default function Doctor() {
  return html`<div class="title"><h1 tabindex="-1">Doctor</h1></div>${CHECKS.map((check) => html`<${Check} key=${check.title} check=${check} />`)}`;
}

function Check({ check }) {
  const { data, problem } = useAnswer(check.path, { every: check.every, on: check.on });
  const found = (data?.items ?? []).filter(check.keep ?? (() => true));
  const rows = check.event ? found.reverse() : found;
  const more = data?.total && !check.keep ? data.total : rows.length;
  return html`<section>
    <h2>${check.title} ${data && html`<${Badge} tone=${rows.length ? 'warn' : 'good'}>${rows.length ? number(more) : 'none'}<//>`}</h2>
    <${Trouble} problem=${problem} />
    ${data && !rows.length && html`<p class="muted">${check.good}</p>`}
    ${rows.length > 0 && html`<${Table} label=${check.title} rows=${rows.slice(0, 100)} columns=${check.event ? TOLD : check.columns} />`}
    ${rows.length > 100 && html`<p class="muted">and ${counted(more - 100, 'more', 'more')}</p>`}
  </section>`;
}
