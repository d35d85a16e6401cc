// A job to be submitted, and the warning before: where it could run, and what is missing.
import { html, useEffect, useRef, useState } from '../vendor/preact-htm.js';
import { link } from '../address.js';
import { write } from '../api.js';
import { counted } from '../words.js';
import { Badge, Dialog, Field, Named, Trouble } from './pieces.js';
import { say } from './saying.js';

const lines = (text) => text.split('\n').map((line) => line.trim()).filter(Boolean);
const START = { models: '', service: '', gpu: '', payload: '', policy: 'wait', priority: '' };

function body(form) {
  const asks = { models: lines(form.models) };
  if (form.service) asks.service = form.service;
  if (form.gpu) asks.gpu_memory_gb = Number(form.gpu);
  return { asks, payload: form.payload, policy: form.policy, ...(form.priority ? { priority: Number(form.priority) } : {}) };
}

export function Submit({ onClose, onDone }) {
  const [form, set] = useState(START);
  const [state, go] = useState({ checked: null, problem: null, busy: false });
  const change = (name) => (event) => {
    set({ ...form, [name]: event.target.value });
    go({ checked: null, problem: null, busy: false });
  };
  const send = async (dry) => {
    go({ ...state, busy: true });
    try {
      const answer = await write('/jobs', { ...body(form), ...(dry ? { dry_run: true } : {}) });
      if (!answer) return go({ ...state, busy: false });
      if (dry || answer.outcome === 'rejected') return go({ checked: answer, problem: null, busy: false });
      say(`Job ${answer.id} is ${answer.outcome}.`);
      return onDone();
    } catch (problem) {
      return go({ checked: null, problem, busy: false });
    }
  };
  return html`<${Dialog} title="Submit a job" onClose=${onClose}>
    <form onSubmit=${(event) => (event.preventDefault(), send(!state.checked))}>
      <${Trouble} problem=${state.problem} />
      <${Field} label="Models, one a line: a name, folder/name, sha256:…, or a hash"><textarea rows="3" value=${form.models} onInput=${change('models')}></textarea><//>
      <div class="columns">
        <${Field} label="Service"><input value=${form.service} placeholder="any" onInput=${change('service')} /><//>
        <${Field} label="GPU memory, GB"><input type="number" min="0" value=${form.gpu} onInput=${change('gpu')} /><//>
        <${Field} label="Priority"><input type="number" min="-1000" max="1000" value=${form.priority} placeholder="0" onInput=${change('priority')} /><//>
        <${Field} label="While a model is missing"><select value=${form.policy} onChange=${change('policy')}>
          <option value="wait">it waits</option><option value="fetch">it is fetched</option><option value="reject">the job is refused</option></select><//>
      </div>
      <${Field} label="Payload for the worker"><textarea rows="3" value=${form.payload} onInput=${change('payload')}></textarea><//>
      ${state.checked && html`<${Checked} answer=${state.checked} />`}
      <div class="row end">
        <button type="button" class="quiet" onClick=${onClose}>Cancel</button>
        ${state.checked ? html`<button disabled=${state.busy}>${state.checked.eligible ? 'Submit' : 'Submit anyway'}</button>` : html`<button disabled=${state.busy}>Check first</button>`}
      </div>
    </form>
  <//>`;
}

function Checked({ answer }) {
  const box = useRef(null);
  useEffect(() => box.current.scrollIntoView({ block: 'nearest' }), [answer]);
  return html`<div ref=${box} class=${answer.eligible ? 'panel' : 'notice'} role="status">
    <p><${Badge} tone=${answer.eligible ? 'good' : 'warn'}>${answer.eligible ? `${counted(answer.eligible, 'machine')} can take it now` : 'No machine can take it now'}<//> ${answer.why}</p>
    ${answer.warnings.map((each) => html`<p key=${each}>${each}</p>`)}
    <${Marks} models=${answer.models} />
    <p class="small">${answer.machines.map((each, n) => html`${n ? ', ' : ''}<a key=${each} href=${link('machines', each)}>${each}</a>`)}</p>
  </div>`;
}

/** Each model of a job, and whether some machine has it. */
export const Marks = ({ models }) => html`<span class="marks">${models.map((each) => html`<${Badge} key=${each.model} tone=${each.available ? 'good' : 'bad'}
  title=${each.available ? counted(each.machines, 'machine') : 'nobody has it'}><${Named} text=${each.model} /><//>`)}</span>`;
