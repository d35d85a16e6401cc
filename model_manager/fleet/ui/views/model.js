// One model: what its bytes are, who tells what of it, who has it, and who needs it.
import { html, useEffect, useState } from '../vendor/preact-htm.js';
import { link } from '../address.js';
import { asked, named, useAnswer } from '../api.js';
import { heard } from '../live.js';
import { ago, bytes, counted, iso, number, since } from '../words.js';
import { Badge, Copied, Loading, Named, Nothing, Outside, Table, Time, Trouble } from '../parts/pieces.js';
import { FetchDialog } from '../parts/fetching.js';
import { ModelActions } from '../parts/tending.js';
import { Preview } from '../parts/preview.js';
import { Provenance } from '../parts/provenance.js';
import { KINDS, concerns, told } from '../parts/telling.js';
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
  const holders = (data?.items ?? []).map((each) => each.machine_id);
  return html`
    <div class="title"><h1 tabindex="-1"><${Named} text=${name} /></h1>${data && html`<${ModelActions} name=${name} holders=${holders} row=${details?.model} again=${more.again} />`}</div>
    <${Nothing} problem=${problem} what="No machine holds such a model, or none does any more." room="models" />
    ${!data && !problem && html`<${Loading} />`}
    ${data && html`
      ${hashes.length > 1 && html`<p class="problem">Machines hold different bytes under this name. Verify them, and keep one.</p>`}
      ${(details?.releases ?? []).some((each) => each.newer && !each.here.length) && html`<p class="notice">CivitAI has a newer version: see <a href="#releases">its versions</a>.</p>`}
      ${data.total === 1 && html`<p class="notice">Only one machine has it: with that machine it is lost. Fetch it to another one.</p>`}
      <div class="columns">
        <${Identity} copies=${copies} hashes=${hashes} details=${details} />
        <${Uses} name=${name} details=${details} />
      </div>
      <h2>What is told of it</h2>
      <${Trouble} problem=${more.problem} />
      ${!details && !more.problem && html`<p class="muted" role="status">A machine is asked…</p>`}
      ${details && html`<${Provenance} details=${details} again=${more.again} />`}
      <h2>${counted(copies.length, 'copy', 'copies')} on ${counted(data.total, 'machine')}</h2>
      <${Table} label="Copies" rows=${copies} id=${(row) => row.machine_id + row.path} columns=${COPY} />
      ${details && html`<${Others} details=${details} holders=${holders} name=${name} />`}
      <h2>History</h2><${Past} name=${name} />`}`;
}

const COPY = [
  ['Machine', (row) => html`<a href=${link('machines', row.machine_id)}>${row.machine_id}</a>`],
  ['State', (row) => html`<${Badge} tone=${row.serves ? 'good' : row.verified ? 'idle' : 'warn'}>${row.serves ? 'serves' : row.verified ? row.state : 'unverified'}<//>`, 'tight'],
  ['Proven by', (row) => row.evidence || '–'],
  ['Size', (row) => bytes(row.size), 'num'],
  ['Path', (row) => html`<code>${row.path}</code>`],
  ['Last used', (row) => html`<${Time} at=${iso(row.last_used)} />`, 'tight', (row) => row.last_used],
  ['SHA-256', (row) => html`<code title=${row.hash}>${row.hash ? `${row.hash.slice(0, 12)}…` : '–'}</code>`],
];

