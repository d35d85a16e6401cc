// What can be asked of machines: an order and what became of it, and an assignment.
import { html, useState } from '../vendor/preact-htm.js';
import { ask, named, write } from '../api.js';
import { counted } from '../words.js';
import { Dialog, Field, Trouble } from './pieces.js';
import { say } from './saying.js';

const ORDERS = [
  ['scan', 'Scan', 'compare the model directories with the index'],
  ['verify', 'Verify', 'read every file again'],
  ['reload', 'Reload', 'adopt changed settings and tokens'],
];
const OVER = new Set(['done', 'refused', 'dropped']);

async function followed(order) {
  for (let n = 0; n < 300; n += 1) {
    const status = await ask(`${named('orders', order)}?limit=1000`);
    if (status.items.every((each) => OVER.has(each.state))) return status;
    await new Promise((wake) => setTimeout(wake, 1000));
  }
  return null;
}

function outcome(title, status) {
  if (!status) return `${title}: not done yet. The events say when it is.`;
  const parts = Object.entries(status.counts).filter(([, count]) => count);
  const why = status.items.find((each) => each.state !== 'done' && each.why)?.why;
  return `${title}: ${parts.map(([state, count]) => `${count} ${state}`).join(', ')}.${why ? ` ${why}` : ''}`;
}

async function order(what, title, machines) {
  try {
    const taken = await write('/orders', { what, machines });
    if (!taken) return;
    say(`${title} was handed to ${counted(machines.length, 'machine')}.`);
    say(outcome(title, await followed(taken.order)));
  } catch (problem) {
    say(problem.message);
  }
}

export function Actions({ machines, workflow = '', models }) {
  const [assigning, assign] = useState(false);
  const none = machines.length === 0;
  return html`<div class="row actions" role="group" aria-label="Actions">
    ${none && html`<span class="muted small hint">Choose machines first</span>`}
    <button disabled=${none} onClick=${() => assign(true)}>Assign…</button>
    ${ORDERS.map(([what, title, help]) => html`<button key=${what} class="quiet" disabled=${none} title=${help} onClick=${() => order(what, title, machines)}>${title}</button>`)}
    ${assigning && html`<${Assign} machines=${machines} workflow=${workflow} models=${models} onClose=${() => assign(false)} />`}
  </div>`;
}

const lines = (text) => text.split('\n').map((line) => line.trim()).filter(Boolean);

/** Hands machines an assignment. True when it was handed over. */
export async function push(machines, assignment, mode = 'add') {
  try {
    if (!(await write('/assignments', { machines, ...assignment, mode }))) return false;
    say(`Handed to ${counted(machines.length, 'machine')}. They adopt it by themselves.`);
    return true;
  } catch (problem) {
    say(problem.message);
    return false;
  }
}

export function Assign({ machines, workflow, onClose }) {
  const [text, set] = useState({ workflows: workflow, collections: '', mode: 'add' });
  const [problem, fail] = useState(null);
  const send = async (event) => {
    event.preventDefault();
    const assignment = { workflows: lines(text.workflows), collections: lines(text.collections) };
    if (!assignment.workflows.length) delete assignment.workflows;
    if (!assignment.collections.length) delete assignment.collections;
    if (!Object.keys(assignment).length) return fail(new Error('Name a workflow or a collection.'));
    if (await push(machines, assignment, text.mode)) onClose();
    return undefined;
  };
  const area = (name, label) => html`<${Field} label=${label}>
    <textarea rows="3" value=${text[name]} onInput=${(event) => set({ ...text, [name]: event.target.value })}></textarea>
  <//>`;
  return html`<${Dialog} title=${`Assign to ${machines.length === 1 ? machines[0] : counted(machines.length, 'machine')}`} onClose=${onClose}>
    <form onSubmit=${send}>
      <${Trouble} problem=${problem} />
      ${area('workflows', 'Workflows, one a line')}
      ${area('collections', 'Collections, one a line')}
      <${Field} label="What they were told before">
        <select value=${text.mode} onChange=${(event) => set({ ...text, mode: event.target.value })}>
          <option value="add">is kept; this is added</option>
          <option value="replace">is replaced by this</option>
        </select>
      <//>
      <div class="row end"><button type="button" class="quiet" onClick=${onClose}>Cancel</button><button>Assign</button></div>
    </form>
  <//>`;
}
