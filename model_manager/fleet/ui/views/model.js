// One model: what its bytes are, who tells what of it, who has it, and who needs it.
import { html } from '../vendor/preact-htm.js';
import { link } from '../address.js';
import { asked, named, useAnswer } from '../api.js';
import { ago, bytes, clock, counted, number } from '../words.js';
import { Badge, Table, Trouble } from '../parts/pieces.js';
import { Actions } from '../parts/acting.js';
import { Preview } from '../parts/preview.js';
import { Provenance } from '../parts/provenance.js';
import { told } from '../parts/telling.js';
import { TONES } from './jobs.js';

const CHANGES = ['model.', 'inventory.', 'machine.'];
const HASHES = { sha256: 'SHA-256', autov2: 'AutoV2', autov3: 'AutoV3', blake3: 'BLAKE3', md5: 'MD5', crc32: 'CRC-32' };
const FIRST = ['sha256', 'autov2', 'autov3', 'blake3'];
const unique = (values) => [...new Set(values.filter(Boolean))];

export default function Model({ address }) {
  const name = address.parts.slice(1).join('/');
  const { data, problem } = useAnswer(asked(named('models', name), { limit: 1000 }), { on: CHANGES });
  const more = useAnswer(data && named('model-details', name), { every: 60_000, on: CHANGES });
  const details = more.data;
  const copies = (data?.items ?? []).flatMap((each) => each.files.map((file) => ({ ...file, ...each, files: null })));
  const hashes = unique(copies.map((copy) => copy.hash));
  return html`
    <div class="title"><h1 tabindex="-1">${name}</h1>${data && html`<${Actions} machines=${data.items.map((each) => each.machine_id).slice(0, 1000)} />`}</div>
    <${Trouble} problem=${problem} />
    ${data && html`
      ${hashes.length > 1 && html`<p class="problem">Machines hold different bytes under this name. Verify them, and keep one.</p>`}
      ${data.total === 1 && html`<p class="notice">Only one machine has it: with that machine it is lost. Assign it to another one.</p>`}
      <div class="columns">
        <${Identity} copies=${copies} hashes=${hashes} details=${details} />
        <${Uses} name=${name} details=${details} hashes=${hashes} />
      </div>
      <h2>What is told of it</h2>
      <${Trouble} problem=${more.problem} />
      ${!details && !more.problem && html`<p class="muted" role="status">A machine is asked…</p>`}
      ${details && html`<${Provenance} details=${details} again=${more.again} />`}
      <h2>${counted(copies.length, 'copy', 'copies')} on ${counted(data.total, 'machine')}</h2>
      <${Table} label="Copies" rows=${copies} id=${(row) => row.machine_id + row.path} columns=${COPY} />
      ${details && html`<${Others} details=${details} />`}
      <h2>History</h2><${Past} name=${name} />`}`;
}

const COPY = [
  ['Machine', (row) => html`<a href=${link('machines', row.machine_id)}>${row.machine_id}</a>`],
  ['State', (row) => html`<${Badge} tone=${row.serves ? 'good' : row.verified ? 'idle' : 'warn'}>${row.serves ? 'serves' : row.verified ? row.state : 'unverified'}<//>`, 'tight'],
  ['Proven by', (row) => row.evidence || '–'],
  ['Size', (row) => bytes(row.size), 'num'],
  ['Path', (row) => html`<code>${row.path}</code>`],
  ['SHA-256', (row) => html`<code title=${row.hash}>${row.hash ? `${row.hash.slice(0, 16)}…` : '–'}</code>`],
];

/** Every hash that is known; machines that differ have several of one kind. */
function Identity({ copies, hashes, details }) {
  const known = { ...details?.hashes };
  if (hashes.length) Object.assign(known, { sha256: hashes, autov2: hashes.map((each) => each.slice(0, 10)) });
  const kinds = unique([...FIRST, ...Object.keys(known)]);
  return html`<section class="panel" aria-labelledby="identity"><h2 id="identity">Identity</h2>
    <div class="portrait">
      ${details && html`<${Preview} key=${details.model?.id} src=${details.model?.has_preview === false ? null : named('api', 'v1', 'models', String(details.model?.id), 'preview')} word=${details.model?.type} />`}
      <dl class="facts">
        <dt>Size</dt><dd>${unique(copies.map((copy) => copy.size)).map((size) => `${bytes(size)} (${number(size)} bytes)`).join(', ')}</dd>
        ${kinds.map((kind) => html`<dt key=${kind}>${HASHES[kind] ?? kind}</dt><dd>${[known[kind] ?? []].flat().map((hash) => html`<code key=${hash}>${hash} </code>`)}${!known[kind] && html`<span class="muted">not computed yet</span>`}</dd>`)}
        <dt>Evidence</dt><dd>${unique(copies.map((copy) => copy.evidence)).join(', ') || 'none'}</dd>
        <dt>Last used</dt><dd>${details?.model?.last_used ? html`${clock(details.model.last_used)} <span class="muted">(${ago((Date.now() - Date.parse(details.model.last_used)) / 1000)})</span>` : html`<span class="muted">not told</span>`}</dd>
      </dl>
    </div>
    ${details?.why && html`<p class="muted small">No machine could tell more: ${details.why}</p>`}
  </section>`;
}

