// A model for machines: where it could come from is asked and shown before anything is done.
import { html, useState } from '../vendor/preact-htm.js';
import { link } from '../address.js';
import { asked, useAnswer, write } from '../api.js';
import { bytes, counted } from '../words.js';
import { Badge, Dialog, Field, Loading, Outside, Table, Trouble } from './pieces.js';
import { say } from './saying.js';

/** Has machines fetch models beside what they are told to serve; `models` as POST /fetch takes them. True when one of them took it. */
export async function fetchThere(machines, models) {
  try {
    const answer = await write('/fetch', { machines, models });
    if (!answer) return false;
    const took = answer.items.filter((each) => each.accepted).length;
    const refused = answer.items.find((each) => !each.accepted);
    say(`${took ? `Handed to ${counted(took, 'machine')}.` : 'Nobody took it.'}${refused ? ` ${refused.machine_id}: ${refused.why}` : ' Downloads say how far it is.'}`);
    return took > 0;
  } catch (problem) {
    say(problem.message);
    return false;
  }
}

const WEIGHTS = { proven: 'good', told: 'idle', guess: 'warn' };

/**
 * `model` is `folder/name`; `machines` those it could go to, one of which is chosen. `exactly`: what is to be fetched where the place
 * is known already, as POST /fetch takes it; else the fleet is asked who knows one.
 */
export function FetchDialog({ model, machines, exactly, onClose }) {
  const { data, problem } = useAnswer(exactly ? null : asked('/sources', { model }));
  const [machine, choose] = useState(machines[0] ?? '');
  const [url, take] = useState('');
  const [typed, enter] = useState('');
  const [busy, wait] = useState(false);
  const best = data?.sources.find((each) => each.taken)?.url ?? '';
  const wanted = exactly ?? (url && url !== best ? { path: model, sources: [url], ...(data.hash && { hash: data.hash }), ...(data.size && { size: data.size }) } : { path: model });
  const send = async (event) => {
    event.preventDefault();
    wait(true);
    if (await fetchThere([machine], [wanted])) onClose();
    else wait(false);
  };
  return html`<${Dialog} title=${`Fetch ${model}`} onClose=${onClose}>
    <form onSubmit=${send}>
      <${To} machines=${machines} machine=${machine} choose=${choose} />
      <${Trouble} problem=${problem} />
      ${!exactly && !data && !problem && html`<${Loading} />`}
      ${exactly && html`<p>From <${Outside} url=${exactly.sources[0]} />${exactly.size ? `, ${bytes(exactly.size)}` : ''}. ${exactly.hash ? 'Its bytes are held against the SHA-256 that is published.' : 'Nobody publishes its SHA-256: its length and format are looked at.'}</p>`}
      ${data && html`<${Sources} told=${data} chosen=${url || best} take=${(each) => (enter(''), take(each))} />`}
      ${data && html`<${Field} label=${data.sources.length ? 'Or an address of your own' : 'Its address'}><input type="url" autocomplete="off" placeholder="https://…" value=${typed} onInput=${(event) => (enter(event.target.value), take(event.target.value.trim()))} /><//>`}
      <div class="row end"><button type="button" class="quiet" onClick=${onClose}>Cancel</button>
        <button disabled=${busy || !machine || !(exactly || url || best)}>Fetch there</button></div>
    </form>
  <//>`;
}

function To({ machines, machine, choose }) {
  if (!machines.length) return html`<p class="notice">Every machine that is here has it.</p>`;
  if (machines.length === 1) return html`<p>To <a href=${link('machines', machine)}>${machine}</a></p>`;
  return html`<${Field} label="To"><select value=${machine} onChange=${(event) => choose(event.target.value)}>${machines.map((each) => html`<option key=${each} value=${each}>${each}</option>`)}</select><//>`;
}

/** Where it could come from, the surest first; or what to do when nobody knows. */
function Sources({ told, chosen, take }) {
  return html`
    ${told.why && html`<p class="notice" role="status">${told.why}</p>`}
    ${told.doubts.map((each) => html`<p key=${each} class="muted small">Not asked: ${each}</p>`)}
    ${told.sources.length > 0 && html`<${Table} label="Where it could come from" rows=${told.sources} id=${(row) => row.url} columns=${[
      ['From', (row) => html`<span class="pick"><input type="radio" name="source" aria-label=${row.url} checked=${row.url === chosen} onChange=${() => take(row.url)} /><${Outside} url=${row.url} /></span>`, 'prose'],
      ['Said by', (row) => html`<${Badge} tone=${WEIGHTS[row.weight] ?? 'idle'} title=${row.why}>${row.teller}<//>`, 'tight'],
    ]} />`}
    ${told.size && html`<p class="muted small">${bytes(told.size)}${told.hash ? ', held against the hash that is promised' : ''}</p>`}`;
}
