// What needs somebody, worst first.
import { html } from '../vendor/preact-htm.js';
import { link } from '../address.js';
import { useAnswer } from '../api.js';
import { ago, bytes, counted, number, since } from '../words.js';
import { useCheckup } from '../parts/checkup.js';
import { Badge, Loading, Named, Table, Time, Trouble } from '../parts/pieces.js';
import { told } from '../parts/telling.js';

const machineLink = (id) => html`<a href=${link('machines', id)}>${id}</a>`;
const modelLink = (name) => html`<a href=${link('models', name)}><${Named} text=${name} /></a>`;
const MACHINES = ['machine.', 'readiness.', 'disk.', 'root.'];
const MODELS = ['model.', 'inventory.'];

const FAILED = { path: '/events?kind=model.download.failed&limit=500', on: ['model.download.failed'], good: 'None was told of lately.', event: true };
const SOLVED = '/events?kind=model.download.verified&limit=500';
/** Classes of errors by what is to be done. */
const TOKENS = new Set(['NotAuthorized', 'NotPublic']);
const GONE = new Set(['NotFound', 'BadUrl']);
const WRONG = new Set(['Corrupt', 'PieceCorrupt', 'RangeBeyond', 'BadContent']);

const SHOWN = 30;

/** One thing to look for: where it is asked, what counts, and its columns. */
const CHECKS = [
  { title: 'Silent machines', path: '/machines?limit=1000', on: MACHINES, every: 5000, good: 'Every machine is heard.', keep: (row) => row.state !== 'live',
    columns: [['Machine', (row) => machineLink(row.machine_id)], ['State', (row) => row.state], ['Heard', (row) => (row.last_seen === null ? 'not heard' : ago(since(row.last_seen)))]] },
  { title: 'Disks at their floor', path: '/machines?limit=1000', on: MACHINES, every: 5000, good: 'Every disk has room.', keep: (row) => row.free !== null && row.floor !== null && row.free <= row.floor,
    columns: [['Machine', (row) => machineLink(row.machine_id)], ['Free', (row) => bytes(row.free), 'num'], ['Downloads leave', (row) => bytes(row.floor), 'num']] },
  { title: 'Files in quarantine', path: '/machines?limit=1000', on: MACHINES, every: 5000, good: 'No machine set a file aside.', keep: (row) => row.quarantined > 0,
    note: 'Other bytes stood under a name than the catalog promises. They were moved to .model_manager_quarantine in their models directory: look at them, then remove them there.',
    columns: [['Machine', (row) => machineLink(row.machine_id)], ['Files', (row) => number(row.quarantined), 'num']] },
  { title: 'Inventories read anew', path: '/machines?limit=1000', on: MACHINES, every: 5000, good: 'Every inventory is exact.', keep: (row) => row.unsure,
    columns: [['Machine', (row) => machineLink(row.machine_id)], ['Why', (row) => row.unsure]] },
  { title: 'Same name, other bytes', path: '/models?conflicting=true&limit=200', on: MODELS, more: '/ui/models?only=conflicting', good: 'No name stands for two contents.',
    columns: [['Model', (row) => modelLink(row.model)], ['Contents', (row) => number(row.hashes.length), 'num'], ['Machines', (row) => number(row.machines), 'num']] },
  { title: 'Unverified models', path: '/models?verified=false&limit=200', on: MODELS, more: '/ui/models?only=unverified', good: 'Every copy is verified.',
    columns: [['Model', (row) => modelLink(row.model)], ['Verified', (row) => `${row.verified} of ${row.copies}`, 'num'], ['Size', (row) => bytes(row.size), 'num']] },
  { title: 'Workflows that machines cannot serve', path: '/missing?limit=200', on: [...MACHINES, ...MODELS, 'assignment.'], every: 10000, good: 'Every machine serves what it was told to.',
    columns: [['Machine', (row) => machineLink(row.machine_id)], ['Workflow', (row) => html`<a href=${link('workflows', row.workflow)}>${row.workflow}</a>`], ['Why', (row) => row.reasons.join('; ') || row.unknown]] },
  { title: 'Tokens that are missing, expired or refused', ...FAILED, keep: ({ data }) => TOKENS.has(data.error),
    note: 'Set the token that is named on that machine, and have it reload. A gated model also needs its licence to be accepted.' },
  { title: 'Dead links that machines met', ...FAILED, keep: ({ data }) => GONE.has(data.error), note: 'Correct the address in the catalog. Its doctor, below, visits all of them.' },
  { title: 'Downloads of other bytes', ...FAILED, keep: ({ data }) => WRONG.has(data.error), note: 'What came is not what the catalog promises. It was discarded.' },
  { title: 'Other downloads that failed', ...FAILED, keep: ({ data }) => ![TOKENS, GONE, WRONG].some((each) => each.has(data.error)) },
  { title: 'Directories that are away', path: '/events?kind=root.lost&limit=50', on: ['root.'], good: 'None was told of lately.', event: true },
  { title: 'Orders that were refused', path: '/events?kind=order.answered&limit=200', on: ['order.'], good: 'None was told of lately.', event: true, keep: (row) => row.data.state === 'refused' || row.data.state === 'dropped' },
];

