// Workflows that machines were told to serve; and what a dropped one needs.
import { html, useEffect, useState } from '../vendor/preact-htm.js';
import { link, put } from '../address.js';
import { asked, useAnswer, usePaused } from '../api.js';
import { number } from '../words.js';
import { Analysis } from '../parts/analysis.js';
import { Badge, Empty, Field, Table, Trouble } from '../parts/pieces.js';

export default function Workflows({ address }) {
  const [q, type] = useState(address.query.get('q') || '');
  const paused = usePaused(q);
  useEffect(() => put({ q: paused }), [paused]);
  const { data, problem } = useAnswer(asked('/workflows', { q: paused, limit: 1000 }), { every: 5000, on: ['readiness.', 'assignment.', 'machine.'] });
  return html`
    <div class="title"><h1 tabindex="-1">Workflows</h1></div>
    <${Analysis} />
    <h2>Workflows of the fleet</h2>
    <div class="filters"><${Field} label="Name"><input type="search" value=${q} onInput=${(event) => type(event.target.value)} /><//></div>
    <${Trouble} problem=${problem} />
    ${data && !data.items.length && html`<${Empty}>No machine was told to serve ${q ? 'such a workflow' : 'one'}.<//>`}
    ${data?.items.length > 0 && html`<${Table} label="Workflows" rows=${data.items} id=${(row) => row.workflow} columns=${[
      ['Workflow', (row) => html`<a href=${link('workflows', row.workflow)}>${row.workflow}</a>`],
      ['State', (row) => html`<${Badge} tone=${row.ready === row.assigned ? 'good' : row.ready ? 'busy' : 'warn'}>${row.ready ? 'can run' : 'cannot run'}<//>`],
      ['Ready on', (row) => `${number(row.ready)} of ${number(row.assigned)}`, 'num'],
    ]} />`}`;
}
