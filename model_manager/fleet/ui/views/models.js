// Models of the fleet: cards with previews or a table, filtered by an address, searched as a person types.
import { html, useState } from '../vendor/preact-htm.js';
import { link, put } from '../address.js';
import { asked, useAnswer } from '../api.js';
import { bytes, counted, iso, number } from '../words.js';
import { Choice, Search, useTyped } from '../parts/filters.js';
import { AsJson, Badge, Empty, Loading, Time, Trouble } from '../parts/pieces.js';
import { Preview } from '../parts/preview.js';
import { ONLY, modelState } from '../parts/shelves.js';
import { Scan } from '../parts/scanning.js';
import { Store } from '../parts/keeping.js';
import { Updates } from '../parts/updating.js';
import { FolderChoice, Folders } from '../parts/tree.js';
import { useSorting } from '../parts/sorting.js';
import { Cards, Rows, useSlices } from '../parts/virtual.js';

const CHANGES = ['model.appeared', 'model.changed', 'model.vanished', 'inventory.'];
const FILTERS = ['q', 'under', 'type', 'base', 'tag', 'only'];
const SHOWN = [...FILTERS, 'sort'];

export default function Models({ address }) {
  const { query } = address;
  const [q, type, paused] = useTyped('q', 120);
  const [more, show] = useState(() => SHOWN.some((name) => name !== 'q' && query.get(name)));
  const { under, only, as, ...chosen } = Object.fromEntries(['under', 'type', 'base', 'tag', 'only', 'as'].map((name) => [name, query.get(name) || '']));
  const facets = useAnswer('/facets', { every: 60_000, on: ['inventory.'] }).data;
  const sorting = useSorting(query.get('sort') || '', paused);
  const params = { q: paused, under, ...chosen, ...ONLY.find(([name]) => name === only)?.[2] };
  const models = useSlices('/search', params, { on: CHANGES, order: sorting.params });
  const filtered = FILTERS.some((name) => query.get(name));
  const clear = () => (type(''), put(Object.fromEntries(FILTERS.map((name) => [name, '']))));
  return html`
    <div class="title"><h1 tabindex="-1">Models</h1>
      <div class="row"><${Scan} /><${Updates} /><${Store} /><${Look} as=${as} /></div>
    </div>
    <div class=${more ? 'filters' : 'filters folded'}>
      <${Search} label="Name or folder" text=${q} type=${type} />
      <${FolderChoice} folders=${facets?.folders} under=${under} />
      <${Known} name="type" label="Type" value=${chosen.type} from=${facets?.types} />
      <${Known} name="base" label="Base model" value=${chosen.base} from=${facets?.bases} />
      <${Known} name="tag" label="Tag" value=${chosen.tag} from=${facets?.tags} />
      <${Choice} label="Only" name="only" value=${only} options=${ONLY.map(([value, word]) => [value, word])} />
      <${Choice} label="Sort" name="sort" value=${sorting.value} options=${sorting.options} />
      <span class="check"><button class="quiet phone" aria-expanded=${more} onClick=${() => show(!more)}>${more ? 'Fewer filters' : 'Filters'}</button><span class="muted" role="status">${models.total === null ? (models.problem ? '' : 'Looking…') : `${number(models.total)} found`}</span>
        ${filtered && html`<button class="quiet" onClick=${clear}>Clear filters</button>`}
        ${models.total > 0 && html`<${AsJson} path=${asked('/search', { ...params, ...sorting.params, limit: 1000 })} />`}</span>
    </div>
    <${Trouble} problem=${models.problem} />
    <div class="beside"><${Folders} folders=${facets?.folders} under=${under} query=${query} />
      <${Found} models=${models} as=${as} filtered=${filtered} sorting=${sorting} /></div>`;
}

const Look = ({ as }) => html`<div class="toggle" role="group" aria-label="Show as">
  ${[['', 'Cards'], ['table', 'Table']].map(([value, word]) => html`<button key=${value} class="quiet" aria-pressed=${as === value} onClick=${() => put({ as: value })}>${word}</button>`)}
</div>`;

/** What the fleet knows of a field, with how many models have it; nothing where nobody was told of it. */
function Known({ name, label, value, from = [] }) {
  if (!from.length && !value) return null;
  const known = from.some((each) => each.value === value) || !value ? from : [{ value, models: null }, ...from];
  const word = (each) => `${each.value}${each.models === null ? '' : ` (${number(each.models)})`}`;
  return html`<${Choice} label=${label} name=${name} value=${value} options=${[['', 'all'], ...known.map((each) => [each.value, word(each)])]} />`;
}

function Found({ models, as, filtered, sorting }) {
  if (models.total === 0) return html`<${Empty}>${filtered ? 'No model fits. Clear some of the filters.' : html`No machine holds a model yet. Choose machines on <a href="/ui/">Fleet</a> and assign a workflow to them, or put files into a models directory.`}<//>`;
  if (!models.total) return html`<div class="cards" aria-busy="true">${!models.problem && html`<${Loading} />`}</div>`;
  return as === 'table' ? html`<${List} models=${models} sorting=${sorting} />` : html`<${Grid} models=${models} sorting=${sorting} />`;
}

const List = ({ models, sorting }) => html`<${Rows} label="Models" layout="models" count=${models.total} at=${models.at} need=${models.need} sorting=${sorting} columns=${[
  ['Model', (row) => html`<a href=${link('models', row.model)} title=${row.model}>${row.model}</a>`, '', 'name'],
  ['Base model', (row) => row.base || ''],
  sorting.sort === 'bytes' ? ['In all', (row) => bytes(row.bytes), 'num', 'bytes'] : ['Size', (row) => bytes(row.size), 'num', 'size'],
  sorting.sort === 'copies' ? ['Copies', (row) => number(row.copies), 'num', 'copies'] : ['Machines', (row) => number(row.machines), 'num', 'machines'],
  sorting.sort === 'added' ? ['Added', (row) => html`<${Time} at=${iso(row.added)} />`, '', 'added'] : ['Last used', (row) => html`<${Time} at=${iso(row.last_used)} />`, '', 'used'],
  ['State', (row) => html`<${Badge} title=${`${number(row.verified)} of ${counted(row.copies, 'copy', 'copies')} verified`} ...${modelState(row)} />`],
]} />`;

/** Of a card that stands where it does for something else than its size: that. */
const FACTS = {
  used: (row) => (row.last_used ? html`used <${Time} at=${iso(row.last_used)} />` : 'no use known'),
  added: (row) => (row.added ? html`<${Time} at=${iso(row.added)} />` : ''),
  copies: (row) => counted(row.copies, 'copy', 'copies'),
  bytes: (row) => `${bytes(row.bytes)} in all`,
};

const Grid = ({ models, sorting }) => html`<${Cards} label="Models" count=${models.total} width=${170} height=${300} at=${models.at} need=${models.need} order=${sorting.value}
  card=${(row) => html`<article class="card model" aria-label=${row.model}>
    <${Preview} key=${row.preview} src=${row.preview} word=${row.type || row.folder} />
    ${row.updates && html`<span class="chip">update</span>`}
    <a href=${link('models', row.model)} title=${row.model}>${row.name}</a>
    <div class="two muted"><span>${row.base || row.type || row.folder}</span><span>${(FACTS[sorting.sort] ?? ((each) => bytes(each.size)))(row)}</span></div>
    <div class="foot"><${Badge} ...${modelState(row)} /><span title=${counted(row.machines, 'machine')}>on ${number(row.machines)}</span></div>
  </article>`} />`;