const WAITING = ['next', 'running'];

/** Workflows and jobs that need it. */
function Uses({ name, details, hashes }) {
  const matrix = useAnswer(details ? null : asked('/matrix', { q: name, pivot: 'workflow', limit: 100, mlimit: 1 }));
  const flows = details ? details.workflows : unique((matrix.data?.rows ?? []).filter((row) => row.model === name).map((row) => row.key));
  const others = (details?.needed_by ?? []).filter((each) => !flows.some((flow) => each === `workflow:${flow}`));
  return html`<section class="panel" aria-labelledby="uses"><h2 id="uses">Uses</h2>
    <h3>Workflows</h3>
    <p>${flows.length ? flows.map((flow, n) => html`${n ? ', ' : ''}<a key=${flow} href=${link('workflows', flow)}>${flow}</a>`) : html`<span class="muted">No workflow that machines were told to serve names it.</span>`}</p>
    ${others.length > 0 && html`<p class="small muted">Also needed by ${others.join(', ')}</p>`}
    <h3>Jobs</h3>
    ${WAITING.map((state) => html`<${Jobs} key=${state} state=${state} name=${name} hashes=${hashes} />`)}
  </section>`;
}

/** Jobs name a model by folder and name, by name alone, or by a hash. */
function Jobs({ state, name, hashes }) {
  const { data, problem } = useAnswer(asked('/jobs', { state, limit: 100 }), { every: 5000 });
  const names = new Set([name, name.slice(name.indexOf('/') + 1), ...hashes.flatMap((each) => [each, `sha256:${each}`, each.slice(0, 10)])]);
  const rows = (data?.items ?? []).filter((row) => row.models.some((each) => names.has(each.model)));
  const word = state === 'next' ? 'waiting' : state;
  if (problem) return html`<p class="muted">Which jobs use it is not known now.</p>`;
  return html`<p>${rows.length ? rows.slice(0, 10).map((row) => html`<a key=${row.id} href=${link('jobs', row.id)}>${row.id}</a> <${Badge} tone=${TONES[row.state] ?? 'idle'}>${row.state}<//> `) : html`<span class="muted">None is ${word}${data?.next ? ' among the first 100' : ''}.</span>`}
    ${rows.length > 10 && `and ${number(rows.length - 10)} more ${word}`}</p>`;
}

/** Where else it can be had, and its other versions. */
function Others({ details }) {
  const { sources, versions, servers = [] } = details;
  return html`
    ${servers.length > 0 && html`<h2>On other servers</h2><${Table} label="Other servers" rows=${servers} id=${(row) => row.server_id} columns=${[
      ['Server', (row) => row.server_id], ['State', (row) => row.state], ['Last seen', (row) => clock(row.last_seen)]]} />`}
    <h2>Sources</h2>
    ${sources.length === 0 && html`<p class="muted">Nobody told where it can be had.</p>`}
    ${sources.length > 0 && html`<${Table} label="Sources" rows=${sources} columns=${[['Kind', (row) => row.kind, 'tight'], ['Address', (row) => html`<code>${row.url}</code>`]]} />`}
    ${versions.length > 0 && html`<h2>Versions</h2><${Table} label="Versions" rows=${versions} id=${(row) => `${row.id} ${row.version_id}`} columns=${[
      ['Version', (row) => row.version_name || row.version_id],
      ['Here', (row) => (row.model ? html`<a href=${link('models', row.model)}>${row.model}</a>` : html`<span class="muted">nobody has it</span>`)],
      ['State', (row) => html`<${Badge} tone=${row.own ? 'good' : row.latest ? 'busy' : 'idle'}>${[row.own && 'this one', row.latest && 'the latest'].filter(Boolean).join(', ') || 'another'}<//>`, 'tight'],
    ]} />`}`;
}

const TELLING = ['model.appeared', 'model.changed', 'model.vanished', 'model.download.verified', 'model.download.failed'];

const concerns = (event, name) => {
  const of = (each) => `${each.folder}/${each.name}` === name;
  return TELLING.includes(event.kind) && (event.data.models ? event.data.models.some(of) : of(event.data));
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
