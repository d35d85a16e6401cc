// One job: what it asks for, how it went so far, which machines can take it, and why others cannot.
import { html } from '../vendor/preact-htm.js';
import { link } from '../address.js';
import { named, useAnswer, write } from '../api.js';
import { bytes, clock, counted, span } from '../words.js';
import { Badge, Copied, Empty, Loading, Named, Nothing, Table, Time } from '../parts/pieces.js';
import { Marks } from '../parts/asking.js';
import { say } from '../parts/saying.js';
import { TONES } from './jobs.js';

const OVER = new Set(['done', 'cancelled']);
const AGAIN = new Set(['dead', 'delayed']);
const POLICIES = { wait: 'are waited for', fetch: 'are fetched by a machine', reject: 'have it refused' };
const LONGEST = 4000;

export default function Job({ address }) {
  const id = address.parts.slice(1).join('/');
  const { data, problem, again } = useAnswer(named('jobs', id), { every: 2000 });
  const job = data?.job;
  const told = useAnswer(job && !OVER.has(job.state) && job.state !== 'running' ? named('jobs', id, 'explain') : null, { every: 5000, on: ['model.', 'machine.'] });
  const act = async (what) => {
    try {
      const answer = await write(named('jobs', id, what));
      if (answer) say(`Job ${answer.id} is ${answer.state}.`);
      again();
    } catch (trouble) {
      say(trouble.message);
    }
  };
  return html`
    <div class="title"><h1 tabindex="-1"><${Named} text=${id} /></h1>
      ${job && html`<div class="row">
        ${AGAIN.has(job.state) && html`<button onClick=${() => act('retry')}>Try again${job.state === 'delayed' ? ' now' : ''}</button>`}
        ${!OVER.has(job.state) && html`<button class="quiet" onClick=${() => act('cancel')}>Cancel it</button>`}</div>`}
    </div>
    <${Nothing} problem=${problem} what="There is no such job. Those that are done are kept for a while only." room="jobs" />
    ${!data && !problem && html`<${Loading} />`}
    ${job && html`<div class="columns"><${Life} job=${job} excluded=${data.excluded} tries=${data.tries} /><${Known} job=${job} /></div>
      <${Text} title="Payload" text=${data.payload} /><${Text} title="Result" text=${data.result} />`}
    ${told.data && html`<${Explained} told=${told.data} />`}`;
}

/** How a try ended that did not end well, for people. */
const ENDED = {
  retry: ['warn', 'failed'], elsewhere: ['warn', 'failed there'], missing_model: ['warn', 'lacked a model'], final: ['bad', 'gave it up'],
  lease: ['warn', 'was lost'], cancelled: ['idle', 'was stopped'],
};
const KEPT = 8;

