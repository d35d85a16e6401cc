// Jobs: who waits, for what, and why.
import { html, useState } from '../vendor/preact-htm.js';
import { link, put } from '../address.js';
import { asked, useAnswer } from '../api.js';
import { clock, counted } from '../words.js';
import { Badge, Empty, Field, Table, Trouble } from '../parts/pieces.js';
import { Marks, Submit } from '../parts/asking.js';

const STATES = [['next', 'next in the queue'], ['pending', 'pending'], ['running', 'running'], ['delayed', 'tried again later'], ['dead', 'given up'], ['done', 'over']];
export const TONES = { pending: 'idle', running: 'busy', delayed: 'warn', dead: 'bad', done: 'good', cancelled: 'idle' };

export default function Jobs({ address }) {
  const state = address.query.get('state') || 'next';
  const cursor = address.query.get('cursor') || '';
  const [asking, ask] = useState(false);
  const { data, problem, again } = useAnswer(asked('/jobs', { state, limit: 100, cursor }), { every: 2000, on: ['model.', 'machine.'] });
  return html`
    <div class="title"><h1 tabindex="-1">Jobs</h1><button onClick=${() => ask(true)}>Submit a job…</button></div>
    <div class="filters"><${Field} label="Show">
      <select value=${state} onChange=${(event) => put({ state: event.target.value, cursor: '' })}>${STATES.map(([each, word]) => html`<option key=${each} value=${each}>${word}</option>`)}</select>
    <//><span class="muted check" role="status">${data ? counted(data.items.length, 'job') : ''}</span></div>
    <${Trouble} problem=${problem} />
    ${data && !data.items.length && html`<${Empty}>No job is ${state === 'next' ? 'in the queue' : STATES.find(([each]) => each === state)[1]}.<//>`}
    ${data?.items.length > 0 && html`<${Table} label="Jobs" rows=${data.items} id=${(row) => row.id} columns=${[
      ['Job', (row) => html`<a href=${link('jobs', row.id)}>${row.id}</a>`],
      ['State', (row) => html`<${Badge} tone=${TONES[row.state] ?? 'idle'}>${row.state}<//>`, 'tight'],
      ['Can take it', (row) => (row.eligible === null ? '–' : counted(row.eligible, 'machine')), 'num'],
      ['Models', (row) => html`<${Marks} models=${row.models} />`],
      ['Why it waits', (row) => row.waiting || row.why || (row.machine_id ? `on ${row.machine_id}` : ''), 'prose'],
      ['Tries', (row) => `${row.attempts} of ${row.max_attempts}`, 'num'],
      ['Submitted', (row) => clock(row.submitted), 'tight'],
    ]} />`}
    ${data?.next && html`<p class="row end"><button class="quiet" onClick=${() => put({ cursor: data.next })}>Further jobs</button></p>`}
    ${asking && html`<${Submit} onClose=${() => ask(false)} onDone=${() => (ask(false), again())} />`}`;
}
