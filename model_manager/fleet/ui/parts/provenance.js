// What is told of a model, who tells it, and what a person says instead.
import { html, useState } from '../vendor/preact-htm.js';
import { named, useAnswer, write } from '../api.js';
import { clock } from '../words.js';
import { Field, Table, Trouble } from './pieces.js';
import { say } from './saying.js';

const OURS = [
  ['name', 'Name'], ['civitai_model_base', 'Base model'], ['type', 'Type'], ['tags', 'Tags'], ['notes', 'Notes'], ['civitai_trained_words', 'Trigger words'],
  ['civitai_id', 'CivitAI model'], ['civitai_version_id', 'CivitAI version'],
];
const LISTS = new Set(['tags', 'civitai_trained_words']);
const NUMBERS = new Set(['civitai_id', 'civitai_version_id']);

function meant(field, text) {
  if (!text) return null;
  if (LISTS.has(field)) return text.split(',').map((each) => each.trim()).filter(Boolean);
  return NUMBERS.has(field) ? Number(text) : text;
}

const shown = (value) => (Array.isArray(value) ? value.join(', ') : typeof value === 'object' && value ? JSON.stringify(value) : String(value ?? ''));

export function Provenance({ hash }) {
  const path = named('api', 'v1', 'models', hash);
  const { data, problem, again } = useAnswer(`${path}/info`);
  const [field, choose] = useState('name');
  const [text, type] = useState('');
  const save = async (value) => {
    try {
      if (await write(`${path}/fields`, { [field]: value }, { method: 'PUT' })) say(value === null ? 'It was taken back.' : 'It is kept, whatever a scan finds.');
      type('');
      again();
    } catch (trouble) {
      say(trouble.message);
    }
  };
  if (problem?.status === 404) return html`<p class="muted">Nothing more is told of it.</p>`;
  const servers = data?.servers ?? [];
  return html`<${Trouble} problem=${problem} />
    ${data && html`
      ${data.fields?.length > 0 && html`<${Table} label="What is told of it" rows=${data.fields} id=${(row) => `${row.field} ${row.teller}`} columns=${[
        ['Field', (row) => row.field], ['Value', (row) => shown(row.value)], ['Told by', (row) => row.teller]]} />`}
      <form class="filters" onSubmit=${(event) => (event.preventDefault(), save(meant(field, text)))}>
        <${Field} label="Say it yourself"><select value=${field} onChange=${(event) => choose(event.target.value)}>${OURS.map(([each, word]) => html`<option key=${each} value=${each}>${word}</option>`)}</select><//>
        <${Field} label=${LISTS.has(field) ? 'Values, with commas' : 'Value'}><input value=${text} required onInput=${(event) => type(event.target.value)} /><//>
        <button>Keep it</button><button type="button" class="quiet" onClick=${() => save(null)}>Take it back</button>
      </form>
      ${servers.length > 0 && html`<h3>On other servers</h3><${Table} label="Other servers" rows=${servers} id=${(row) => row.server_id} columns=${[
        ['Server', (row) => row.server_id], ['State', (row) => row.state], ['Last seen', (row) => clock(row.last_seen)]]} />`}`}`;
}
