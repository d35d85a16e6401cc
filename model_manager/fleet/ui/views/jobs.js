// Jobs: who waits, for what, and why.
import { html, useState } from '../vendor/preact-htm.js';
import { link, put } from '../address.js';
import { asked, useAnswer } from '../api.js';
import { counted, number } from '../words.js';
import { FetchDialog } from '../parts/fetching.js';
import { AsJson, Badge, Empty, Loading, Named, Table, Time, Trouble } from '../parts/pieces.js';
import { Marks, Submit } from '../parts/asking.js';

/** Each list, its name, and what is said when it is empty. */
const STATES = [
  ['next', 'Next up', 'No job is in the queue.'],
  ['pending', 'Waiting', 'No job is waiting.'],
  ['running', 'Running', 'No job is running.'],
  ['delayed', 'Retrying', 'No job waits for another try.'],
  ['dead', 'Given up', 'No job was given up.'],
  ['done', 'Done', 'No job is done yet.'],
];
export const TONES = { pending: 'idle', running: 'busy', delayed: 'warn', dead: 'bad', done: 'good', cancelled: 'idle' };
const CHANGES = ['model.', 'machine.'];

export default function Jobs({ address }) {
  const [state, cursor, model] = ['state', 'cursor', 'model'].map((name) => address.query.get(name) || '');
  const shown = state || 'next';
  const [asking, ask] = useState(false);
  const { data, problem, again } = useAnswer(asked('/jobs', { state: shown, model, limit: 100, cursor }), { every: 2000, on: CHANGES });
  return html`
    <div class="title"><h1 tabindex="-1">Jobs</h1><button onClick=${() => ask(true)}>Submit a job…</button></div>
    <nav class="tabs" aria-label="Lists of jobs">${STATES.map(([each, word]) => html`<${Tab} key=${each} state=${each} word=${word} model=${model} at=${each === shown} />`)}</nav>
    ${model && html`<p class="row">Only those that ask for <a href=${link('models', model)}>${model}</a> <button class="quiet" onClick=${() => put({ model: '', cursor: '' })}>All jobs</button></p>`}
    <${Trouble} problem=${problem} />
    ${!data && !problem && html`<${Loading} />`}
    ${data && !data.items.length && html`<${Empty}>${STATES.find(([each]) => each === shown)?.[2] ?? 'No job is here.'} ${!model && shown === 'next' ? 'Submit one, or have your programs do it: workers take them as soon as a machine has what they ask for.' : ''}<//>`}
    ${data?.items.length > 0 && html`<${Lacking} rows=${data.items} /><${List} rows=${data.items} />
      <p class="row further"><span class="muted small" role="status">${counted(data.items.length, 'job')} of ${number(Math.max(data.total, data.items.length))}</span>
        ${cursor && html`<button class="quiet" onClick=${() => put({ cursor: '' })}>From the beginning</button>`}
        ${data.next && html`<button class="quiet" onClick=${() => put({ cursor: data.next })}>Further jobs</button>`}
        <${AsJson} path=${asked('/jobs', { state: shown, model, limit: 100, cursor })} /></p>`}
    ${asking && html`<${Submit} onClose=${() => ask(false)} onDone=${() => (ask(false), again())} />`}`;
}

/** A list, and how many are in it; of those that come next the queue itself has the number. */
function Tab({ state, word, model, at }) {
  const { data } = useAnswer(state === 'next' ? null : asked('/jobs', { state, model, limit: 1 }), { every: 5000 });
  const query = new URLSearchParams([['state', state], ['model', model]].filter(([, value]) => value && value !== 'next'));
  return html`<a href=${`/ui/jobs${query.size ? `?${query}` : ''}`} aria-current=${at ? 'page' : null}>${word}${data ? html` <small>${number(data.total)}</small>` : ''}</a>`;
}

/** Models that no machine has and jobs of this list wait for, those that most wait for first; one press asks where they could come from. */
function Lacking({ rows }) {
  const [wanted, want] = useState('');
  const machines = useAnswer(wanted && '/machines?limit=1000').data?.items.filter((each) => each.state === 'live').map((each) => each.machine_id) ?? [];
  const counts = new Map();
  for (const row of rows) for (const each of row.models) if (!each.available) counts.set(each.model, (counts.get(each.model) ?? 0) + 1);
  const first = [...counts].sort(([, a], [, b]) => b - a).slice(0, 5);
  if (!first.length || rows[0].state !== 'pending') return null;
  return html`<section class="panel lacking" aria-labelledby="lacking"><h2 id="lacking">No machine has what these wait for</h2>
    <ul class="plain">${first.map(([model, jobs]) => html`<li key=${model} class="row"><span><${Named} text=${model} /> <span class="muted small">${counted(jobs, 'job')}</span></span>
      ${model.includes('/') && html`<button class="quiet" aria-label=${`Fetch ${model}`} onClick=${() => want(model)}>Fetch…</button>`}</li>`)}</ul>
    ${wanted && machines.length > 0 && html`<${FetchDialog} model=${wanted} machines=${machines} onClose=${() => want('')} />`}</section>`;
}

/** What stands in the way, or who is at it. */
function why(row) {
  if (row.state === 'running') return html`on <a href=${link('machines', row.machine_id)}>${row.machine_id}</a>`;
  if (row.state === 'pending' && !row.waiting) return 'a worker may take it at any moment';
  return row.waiting || row.why;
}

const List = ({ rows }) => html`<${Table} label="Jobs" rows=${rows} id=${(row) => row.id} columns=${[
  ['Job', (row) => html`<a href=${link('jobs', row.id)}>${row.id}</a>`],
  ['State', (row) => html`<${Badge} tone=${TONES[row.state] ?? 'idle'}>${row.state}<//>`, 'tight'],
  ['Can take it', (row) => (row.eligible ? counted(row.eligible, 'machine') : 'nobody'), 'num', (row) => row.eligible !== null],
  ['Models', (row) => html`<${Marks} models=${row.models} />`, '', (row) => row.models.length],
  ['Why', why, 'prose', (row) => row.waiting || row.why || row.state === 'running' || row.state === 'pending'],
  ['Again at', (row) => html`<${Time} at=${row.due} />`, 'tight', (row) => row.due],
  ['Tries', (row) => `${row.attempts} of ${row.max_attempts}`, 'num'],
  ['Submitted', (row) => html`<${Time} at=${row.submitted} />`, 'tight'],
]} />`;