/** What happened to it, one step after the other; the last one is how it stands. */
function Life({ job, excluded, tries }) {
  const ended = tries.filter((each) => each.how !== 'running' && each.how !== 'done');
  const last = tries.at(-1);
  const untold = !ended.length && (job.state === 'running' || job.state === 'done' ? job.attempts - 1 : job.attempts);
  return html`<section class="panel" aria-labelledby="life"><h2 id="life">How it goes</h2>
    <ol class="life">
      <${Step} tone="idle" word="submitted"><${Time} at=${job.submitted} />${job.customer && `, for ${job.customer}`}<//>
      ${untold > 0 && html`<${Step} tone="warn" word=${`tried ${counted(untold, 'time')}`}>${job.why}<//>`}
      ${ended.length >= KEPT && html`<li class="muted small"><span>The last ${KEPT} tries that did not end well. Earlier ones are not kept.</span></li>`}
      ${ended.map((each, n) => html`<${Tried} key=${n} each=${each} />`)}
      ${excluded.length > 0 && html`<${Step} tone="warn" word="not given for a while to">${listed(excluded)}<//>`}
      <${Step} tone=${TONES[job.state] ?? 'idle'} word=${job.state}><${Standing} job=${job} last=${last} /><//>
    </ol></section>`;
}

const Tried = ({ each }) => html`<${Step} tone=${(ENDED[each.how] ?? ['idle'])[0]} word=${(ENDED[each.how] ?? ['', each.how])[1]}>
  ${who(each)} <${When} each=${each} />${each.why && html`<br />${each.why}`}<//>`;

const who = (each) => html`${listed([each.machine_id])}${each.worker && `, ${each.worker}`}`;

/** From when to when, and how long that was. */
function When({ each: { began, ended } }) {
  if (!began) return ended ? html`<span class="muted">until <${Time} at=${ended} /></span>` : null;
  const took = (Date.parse(ended || new Date().toISOString()) - Date.parse(began)) / 1000;
  return html`<span class="muted" title=${`${clock(began)} to ${ended ? clock(ended) : 'now'}`}>${ended ? '' : 'since '}<${Time} at=${began} />${ended && html` to <${Time} at=${ended} />`} (${span(Math.max(0, took))})</span>`;
}

const Step = ({ tone, word, children }) => html`<li><${Badge} tone=${tone}>${word}<//><span>${children}</span></li>`;

const listed = (machines) => machines.map((each, n) => html`${n ? ', ' : ''}<a key=${each} href=${link('machines', each)}>${each}</a>`);

function Standing({ job, last }) {
  switch (job.state) {
    case 'pending':
      return job.waiting || (job.eligible ? `${counted(job.eligible, 'machine')} can take it. It is the turn of its queue.` : 'It waits.');
    case 'running':
      return html`${who(job)} ${last && html`<${When} each=${last} />`}${job.deadline && html`. Unless the worker asks for more time, another one gets it at <${Time} at=${job.deadline} />.`}`;
    case 'delayed':
      return html`It is tried again at <${Time} at=${job.due} />.`;
    case 'dead':
      return html`${last && last.why === job.why ? '' : job.why || 'No reason was told.'} It stays here until somebody has it tried again.`;
    case 'done':
      return html`${job.machine_id && who(job)} ${last && html`<${When} each=${last} />`}`;
    default:
      return job.why;
  }
}

const Known = ({ job }) => html`<section class="panel" aria-labelledby="asks"><h2 id="asks">What it asks for</h2><dl class="facts">
  <dt>Models</dt><dd>${job.models.length ? html`<${Marks} models=${job.models} />` : html`<span class="muted">none</span>`}</dd>
  ${Object.entries(job.asks).filter(([name]) => name !== 'models').map(([name, value]) => html`<dt key=${name}>${name.replaceAll('_', ' ')}</dt><dd>${typeof value === 'object' && !Array.isArray(value) ? JSON.stringify(value) : String(value)}</dd>`)}
  ${job.workflow && html`<dt>Workflow</dt><dd><a href=${link('workflows', job.workflow)}>${job.workflow}</a></dd>`}
  <dt>Missing models</dt><dd>${POLICIES[job.policy] ?? job.policy}</dd>
  <dt>Priority</dt><dd>${job.priority}</dd>
  <dt>Tries</dt><dd>${job.attempts} of ${job.max_attempts}</dd>
</dl></section>`;

const Text = ({ title, text }) => (text ? html`<details><summary>${title} <span class="muted">(${counted(text.length, 'character')})</span></summary>
  <div class="row"><${Copied} text=${text} what=${title.toLowerCase()} /></div><pre class="panel"><code>${text.slice(0, LONGEST)}${text.length > LONGEST ? '…' : ''}</code></pre></details>` : null);

/** Reasons that the list of what is missing does not say. */
const besides = (row) => row.reasons.filter((each) => each.rule !== 'models' || !row.missing.length);

function Explained({ told }) {
  return html`<h2>Machines</h2>
    ${told.machines.length === 0 && html`<${Empty}>No worker was ever offered: start a worker on a machine, and have it say what it offers.<//>`}
    ${told.machines.length > 0 && html`<${Table} label="Machines for this job" rows=${told.machines} id=${(row) => `${row.machine_id} ${row.seat}`} columns=${[
      ['Machine', (row) => html`<a href=${link('machines', row.machine_id)}>${row.machine_id}</a> ${row.seat}`],
      ['Verdict', (row) => html`<${Badge} tone=${row.fits ? 'good' : 'warn'}>${row.fits ? 'can take it' : 'cannot'}<//>`, 'tight'],
      ['Missing there', (row) => row.missing.map((each) => html`<div><${Named} text=${each} /></div>`), 'prose', (row) => row.missing.length],
      ['Why', (row) => besides(row).map((each) => `${each.rule}: ${each.why}`).join('; '), 'prose', (row) => besides(row).length],
    ]} />`}
    ${!told.eligible && told.lacks.length > 0 && html`<h2>What it would take</h2><${Table} label="What machines would fetch" rows=${told.lacks} id=${(row) => row.machine_id} columns=${[
      ['Machine', (row) => html`<a href=${link('machines', row.machine_id)}>${row.machine_id}</a>`],
      ['To fetch', (row) => row.missing.join(', '), 'prose'],
      ['Bytes', (row) => `${bytes(row.bytes)}${row.unknown ? ` and ${row.unknown} of unknown size` : ''}`, 'num'],
      ['Time at 100 MB/s', (row) => span(row.seconds), 'num', (row) => row.seconds !== null],
      ['Besides', (row) => row.others.join('; '), 'prose', (row) => row.others.length],
    ]} />`}`;
}
