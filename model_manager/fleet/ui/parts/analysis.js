// A workflow or a picture that was dropped: what it needs, who has it, what is missing where, and how far its fetching is.
import { html, useCallback, useState } from '../vendor/preact-htm.js';
import { link } from '../address.js';
import { ask, useAnswer, useRefresh } from '../api.js';
import { bytes, counted, percent } from '../words.js';
import { fetchThere } from './fetching.js';
import { Badge, Empty, Named, Outside, Table, Trouble } from './pieces.js';

const MOST = 64 * 1024 * 1024;
const SMALL = 8 * 1024 * 1024; // what is asked again by itself when something changes
const CHANGES = ['model.', 'inventory.', 'machine.'];

export function Analysis() {
  const [over, hover] = useState(false);
  const [state, set] = useState({ file: null, busy: false, found: null, problem: null });
  const look = async (file, quiet = false) => {
    if (!file) return;
    if (file.size > MOST) return set({ file: null, found: null, problem: new Error(`${file.name} is larger than ${bytes(MOST)}. Drop the workflow itself.`) });
    if (!quiet) set({ file, busy: true, found: null, problem: null });
    try {
      const found = await ask('/workflows/analyze', { method: 'POST', body: file, headers: { 'Content-Type': file.type || 'application/octet-stream' } });
      set((old) => (old.file === file ? { file, busy: false, found, problem: null } : old));
    } catch (problem) {
      set((old) => (old.file === file ? { ...old, busy: false, problem } : old));
    }
  };
  const { file } = state;
  const again = useCallback(() => file && file.size <= SMALL && look(file, true), [file]);
  useRefresh(again, 5000, CHANGES);
  const dropped = (event) => {
    event.preventDefault();
    hover(false);
    look(event.dataTransfer.files[0]);
  };
  return html`
    <label class=${over ? 'drop over' : 'drop'} onDragOver=${(event) => (event.preventDefault(), hover(true))} onDragLeave=${() => hover(false)} onDrop=${dropped}>
      <span><strong>Drop a workflow here</strong>, or a picture or video that carries one.</span>
      <span class="muted small">It says what the workflow needs, who can run it and what is missing where. Nothing is kept.</span>
      <input type="file" onChange=${(event) => look(event.target.files[0])} />
    </label>
    <div aria-live="polite">
      ${state.busy && html`<p class="muted">It is read…</p>`}
      <${Trouble} problem=${state.problem} />
    </div>
    ${state.found && html`<${Found} found=${state.found} name=${file.name} />`}`;
}

const pathOf = (each) => `${each.folder}/${each.name}`;

/** What a machine is told of a model: the addresses that only the workflow knows; all others the fleet finds. */
function placed(model) {
  const path = pathOf(model);
  if (!model.sources.length || model.sources.some((each) => each.teller === 'catalog')) return { path };
  return { path, sources: model.sources.map((each) => each.url), ...(model.hash && { hash: model.hash }), ...(model.size && { size: model.size }) };
}

/** Of a machine's missing models those that somebody says the place of; else those that other machines have, who may know one. */
const known = (found, row) => {
  const models = new Map(found.models.map((each) => [pathOf(each), each]));
  const lacking = row.missing.map((each) => models.get(pathOf(each))).filter(Boolean);
  const sourced = lacking.filter((each) => each.sources.length);
  return (sourced.length ? sourced : lacking.filter((each) => each.machines)).map(placed);
};

const sourced = (row) => {
  if (row.machines) return '';
  if (row.sources.some((each) => each.teller === 'catalog')) return 'The catalog says where it is.';
  return row.sources.length ? html`The workflow says where it is: <${Outside} url=${row.sources[0].url} />` : 'Nobody says where it is: add it to the catalog.';
};

