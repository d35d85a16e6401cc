// The folders of all models: a tree beside the list, and on a phone a choice.
import { html } from '../vendor/preact-htm.js';
import { put } from '../address.js';
import { number } from '../words.js';
import { Field } from './pieces.js';

const parent = (path) => path.slice(0, path.lastIndexOf('/', path.length - 2) + 1);
const last = (path) => path.slice(parent(path).length, -1);
const depth = (path) => path.split('/').length - 2;

/** The folders at the top, those on the way to the chosen one, and those in it. */
const opened = (folders, under) => folders.filter(({ value }) => depth(value) === 0 || under.startsWith(parent(value)));

export function Folders({ folders = [], under, query }) {
  if (folders.length < 2) return null;
  const to = (value) => {
    const next = new URLSearchParams(query);
    if (value) next.set('under', value);
    else next.delete('under');
    return `/ui/models?${next}`;
  };
  const line = (value, word, models, deep) => html`<li key=${value}><a href=${to(value)} aria-current=${under === value ? 'true' : null} style=${{ paddingLeft: `${8 + 14 * deep}px` }}>
    <span title=${value}>${word}</span>${models === undefined ? null : html`<small>${number(models)}</small>`}</a></li>`;
  return html`<nav class="tree" aria-label="Folders" tabindex="0"><ul class="plain">
    ${line('', 'All folders', undefined, 0)}
    ${opened(folders, under).map(({ value, models }) => line(value, last(value), models, depth(value)))}
  </ul></nav>`;
}

export function FolderChoice({ folders = [], under }) {
  if (folders.length < 2) return null;
  return html`<div class="narrow"><${Field} label="Folder"><select value=${under} onChange=${(event) => put({ under: event.target.value })}>
    <option value="">all</option>
    ${folders.map(({ value, models }) => html`<option key=${value} value=${value}>${'– '.repeat(depth(value))}${last(value)} (${number(models)})</option>`)}
  </select><//></div>`;
}