/** Every hash that is known; machines that differ have several of one kind. */
function Identity({ copies, hashes, details }) {
  const known = { ...details?.hashes };
  if (hashes.length) Object.assign(known, { sha256: hashes, autov2: hashes.map((each) => each.slice(0, 10)) });
  const used = Math.max(0, ...copies.map((copy) => copy.last_used ?? 0), details?.last_used ?? 0);
  const kinds = unique([...FIRST, ...Object.keys(known)]);
  return html`<section class="panel" aria-labelledby="identity"><h2 id="identity">Identity</h2>
    <div class="portrait">
      ${details && html`<${Preview} key=${details.model?.id} src=${details.model?.has_preview === false ? null : named('api', 'v1', 'models', String(details.model?.id), 'preview')} word=${details.model?.type} />`}
      <dl class="facts">
        <dt>Size</dt><dd>${unique(copies.map((copy) => copy.size)).map((size) => `${bytes(size)} (${number(size)} bytes)`).join(', ')}</dd>
        ${kinds.map((kind) => html`<dt key=${kind}>${HASHES[kind] ?? kind}</dt><dd>${[known[kind] ?? []].flat().map((hash) => html`<code key=${hash}>${hash} </code><${Copied} text=${hash} what=${HASHES[kind] ?? kind} />`)}${!known[kind] && html`<span class="muted">not computed yet</span>`}</dd>`)}
        <dt>Evidence</dt><dd>${unique(copies.map((copy) => copy.evidence)).join(', ') || 'none'}</dd>
        <dt>Last used</dt><dd>${used ? html`<${Time} at=${iso(used)} /> <span class="muted">(${ago(since(used))})</span>` : html`<span class="muted">by no job that is remembered</span>`}</dd>
        ${details?.first_seen && html`<dt>First seen</dt><dd><${Time} at=${details.first_seen} /></dd>`}
        ${details?.verified_at && html`<dt>Last verified</dt><dd><${Time} at=${details.verified_at} /></dd>`}
      </dl>
    </div>
    ${details?.why && html`<p class="muted small">No machine could tell more: ${details.why}</p>`}
  </section>`;
}

const STATES = [['pending', 'waiting'], ['running', 'running'], ['dead', 'given up']];

/** Workflows and jobs that need it. */
function Uses({ name, details }) {
  const matrix = useAnswer(details ? null : asked('/matrix', { q: name, pivot: 'workflow', limit: 100, mlimit: 1 }));
  const flows = details ? details.workflows : unique((matrix.data?.rows ?? []).filter((row) => row.model === name).map((row) => row.key));
  const others = (details?.needed_by ?? []).filter((each) => !flows.some((flow) => each === `workflow:${flow}`));
  return html`<section class="panel" aria-labelledby="uses"><h2 id="uses">Uses</h2>
    <h3>Workflows</h3>
    <p>${flows.length ? flows.map((flow, n) => html`${n ? ', ' : ''}<a key=${flow} href=${link('workflows', flow)}>${flow}</a>`) : html`<span class="muted">No workflow that machines were told to serve names it.</span>`}</p>
    ${others.length > 0 && html`<p class="small muted">Also needed by ${others.join(', ')}</p>`}
    <h3>Jobs</h3>
    <${Jobs} name=${name} />
  </section>`;
}

const FEW = 5;

/** The first jobs that ask for it in each state, and the way to all of them. */
function Jobs({ name }) {
  const answers = STATES.map(([state, word]) => ({ state, word, ...useAnswer(asked('/jobs', { state, model: name, limit: FEW }), { every: 5000 }) }));
  if (answers.some((each) => each.problem)) return html`<p class="muted">Which jobs ask for it is not known now.</p>`;
  if (answers.some((each) => !each.data)) return null;
  if (answers.every(({ data }) => !data.items.length && !data.next)) return html`<p class="muted">No job asks for it now.</p>`;
  return answers.filter(({ data }) => data.items.length || data.next).map(({ state, word, data }) => html`<p key=${state}>
    ${data.items.map((row) => html`<a key=${row.id} href=${link('jobs', row.id)}>${row.id}</a> <${Badge} tone=${TONES[row.state] ?? 'idle'}>${word}<//> `)}
    ${data.next && html`<a href=${`/ui/jobs?${new URLSearchParams({ state, model: name })}`}>all that are ${word}</a>`}</p>`);
}

/** Where else it can be had, and its other versions. */
function Others({ details, holders, name }) {
  const { sources, versions, releases = [] } = details;
  const servers = (details.servers ?? []).filter((each) => !each.own);
  return html`
    ${servers.length > 0 && html`<h2>On other servers</h2><${Table} label="Other servers" rows=${servers} id=${(row) => row.server_id} columns=${[
      ['Server', (row) => row.server_id], ['State', (row) => row.state], ['Last seen', (row) => html`<${Time} at=${row.last_seen} />`]]} />`}
    <h2>Sources</h2>
    ${sources.length === 0 && html`<p class="muted">Nobody told where it can be had. Add it to the catalog, or ask CivitAI.</p>`}
    ${sources.length > 0 && html`<${Table} label="Sources" rows=${sources} columns=${[['Kind', (row) => row.kind, 'tight'], ['Address', (row) => html`<${Outside} url=${row.url} />`]]} />`}
    ${releases.length > 0 && html`<${Releases} rows=${releases} holders=${holders} name=${name} checked=${details.checked} />`}
    ${versions.length > 0 && html`<h2>Versions in the fleet</h2><${Table} label="Versions" rows=${versions} id=${(row) => `${row.id} ${row.version_id}`} columns=${[
      ['Version', (row) => row.version_name || row.version_id],
      ['Here', (row) => (row.model ? html`<a href=${link('models', row.model)}>${row.model}</a>` : html`<span class="muted">nobody has it</span>`)],
      ['State', (row) => html`<${Badge} tone=${row.own ? 'good' : row.latest ? 'busy' : 'idle'}>${[row.own && 'this one', row.latest && 'the latest'].filter(Boolean).join(', ') || 'another'}<//>`, 'tight'],
    ]} />`}`;
}