function Found({ found, name }) {
  const able = found.items.filter((row) => row.has_all && row.state === 'live').length;
  const moving = useAnswer('/downloads?limit=1000', { every: 1500, on: ['model.download'] }).data?.items ?? [];
  const progress = (row) => moving.filter((each) => each.machine_id === row.machine_id && row.missing.some((lack) => pathOf(lack) === each.model));
  return html`<h2>${name}</h2>
    <p><${Badge} tone=${able ? 'good' : 'warn'}>${able ? `${counted(able, 'machine')} can run it now` : 'No machine can run it now'}<//> It needs ${counted(found.models.length, 'model')}.${found.complete ? '' : ' Not everything in it could be read.'}</p>
    ${(found.doubts ?? []).map((doubt) => html`<p key=${doubt} class="notice">The catalog was not asked: ${doubt}</p>`)}
    ${found.models.length > 0 && html`<${Table} label="Models of the dropped workflow" rows=${found.models} columns=${[
      ['Model', (row) => (row.machines ? html`<a href=${link('models', pathOf(row))}><${Named} text=${pathOf(row)} /></a>` : html`<${Named} text=${pathOf(row)} />`), 'name'],
      ['Where', (row) => html`<${Badge} tone=${row.verified ? 'good' : row.machines ? 'warn' : 'bad'}>${row.machines ? counted(row.machines, 'machine') : 'nobody has it'}<//>`, 'tight'],
      ['Size', (row) => bytes(row.size), 'num'],
      ['Confidence', (row) => (typeof row.confidence === 'number' ? `${Math.round(100 * row.confidence)} %` : row.confidence), 'tight'],
      ['Why', (row) => html`${row.reason}${row.active ? '' : ' It takes no part in a run.'} ${sourced(row)}`, 'prose'],
    ]} />`}
    <h2>Machines</h2>
    ${found.items.length === 0 && html`<${Empty}>No machine is here. Start an agent with the same REDIS_URL.<//>`}
    ${found.items.length > 0 && html`<${Table} label="Machines for the dropped workflow" rows=${found.items} id=${(row) => row.machine_id} columns=${[
      ['Machine', (row) => html`<a href=${link('machines', row.machine_id)}>${row.machine_id}</a>`],
      ['State', (row) => html`<${State} row=${row} moving=${progress(row)} />`, 'tight'],
      ['Missing there', (row) => row.missing.map((each) => `${each.how} ${pathOf(each)}`).join(', '), 'prose', (row) => row.missing.length],
      ['To fetch', (row) => (row.missing.length ? toFetch(row) : '–'), 'num', (row) => row.missing.length],
      ['Fits', (row) => (row.missing.length ? ({ true: 'yes', false: 'no' })[row.fits] ?? 'unknown' : '–'), '', (row) => row.missing.length],
      ['Act', (row) => html`<${Fetch} row=${row} models=${known(found, row)} moving=${progress(row).length > 0} />`],
    ]} />`}
    ${found.oddities.length > 0 && html`<details><summary>${counted(found.oddities.length, 'oddity', 'oddities')}</summary>
      <ul class="plain">${found.oddities.map((each, n) => html`<li key=${n}>${each.node ? `${each.node}: ` : ''}${each.why}</li>`)}</ul></details>`}`;
}

const toFetch = (row) => `${row.bytes || !row.unknown ? bytes(row.bytes) : ''}${row.bytes && row.unknown ? ' and ' : ''}${row.unknown ? `${row.unknown} of unknown size` : ''}`;

function State({ row, moving }) {
  if (row.state !== 'live') return html`<${Badge} tone="bad">${row.state}<//>`;
  if (row.has_all) return html`<${Badge} tone="good">can run it<//>`;
  if (!moving.length) return html`<${Badge} tone="warn">${row.missing.length ? 'misses models' : 'unknown'}<//>`;
  const [done, whole] = moving.reduce(([a, b], each) => [a + each.bytes, b + (each.total ?? 0)], [0, 0]);
  return html`<${Badge} tone="busy">fetching${whole ? `, ${Math.floor(percent(done, whole))} %` : ''}<//>`;
}

/** One click; what nobody says the place of is left out, and the table above says so. */
function Fetch({ row, models, moving }) {
  if (row.state !== 'live' || !row.missing.length || moving) return null;
  if (!models.length) return html`<span class="muted small">nobody says where</span>`;
  const rest = row.missing.length - models.length;
  return html`<button class="quiet" aria-label=${`Fetch on ${row.machine_id}`} onClick=${() => fetchThere([row.machine_id], models)}>
    ${rest ? `Fetch ${models.length} of ${row.missing.length}` : 'Fetch there'}</button>`;
}
