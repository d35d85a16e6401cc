// One workflow: what it needs, who can run it, and what is missing where.
import { html } from '../vendor/preact-htm.js';
import { link } from '../address.js';
import { asked, named, useAnswer } from '../api.js';
import { bytes, counted } from '../words.js';
import { Badge, Empty, Loading, Named, Nothing, Table } from '../parts/pieces.js';
import { push } from '../parts/acting.js';

export default function Workflow({ address }) {
  const name = address.parts.slice(1).join('/');
  const { data, problem, again } = useAnswer(asked(named('workflows', name), { limit: 1000 }), { every: 5000, on: ['readiness.', 'model.', 'assignment.', 'machine.'] });
  return html`
    <div class="title"><h1 tabindex="-1"><${Named} text=${name} /></h1>${data && html`<p class="muted">${counted(data.ready, 'machine')} ready</p>`}</div>
    <${Nothing} problem=${problem} what="No machine was told to serve such a workflow." room="workflows" />
    ${!data && !problem && html`<${Loading} />`}
    ${data && html`
      ${data.unknown && html`<p class="notice">What it needs is not known: ${data.unknown}</p>`}
      <h2>Needs</h2>
      ${data.needs.length === 0 && html`<${Empty}>${data.unknown ? 'What models it needs is not known.' : 'It needs no models.'}<//>`}
      ${data.needs.length > 0 && html`<${Table} label="Needed models" rows=${data.needs} id=${(row) => `${row.folder}/${row.name}`} columns=${[
        ['Model', (row) => html`<a href=${link('models', `${row.folder}/${row.name}`)}><${Named} text=${`${row.folder}/${row.name}`} /></a>`, 'name'],
        ['Size', (row) => bytes(row.size), 'num'],
        ['Hash', (row) => html`<code>${row.hash || '–'}</code>`, '', (row) => row.hash],
      ]} />`}
      <h2>Machines</h2>
      <${Candidates} rows=${data.items} workflow=${name} again=${again} />`}`;
}

function verdict(row) {
  if (row.ready) return ['good', 'ready'];
  if (row.state !== 'live') return [row.state === 'away' ? 'bad' : 'warn', row.state];
  if (row.has_all) return ['busy', row.assigned ? 'has all, not open yet' : 'has all, not told'];
  return ['warn', row.has_all === null ? 'unknown' : 'misses models'];
}

const lacks = (row) => row.missing.map((each) => `${each.how} ${each.folder}/${each.name}`).join(', ') || row.reasons.join('; ');

const offered = (row) => !row.assigned && row.state === 'live';

export function Candidates({ rows, workflow, again }) {
  const fetch = async (row) => (await push([row.machine_id], { workflows: [workflow] })) && again?.();
  if (!rows.length) return html`<${Empty}>No machine is here. Start an agent with the same REDIS_URL.<//>`;
  return html`<${Table} label="Machines that can run it" rows=${rows} id=${(row) => row.machine_id} columns=${[
    ['Machine', (row) => html`<a href=${link('machines', row.machine_id)}>${row.machine_id}</a>`],
    ['State', (row) => html`<${Badge} tone=${verdict(row)[0]}>${verdict(row)[1]}<//>`, 'tight'],
    ['Missing there', lacks, 'prose', lacks],
    ['To fetch', (row) => (row.missing.length ? `${bytes(row.bytes)}${row.unknown ? ` and ${row.unknown} of unknown size` : ''}` : '–'), 'num', (row) => row.missing.length],
    ['Fits', (row) => (row.missing.length ? ({ true: 'yes', false: 'no' })[row.fits] ?? 'unknown' : '–'), '', (row) => row.missing.length],
    ['Act', (row) => offered(row) && html`<button class="quiet" onClick=${() => fetch(row)} aria-label=${`Fetch on ${row.machine_id}`}>Fetch</button>`, '', offered],
  ]} />`;
}