const TOLD = [['When', (row) => html`<${Time} at=${row.at} />`, 'tight'], ['Machine', (row) => machineLink(row.machine_id)], ['What', told, 'prose']];

/** Each path is asked once, for all that look at it. */
const ASKED = [...new Set([...CHECKS.map((each) => each.path), SOLVED])].map((path) => {
  const those = CHECKS.filter((each) => each.path === path);
  return { path, every: those[0]?.every ?? 0, on: [...new Set(['model.download', ...those.flatMap((each) => each.on)])] };
});

const placed = (event) => `${event.machine_id} ${event.data.folder}/${event.data.name}`;

/** Whether an event comes after another one, by their places in the stream. */
function later(one = '0-0', other) {
  const [[a, b], [c, d]] = [one, other].map((id) => id.split('-').map(Number));
  return a > c || (a === c && b > d);
}

/** The last word of each, the newest first; what came after all is no trouble any more. */
function lately(events, solved) {
  const over = new Map((solved ?? []).map((event) => [placed(event), event.id]));
  const last = new Map(events.map((event) => [event.kind === 'model.download.failed' ? placed(event) : event.id, event]));
  return [...last.values()].filter((event) => event.kind !== 'model.download.failed' || !later(over.get(placed(event)), event.id)).reverse();
}

export default function Doctor() {
  const answers = new Map(ASKED.map(({ path, ...how }) => [path, useAnswer(path, how)]));
  const checks = CHECKS.map((check) => {
    const { data, problem } = answers.get(check.path);
    const found = (data?.items ?? []).filter(check.keep ?? (() => true));
    const rows = check.event ? lately(found, answers.get(SOLVED).data?.items) : found;
    return { ...check, rows, problem, known: Boolean(data), count: data?.total && !check.keep ? data.total : rows.length };
  });
  const { checks: others, panel } = useCheckup();
  checks.push(...others);
  const ill = checks.filter((each) => each.rows.length || each.problem);
  const well = checks.filter((each) => each.known && !each.rows.length && !each.problem);
  return html`<div class="title"><h1 tabindex="-1">Doctor</h1>
      <p class="muted" role="status">${checks.some((each) => each.known) ? `${counted(ill.length, 'finding')}, ${number(well.length)} of ${number(ill.length + well.length)} checks are well` : 'Looking…'}</p></div>
    ${!checks.some((each) => each.known || each.problem) && html`<${Loading} />`}
    ${ill.map((check) => html`<${Finding} key=${check.title} check=${check} />`)}
    ${panel}
    ${well.length > 0 && html`<section><h2>All is well <${Badge} tone="good">${number(well.length)}<//></h2>
      <dl class="facts panel">${well.map((check) => html`<dt key=${check.title}>${check.title}</dt><dd>${check.good}</dd>`)}</dl></section>`}`;
}

const Finding = ({ check: { title, note, problem, rows, count, columns, event, more } }) => html`<section>
  <h2>${title} <${Badge} tone="warn">${number(count)}<//></h2>
  ${note && html`<p class="muted">${note}</p>`}
  <${Trouble} problem=${problem} />
  ${rows.length > 0 && html`<${Table} label=${title} rows=${rows.slice(0, SHOWN)} columns=${event ? TOLD : columns} />`}
  ${count > SHOWN && html`<p class="muted">and ${number(count - SHOWN)} more. ${more && html`<a href=${more}>See all of them</a>`}</p>`}
</section>`;
