// Models of the fleet: a table or cards, searched as a person types.
import { html, useEffect, useState } from '../vendor/preact-htm.js';
import { link, put } from '../address.js';
import { usePaused } from '../api.js';
import { bytes, number } from '../words.js';
import { Badge, Empty, Field, Trouble } from '../parts/pieces.js';
import { FOLDERS, modelState } from '../parts/shelves.js';
import { Scan } from '../parts/scanning.js';
import { Cards, Rows, usePages, useSlices } from '../parts/virtual.js';

const KINDS = [
  ['', 'all models', {}],
  ['single', 'on one machine only', { single: true }],
  ['conflicting', 'same name, other bytes', { conflicting: true }],
  ['unverified', 'not all verified', { verified: false }],
];

export default function Models({ address }) {
  const { query } = address;
  const [q, type] = useState(query.get('q') || '');
  const paused = usePaused(q, 120);
  useEffect(() => put({ q: paused }), [paused]);
  const [folder, kind, as] = ['folder', 'only', 'as'].map((name) => query.get(name) || '');
  return html`
    <div class="title"><h1 tabindex="-1">Models</h1>
      <div class="row"><${Scan} />
      <div class="toggle" role="group" aria-label="Show as">
        ${[['', 'Table'], ['cards', 'Cards']].map(([value, word]) => html`<button key=${value} class="quiet" aria-pressed=${as === value} onClick=${() => put({ as: value })}>${word}</button>`)}
      </div></div>
    </div>
    <div class="filters">
      <${Field} label="Name or folder"><input type="search" value=${q} onInput=${(event) => type(event.target.value)} /><//>
      <${Field} label="Folder"><select value=${folder} onChange=${(event) => put({ folder: event.target.value })}>
        <option value="">all</option>${FOLDERS.map((each) => html`<option key=${each} value=${each}>${each}</option>`)}
      </select><//>
      <${Field} label="Only"><select value=${kind} onChange=${(event) => put({ only: event.target.value })}>
        ${KINDS.map(([value, word]) => html`<option key=${value} value=${value}>${word}</option>`)}
      </select><//>
    </div>
    <${Found} key=${kind} kind=${kind} q=${paused} folder=${folder} as=${as} />`;
}

const CHANGES = ['model.appeared', 'model.changed', 'model.vanished', 'inventory.'];

/** The search knows where each row is; the other filters are asked page after page. */
function Found({ kind, q, folder, as }) {
  const only = KINDS.find(([name]) => name === kind)?.[2] ?? {};
  const paged = 'conflicting' in only || 'verified' in only;
  const models = (paged ? usePages : useSlices)(paged ? '/models' : '/search', { q, folder, ...only }, { on: CHANGES });
  const total = models.total ?? 0;
  return html`<p class="muted" role="status">${models.total === null ? 'Looking…' : `${number(total)} found`}</p>
    <${Trouble} problem=${models.problem} />
    ${models.total === 0 && html`<${Empty}>No machine holds such a model.<//>`}
    ${total > 0 && (as === 'cards' ? html`<${Grid} models=${models} total=${total} />` : html`<${List} models=${models} total=${total} />`)}`;
}

const List = ({ models, total }) => html`<${Rows} label="Models" layout="models" count=${total} at=${models.at} need=${models.need} columns=${[
  ['Model', (row) => html`<a href=${link('models', row.model)} title=${row.model}>${row.model}</a>`],
  ['Size', (row) => bytes(row.size), 'num'],
  ['Machines', (row) => number(row.machines), 'num'],
  ['Verified', (row) => `${number(row.verified)} of ${number(row.copies)}`, 'num'],
  ['State', (row) => html`<${Badge} ...${modelState(row)} />`],
]} />`;

const Grid = ({ models, total }) => html`<${Cards} label="Models" count=${total} width=${240} height=${122} at=${models.at} need=${models.need}
  card=${(row) => html`<article class="card" aria-label=${row.model}>
    <div class="top"><a href=${link('models', row.model)} title=${row.model}>${row.name}</a></div>
    <div class="two"><span class="muted">${row.folder}</span><span>${bytes(row.size)}</span></div>
    <div class="foot"><${Badge} ...${modelState(row)} /><span>${number(row.machines)} ${row.machines === 1 ? 'machine' : 'machines'}</span></div>
  </article>`} />`;
