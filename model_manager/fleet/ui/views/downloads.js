// Every model on its way, of the whole fleet.
import { html } from '../vendor/preact-htm.js';
import { asked, useAnswer } from '../api.js';
import { bytes, counted, number, span, speed } from '../words.js';
import { Choice, Search, useTyped } from '../parts/filters.js';
import { AsJson, Empty, Loading, Trouble } from '../parts/pieces.js';
import { Transfers } from '../parts/transfers.js';

const PHASES = ['fetching', 'verifying', 'placing', 'resolving', 'waiting', 'queued', 'failed'];
const SHOWN = 300;

const order = (a, b) => PHASES.indexOf(a.phase) - PHASES.indexOf(b.phase) || (a.eta ?? Infinity) - (b.eta ?? Infinity) || a.model.localeCompare(b.model);

/** All of them in a line: how many, how fast, and when the last byte that is known of would be here. */
function summed(rows, total) {
  const pace = rows.reduce((sum, row) => sum + row.speed, 0);
  const left = rows.reduce((sum, row) => sum + Math.max(0, (row.total ?? row.bytes) - row.bytes), 0);
  const parts = [`${counted(total, 'model')} on ${total === 1 ? 'its' : 'their'} way`];
  if (left) parts.push(`${bytes(left)} to come`);
  if (pace) parts.push(speed(pace));
  if (pace && left) parts.push(`about ${span(left / pace)} left`);
  return parts.join(' · ');
}

export default function Downloads({ address }) {
  const phase = address.query.get('phase') || '';
  const [typed, type, machine] = useTyped('machine_id', 300);
  const machines = useAnswer('/machines?limit=1000', { every: 60_000 }).data?.items.map((each) => each.machine_id);
  const path = asked('/downloads', { phase, machine_id: machine, limit: SHOWN });
  const { data, problem } = useAnswer(path, { every: 1500, on: ['model.download', 'assignment.'] });
  const rows = [...(data?.items ?? [])].sort(order);
  return html`
    <div class="title"><h1 tabindex="-1">Downloads</h1><p class="muted">${data?.total ? summed(rows, data.total) : ''}</p></div>
    <div class="filters">
      <${Search} label="Machine, its whole id" text=${typed} type=${type} known=${machines} />
      <${Choice} label="Phase" name="phase" value=${phase} options=${[['', 'all'], ...PHASES.map((each) => [each, each])]} />
      <span class="check"><${AsJson} path=${path} /></span>
    </div>
    <${Trouble} problem=${problem} />
    ${!data && !problem && html`<${Loading} />`}
    ${data && !rows.length && html`<${Empty}>${phase || machine ? 'Nothing that fits is on its way.' : 'Nothing is on its way.'} Assign a workflow on <a href="/ui/">Fleet</a> to have its models fetched. What failed for good is told on <a href="/ui/doctor">Doctor</a>.<//>`}
    ${rows.length > 0 && html`<${Transfers} rows=${rows} machines />`}
    ${data && data.total > rows.length && html`<p class="muted">and ${number(data.total - rows.length)} more. Choose a phase or a machine.</p>`}`;
}
