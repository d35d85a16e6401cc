// One model: what its bytes are, and who has it.
import { html } from '../vendor/preact-htm.js';
import { link } from '../address.js';
import { asked, named, useAnswer } from '../api.js';
import { bytes, clock, counted, number } from '../words.js';
import { Badge, Table, Trouble } from '../parts/pieces.js';
import { Actions } from '../parts/acting.js';
import { Provenance } from '../parts/provenance.js';
import { told } from '../parts/telling.js';

const unique = (values) => [...new Set(values.filter(Boolean))];

export default function Model({ address }) {
  const name = address.parts.slice(1).join('/');
  const { data, problem } = useAnswer(asked(named('models', name), { limit: 1000 }), { on: ['model.', 'machine.', 'inventory.'] });
  const copies = (data?.items ?? []).flatMap((each) => each.files.map((file) => ({ ...file, ...each, files: null })));
  const hashes = unique(copies.map((copy) => copy.hash));
  const sizes = unique(copies.map((copy) => copy.size));
  return html`
    <div class="title"><h1 tabindex="-1">${name}</h1></div>
    <${Trouble} problem=${problem} />
    ${data && html`
      ${hashes.length > 1 && html`<p class="problem">Machines hold different bytes under this name. Verify them, and keep one.</p>`}
      ${data.total === 1 && html`<p class="notice">Only one machine has it: with that machine it is lost. Assign it to another one.</p>`}
      <div class="columns">
        <section class="panel" aria-labelledby="identity"><h2 id="identity" style=${{ marginTop: 0 }}>Identity</h2>
          <dl class="facts">
            <dt>Size</dt><dd>${sizes.map((size) => `${bytes(size)} (${number(size)} bytes)`).join(', ')}</dd>
            <dt>SHA-256</dt><dd>${hashes.length ? hashes.map((hash) => html`<code key=${hash}>${hash} </code>`) : 'not read yet'}</dd>
            <dt>AutoV2</dt><dd>${hashes.length ? hashes.map((hash) => html`<code key=${hash}>${hash.slice(0, 10)} </code>`) : '–'}</dd>
            <dt>Evidence</dt><dd>${unique(copies.map((copy) => copy.evidence)).join(', ') || 'none'}</dd>
          </dl>
        </section>
        <section class="panel" aria-labelledby="uses"><h2 id="uses" style=${{ marginTop: 0 }}>Uses</h2>
          <${Uses} name=${name} />
          <h3>Act on its machines</h3><p class="small muted">Verify reads every file there again.</p><${Actions} machines=${data.items.map((each) => each.machine_id).slice(0, 1000)} />
        </section>
      </div>
      <h2>${counted(copies.length, 'copy', 'copies')} on ${counted(data.total, 'machine')}</h2>
      <${Table} label="Copies" rows=${copies} id=${(row) => row.machine_id + row.path} columns=${[
        ['Machine', (row) => html`<a href=${link('machines', row.machine_id)}>${row.machine_id}</a>`],
        ['State', (row) => html`<${Badge} tone=${row.serves ? 'good' : row.verified ? 'idle' : 'warn'}>${row.serves ? 'serves' : row.verified ? row.state : 'unverified'}<//>`, 'tight'],
        ['Size', (row) => bytes(row.size), 'num'],
        ['Path', (row) => html`<code>${row.path}</code>`],
        ['SHA-256', (row) => html`<code title=${row.hash}>${row.hash ? `${row.hash.slice(0, 16)}…` : '–'}</code>`],
      ]} />
      ${hashes.length > 0 && html`<h2>What is told of it</h2>${hashes.map((hash) => html`<${Provenance} key=${hash} hash=${hash} />`)}`}
      <h2>History</h2><${Past} name=${name} />`}`;
}

/** Workflows that name it, as the matrix has them by workflow. */
function Uses({ name }) {
  const { data, problem } = useAnswer(asked('/matrix', { q: name, pivot: 'workflow', limit: 100, mlimit: 1 }));
  const flows = unique((data?.rows ?? []).filter((row) => row.model === name).map((row) => row.key));
  if (problem) return html`<p class="muted">Which workflows use it is not known now.</p>`;
  if (!data) return null;
  return html`<p>${flows.length ? flows.map((flow, n) => html`${n ? ', ' : ''}<a key=${flow} href=${link('workflows', flow)}>${flow}</a>`) : 'No workflow that machines were told to serve names it.'}</p>`;
}

const CHANGES = ['model.appeared', 'model.changed', 'model.vanished', 'model.download.verified', 'model.download.failed'];

const concerns = (event, name) => {
  const of = (each) => `${each.folder}/${each.name}` === name;
  return CHANGES.includes(event.kind) && (event.data.models ? event.data.models.some(of) : of(event.data));
};

/** What was told of it among the last events. */
function Past({ name }) {
  const { data } = useAnswer('/events?limit=1000', { on: ['model.'] });
  const rows = (data?.items ?? []).filter((event) => concerns(event, name)).reverse().slice(0, 50);
  if (!rows.length) return html`<p class="muted">Nothing was told of it among the last events.</p>`;
  return html`<${Table} label="History" rows=${rows} id=${(row) => row.id} columns=${[
    ['When', (row) => clock(row.at), 'tight'],
    ['Machine', (row) => html`<a href=${link('machines', row.machine_id)}>${row.machine_id}</a>`],
    ['What', (row) => row.kind],
    ['Said', (row) => (row.data.models ? '' : told(row))],
  ]} />`;
}
