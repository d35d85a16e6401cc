// What is told of a model, who tells it, and what a person says instead.
import { html, useState } from '../vendor/preact-htm.js';
import { named, write } from '../api.js';
import { Badge, Copied, Field, Table, Time } from './pieces.js';
import { say } from './saying.js';

const OURS = [
  ['name', 'Name'], ['civitai_model_base', 'Base model'], ['type', 'Type'], ['tags', 'Tags'], ['notes', 'Notes'], ['civitai_trained_words', 'Trigger words'],
  ['civitai_id', 'CivitAI model'], ['civitai_version_id', 'CivitAI version'],
];
const WORDS = new Map(OURS);
const LISTS = new Set(['tags', 'civitai_trained_words']);
const NUMBERS = new Set(['civitai_id', 'civitai_version_id']);

function meant(field, text) {
  if (!text) return null;
  if (LISTS.has(field)) return text.split(',').map((each) => each.trim()).filter(Boolean);
  return NUMBERS.has(field) && /^\d+$/.test(text) ? Number(text) : text;
}

/** Lists also come as their JSON, as databases of other programs have them. */
function shown(value) {
  if (Array.isArray(value)) return value.join(', ');
  if (typeof value === 'object' && value) return JSON.stringify(value);
  const text = String(value ?? '');
  if (!/^\[.*\]$/s.test(text)) return text;
  try {
    return JSON.parse(text).join(', ');
  } catch {
    return text;
  }
}

/** Each teller's word of a field, the believed one first. `details` as /model-details answers it. */
export function Provenance({ details, again }) {
  const [field, choose] = useState('name');
  const [text, type] = useState('');
  const save = async (name, value) => {
    try {
      const path = named('api', 'v1', 'models', String(details.model.id), 'fields');
      if (!(await write(path, { [name]: value }, { method: 'PUT' }))) return;
      say(value === null ? 'It was taken back.' : 'It is kept, whatever a scan finds.');
      type('');
      again();
    } catch (trouble) {
      say(trouble.message);
    }
  };
  const first = new Map();
  details.told.forEach((row) => first.has(row.field) || first.set(row.field, row));
  const edit = (row) => (choose(row.field), type(shown(row.value)), document.getElementById('instead')?.focus());
  return html`
    ${details.told.length === 0 && html`<p class="muted">Nobody told anything of it. Say it yourself, or have CivitAI asked.</p>`}
    ${details.told.length > 0 && html`<${Table} label="What is told of it" rows=${details.told} id=${(row) => `${row.field} ${row.teller}`} columns=${[
      ['Field', (row) => WORDS.get(row.field) ?? row.field],
      ['Value', (row) => html`${shown(row.value)} ${row.field === 'civitai_trained_words' && html`<${Copied} text=${shown(row.value)} what="the trigger words" />`}`, 'prose'],
      ['Told by', (row) => html`<${Badge} tone=${row.teller === 'manual' ? 'busy' : 'idle'}>${row.teller === 'manual' ? 'you' : row.teller}<//>`, 'tight'],
      ['When', (row) => html`<${Time} at=${row.at} />`, 'tight'],
      ['Believed', (row) => (first.get(row.field) === row ? html`<${Badge} tone="good">yes<//>` : html`<span class="muted">no</span>`), 'tight'],
      ['Act', (row) => (row.teller === 'manual' ? html`<button class="quiet" aria-label=${`Take back ${row.field}`} onClick=${() => save(row.field, null)}>Take it back</button>`
        : first.get(row.field) === row && WORDS.has(row.field) && html`<button class="quiet" aria-label=${`Correct ${row.field}`} onClick=${() => edit(row)}>Correct</button>`)],
    ]} />`}
    ${details.claims?.length > 0 && html`<details><summary>Hashes that others claim</summary><${Table} label="Claimed hashes" rows=${details.claims} columns=${[
      ['Kind', (row) => row.algorithm, 'tight'], ['Hash', (row) => html`<code>${row.hex}</code>`], ['Claimed by', (row) => row.who]]} /></details>`}
    <form class="filters" onSubmit=${(event) => (event.preventDefault(), save(field, meant(field, text)))}>
      <${Field} label="Say it yourself"><select value=${field} onChange=${(event) => choose(event.target.value)}>${OURS.map(([each, word]) => html`<option key=${each} value=${each}>${word}</option>`)}</select><//>
      <${Field} label=${LISTS.has(field) ? 'Values, with commas' : 'Value'}><input id="instead" value=${text} required onInput=${(event) => type(event.target.value)} /><//>
      <button>Keep it</button>
    </form>`;
}