/** What CivitAI publishes of it. A later one is fetched beside this one, which stays. */
function Releases({ rows, holders, name, checked }) {
  const [wanted, want] = useState(null);
  const machines = (useAnswer(wanted && '/machines?limit=1000').data?.items ?? []).filter((each) => each.state === 'live').map((each) => each.machine_id);
  const first = [...machines.filter((each) => holders.includes(each)), ...machines.filter((each) => !holders.includes(each))];
  return html`<h2 id="releases">Versions at CivitAI</h2>${checked && html`<p class="muted small">As of <${Time} at=${checked} /></p>`}
    <${Table} label="Versions at CivitAI" rows=${rows} id=${(row) => row.version_id} columns=${[
      ['Version', (row) => row.name || row.version_id],
      ['Published', (row) => html`<${Time} at=${row.published} />`, 'tight'],
      ['Base model', (row) => row.base || '–', '', (row) => row.base],
      ['Size', (row) => bytes(row.size), 'num'],
      ['State', (row) => html`<${Badge} tone=${row.newer ? 'busy' : row.own ? 'good' : 'idle'}>${row.own ? 'this one' : row.newer ? 'newer' : 'another'}<//>`, 'tight'],
      ['In the fleet', (row) => row.here.map((each, n) => html`${n ? ', ' : ''}<a key=${each} href=${link('models', each)}>${each}</a>`), 'prose', (row) => row.here.length],
      ['Act', (row) => !row.here.length && row.place && row.sources.length > 0 && html`<button class="quiet" aria-label=${`Fetch version ${row.name || row.version_id}`} onClick=${() => want(row)}>Fetch…</button>`],
    ]} />
    ${wanted && machines.length > 0 && html`<${FetchDialog} model=${wanted.place || name} machines=${first} exactly=${exactly(wanted)} onClose=${() => want(null)} />`}`;
}

const exactly = ({ place, sources, hash, size }) => ({ path: place, sources, ...(hash && { hash }), ...(size && { size }) });

const PAST = 30;

/** What was told of it last. */
function Past({ name }) {
  const { data, problem, again } = useAnswer(asked('/events', { model: name, limit: PAST }));
  useEffect(() => heard((kind, event) => event.data && concerns(event, name) && again()), [name, again]);
  const rows = [...(data?.items ?? [])].reverse();
  const further = data?.older && html`<p class="further"><a href=${`/ui/events?${new URLSearchParams({ model: name })}`}>${rows.length ? 'All its events' : 'Look further back'}</a></p>`;
  if (problem) return html`<${Trouble} problem=${problem} />`;
  if (!data) return html`<${Loading} />`;
  if (!rows.length) return html`<p class="muted">Nothing was told of it ${data.older ? 'among the last events' : 'in the events that are kept'}.</p>${further}`;
  return html`<${Table} label="History" rows=${rows} id=${(row) => row.id} columns=${[
    ['When', (row) => html`<${Time} at=${row.at} />`, 'tight'],
    ['Machine', (row) => html`<a href=${link('machines', row.machine_id)}>${row.machine_id}</a>`],
    ['What', (row) => KINDS[row.kind] ?? row.kind, 'tight'],
    ['Said', (row) => (row.data.models ? '' : told(row)), 'prose', (row) => !row.data.models],
  ]} />${further}`;
}
