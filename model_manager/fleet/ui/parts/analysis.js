// A workflow or a picture that was dropped: what it needs, who has it, and what is missing where.
import { html, useState } from '../vendor/preact-htm.js';
import { link } from '../address.js';
import { ask } from '../api.js';
import { bytes, counted, number } from '../words.js';
import { push } from './acting.js';
import { Badge, Empty, Table, Trouble } from './pieces.js';

const MOST = 64 * 1024 * 1024;

export function Analysis() {
  const [over, hover] = useState(false);
  const [state, set] = useState({ busy: false, found: null, problem: null });
  const look = async (file) => {
    if (!file) return;
    if (file.size > MOST) return set({ found: null, problem: new Error(`${file.name} is larger than ${bytes(MOST)}. Drop the workflow itself.`) });
    set({ busy: true, found: null, problem: null });
    try {
      const found = await ask('/workflows/analyze', { method: 'POST', body: file, headers: { 'Content-Type': file.type || 'application/octet-stream' } });
      set({ busy: false, found: { ...found, name: found.name || file.name }, problem: null });
    } catch (problem) {
      set({ busy: false, found: null, problem });
    }
  };
  const dropped = (event) => {
    event.preventDefault();
    hover(false);
    look(event.dataTransfer.files[0]);
  };
  return html`
    <label class=${over ? 'drop over' : 'drop'} style=${{ display: 'block' }} onDragOver=${(event) => (event.preventDefault(), hover(true))} onDragLeave=${() => hover(false)} onDrop=${dropped}>
      Drop a workflow here, or a picture or video that carries one. Nothing is kept.
      <input type="file" onChange=${(event) => look(event.target.files[0])} />
    </label>
    <div aria-live="polite">
      ${state.busy && html`<p class="muted">It is read…</p>`}
      <${Trouble} problem=${state.problem} />
      ${state.found && html`<${Found} found=${state.found} />`}
    </div>`;
}

function Found({ found }) {
  const able = found.items.filter((row) => row.has_all && row.state === 'live').length;
  return html`<h2>${found.name}</h2>
    <p>${counted(found.models.length, 'model')}; ${counted(able, 'machine')} can run it now.${found.complete ? '' : ' Not everything in it could be read.'}</p>
    ${found.models.length > 0 && html`<${Table} label="Models of the dropped workflow" rows=${found.models} columns=${[
      ['Model', (row) => html`<a href=${link('models', `${row.folder}/${row.name}`)}>${row.folder}/${row.name}</a>`],
      ['Where', (row) => html`<${Badge} tone=${row.verified ? 'good' : row.machines ? 'warn' : 'bad'}>${row.machines ? counted(row.machines, 'machine') : 'nobody has it'}<//>`, 'tight'],
      ['Confidence', (row) => (typeof row.confidence === 'number' ? `${Math.round(100 * row.confidence)} %` : row.confidence), 'num'],
      ['Why', (row) => `${row.reason}${row.active ? '' : ' It takes no part in a run.'}`],
    ]} />`}
    <h2>Machines</h2>
    ${found.items.length === 0 && html`<${Empty}>No machine is here.<//>`}
    ${found.items.length > 0 && html`<${Table} label="Machines for the dropped workflow" rows=${found.items} id=${(row) => row.machine_id} columns=${[
      ['Machine', (row) => html`<a href=${link('machines', row.machine_id)}>${row.machine_id}</a>`],
      ['State', (row) => html`<${Badge} tone=${row.state !== 'live' ? 'bad' : row.has_all ? 'good' : 'warn'}>${row.state !== 'live' ? row.state : row.has_all ? 'can run it' : 'misses models'}<//>`, 'tight'],
      ['Missing there', (row) => row.missing.map((each) => `${each.how} ${each.folder}/${each.name}`).join(', ')],
      ['To fetch', (row) => `${bytes(row.bytes)}${row.unknown ? ` and ${row.unknown} of unknown size` : ''}`, 'num'],
      ['Fits', (row) => ({ true: 'yes', false: 'no' })[row.fits] ?? 'unknown'],
      ['Act', (row) => row.state === 'live' && row.missing.length > 0 && html`<button class="quiet" aria-label=${`Fetch on ${row.machine_id}`}
        onClick=${() => push([row.machine_id], { models: row.missing.map((each) => each.name) })}>Fetch</button>`],
    ]} />`}
    ${found.oddities.length > 0 && html`<details><summary>${counted(found.oddities.length, 'oddity', 'oddities')}</summary>
      <ul class="plain">${found.oddities.map((each, n) => html`<li key=${n}>${each.node ? `${each.node}: ` : ''}${each.why}</li>`)}</ul></details>`}`;
}
