// One job: what it asks for, which machines can take it, and why others cannot.
import { html } from '../vendor/preact-htm.js';
import { link } from '../address.js';
import { named, useAnswer, write } from '../api.js';
import { bytes, clock, span } from '../words.js';
import { Badge, Empty, Table, Trouble } from '../parts/pieces.js';
import { Marks } from '../parts/asking.js';
import { say } from '../parts/saying.js';
import { TONES } from './jobs.js';

const OVER = new Set(['done', 'cancelled']);

export default function Job({ address }) {
  const id = address.parts.slice(1).join('/');
  const { data, problem, again } = useAnswer(named('jobs', id), { every: 2000 });
  const told = useAnswer(named('jobs', id, 'explain'), { every: 5000, on: ['model.', 'machine.'] });
  const act = async (what) => {
    try {
      const answer = await write(named('jobs', id, what));
      if (answer) say(`Job ${answer.id} is ${answer.state}.`);
      again();
    } catch (trouble) {
      say(trouble.message);
    }
  };
  const job = data?.job;
  return html`
    <div class="title"><h1 tabindex="-1">${id}</h1>
      ${job && html`<div class="row">
        ${job.state === 'dead' || job.state === 'delayed' ? html`<button onClick=${() => act('retry')}>Try again</button>` : null}
        ${!OVER.has(job.state) && html`<button class="quiet" onClick=${() => act('cancel')}>Cancel it</button>`}</div>`}
    </div>
    <${Trouble} problem=${problem} />
    ${job && html`<${Known} job=${job} data=${data} />`}
    ${told.data && html`<${Explained} told=${told.data} />`}`;
}

const Known = ({ job, data }) => html`<section class="panel" aria-label="The job"><dl class="facts">
  <dt>State</dt><dd><${Badge} tone=${TONES[job.state] ?? 'idle'}>${job.state}<//> ${job.waiting || job.why}</dd>
  <dt>Models</dt><dd><${Marks} models=${job.models} /></dd>
  <dt>Tries</dt><dd>${job.attempts} of ${job.max_attempts}</dd>
  <dt>Priority</dt><dd>${job.priority}</dd>
  <dt>While a model is missing</dt><dd>${job.policy}</dd>
  <dt>Submitted</dt><dd>${clock(job.submitted)}</dd>
  ${job.machine_id && html`<dt>On</dt><dd><a href=${link('machines', job.machine_id)}>${job.machine_id}</a>, ${job.worker}</dd>`}
  ${job.due && html`<dt>Again at</dt><dd>${clock(job.due)}</dd>`}
  <dt>Asks</dt><dd><code>${JSON.stringify(job.asks)}</code></dd>
  ${data.payload && html`<dt>Payload</dt><dd><code>${data.payload.slice(0, 2000)}</code></dd>`}
  ${data.result && html`<dt>Result</dt><dd><code>${data.result.slice(0, 2000)}</code></dd>`}
</dl></section>`;

function Explained({ told }) {
  return html`<h2>Machines</h2>
    ${told.machines.length === 0 && html`<${Empty}>No worker was ever offered.<//>`}
    ${told.machines.length > 0 && html`<${Table} label="Machines for this job" rows=${told.machines} id=${(row) => `${row.machine_id} ${row.seat}`} columns=${[
      ['Machine', (row) => html`<a href=${link('machines', row.machine_id)}>${row.machine_id}</a> ${row.seat}`],
      ['Verdict', (row) => html`<${Badge} tone=${row.fits ? 'good' : 'warn'}>${row.fits ? 'can take it' : 'cannot'}<//>`, 'tight'],
      ['Why', (row) => row.reasons.map((each) => `${each.rule}: ${each.why}`).join('; ')],
      ['Missing there', (row) => row.missing.join(', ')],
    ]} />`}
    ${told.lacks.length > 0 && html`<h2>What it would take</h2><${Table} label="What machines would fetch" rows=${told.lacks} id=${(row) => row.machine_id} columns=${[
      ['Machine', (row) => html`<a href=${link('machines', row.machine_id)}>${row.machine_id}</a>`],
      ['To fetch', (row) => row.missing.join(', ')],
      ['Bytes', (row) => `${bytes(row.bytes)}${row.unknown ? ` and ${row.unknown} of unknown size` : ''}`, 'num'],
      ['Time', (row) => span(row.seconds), 'num'],
      ['Besides', (row) => row.others.join('; ')],
    ]} />`}`;
}
