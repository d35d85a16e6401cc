// Workflows that machines were told to serve; and what a dropped one needs.
import { html } from '../vendor/preact-htm.js';
import { link } from '../address.js';
import { asked, useAnswer } from '../api.js';
import { number } from '../words.js';
import { Analysis } from '../parts/analysis.js';
import { Search, useTyped } from '../parts/filters.js';
import { Badge, Empty, Loading, Table, Trouble } from '../parts/pieces.js';

export default function Workflows() {
  const [q, type, paused] = useTyped('q');
  const { data, problem } = useAnswer(asked('/workflows', { q: paused, limit: 1000 }), { every: 5000, on: ['readiness.', 'assignment.', 'machine.'] });
  return html`
    <div class="title"><h1 tabindex="-1">Workflows</h1></div>
    <${Analysis} />
    <h2>Workflows of the fleet</h2>
    <div class="filters"><${Search} label="Name" text=${q} type=${type} /></div>
    <${Trouble} problem=${problem} />
    ${!data && !problem && html`<${Loading} />`}
    ${data && !data.items.length && html`<${Empty}>${q ? 'No machine was told to serve such a workflow.' : html`No machine was told to serve one. Drop a workflow above, or choose machines on <a href="/ui/">Fleet</a> and assign one to them.`}<//>`}
    ${data?.items.length > 0 && html`<${Table} label="Workflows" rows=${data.items} id=${(row) => row.workflow} columns=${[
      ['Workflow', (row) => html`<a href=${link('workflows', row.workflow)}>${row.workflow}</a>`],
      ['State', (row) => html`<${Badge} tone=${row.ready === row.assigned ? 'good' : row.ready ? 'busy' : 'warn'}>${row.ready ? 'can run' : 'cannot run'}<//>`],
      ['Ready on', (row) => `${number(row.ready)} of ${number(row.assigned)}`, 'num'],
    ]} />`}`;
}
