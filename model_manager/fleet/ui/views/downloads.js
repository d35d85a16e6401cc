// Every model on its way, of the whole fleet.
import { html } from '../vendor/preact-htm.js';
import { put } from '../address.js';
import { asked, useAnswer } from '../api.js';
import { counted, number, speed } from '../words.js';
import { Empty, Field, Trouble } from '../parts/pieces.js';
import { Transfers } from '../parts/transfers.js';

const PHASES = ['fetching', 'verifying', 'placing', 'resolving', 'waiting', 'queued', 'failed'];
const SHOWN = 300;

const order = (a, b) => PHASES.indexOf(a.phase) - PHASES.indexOf(b.phase) || a.model.localeCompare(b.model);

export default function Downloads({ address }) {
  const phase = address.query.get('phase') || '';
  const { data, problem } = useAnswer(asked('/downloads', { phase, limit: SHOWN }), { every: 1500, on: ['model.download', 'assignment.'] });
  const rows = [...(data?.items ?? [])].sort(order);
  const pace = rows.reduce((sum, row) => sum + row.speed, 0);
  return html`
    <div class="title"><h1 tabindex="-1">Downloads</h1><p class="muted">${data ? `${counted(data.total, 'model')} on their way, ${speed(pace)}` : ''}</p></div>
    <div class="filters"><${Field} label="Phase">
      <select value=${phase} onChange=${(event) => put({ phase: event.target.value })}>
        <option value="">all</option>${PHASES.map((each) => html`<option key=${each} value=${each}>${each}</option>`)}
      </select><//></div>
    <${Trouble} problem=${problem} />
    ${data && !rows.length && html`<${Empty}>Nothing is on its way. What failed for good is told on <a href="/ui/doctor">Doctor</a>.<//>`}
    ${rows.length > 0 && html`<${Transfers} rows=${rows} machines />`}
    ${data && data.total > rows.length && html`<p class="muted">and ${number(data.total - rows.length)} more. Choose a phase.</p>`}`;
}
