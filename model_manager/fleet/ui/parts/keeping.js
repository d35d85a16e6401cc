// What people told of models, and other programs did: taken in from StableQueue, cleaned, or emptied.
import { html, useState } from '../vendor/preact-htm.js';
import { write } from '../api.js';
import { counted, number } from '../words.js';
import { Dialog, Field, Figure, Table, Trouble } from './pieces.js';
import { say } from './saying.js';

const SHOWN = 50; // rows that were left out

export function Store() {
  const [shown, show] = useState(false);
  return html`<button class="quiet" onClick=${() => show(true)}>Database…</button>
    ${shown && html`<${Kept} onClose=${() => show(false)} />`}`;
}

function Kept({ onClose }) {
  const [state, set] = useState({ problem: null, busy: false });
  const act = async (doing) => {
    set({ problem: null, busy: true });
    let problem = null;
    try {
      await doing();
    } catch (trouble) {
      problem = trouble;
    }
    set({ problem, busy: false });
  };
  return html`<${Dialog} title="What was told of models" onClose=${onClose}>
    <p class="muted">Fields that people set, what CivitAI told, and what servers said that they hold. No file of a model is touched here.</p>
    <${Trouble} problem=${state.problem} />
    <${Import} act=${act} busy=${state.busy} />
    <${Cleaning} act=${act} busy=${state.busy} />
  <//>`;
}

/** It is read first, and says what it would come to; nothing is entered before somebody has seen that. */
function Import({ act, busy }) {
  const [file, choose] = useState(null);
  const [told, tell] = useState(null);
  const send = (dry) => act(async () => {
    const answer = await write(`/api/v1/import?dry_run=${dry}`, file, { type: 'application/octet-stream' });
    if (!answer) return;
    tell(answer);
    if (!dry) say(answer.message);
  });
  const chosen = (event) => {
    choose(event.target.files[0] ?? null);
    tell(null);
  };
  return html`<h3>Take in StableQueue’s database</h3>
    <${Field} label="Its file, mobilesd_models.sqlite"><input type="file" onChange=${chosen} /><//>
    ${told && html`<${Told} told=${told} />`}
    <div class="row end">
      ${file && !told && html`<button disabled=${busy} onClick=${() => send(true)}>See what it holds</button>`}
      ${told?.dry_run && told.models > 0 && html`<button disabled=${busy} onClick=${() => send(false)}>Take in ${counted(told.models, 'model')}</button>`}
    </div>`;
}

const Told = ({ told }) => html`<div role="status"><p>${told.message}</p>
  <dl class="figures small"><${Figure} label="rows" value=${number(told.rows)} /><${Figure} label="models" value=${number(told.models)} />
    <${Figure} label="of them here" value=${number(told.here)} /><${Figure} label="fields" value=${number(told.words)} />
    <${Figure} label="copies on servers" value=${number(told.claims)} /><${Figure} label="left out" value=${number(told.wrongs)} /></dl></div>
  ${told.wrong.length > 0 && html`<details><summary>What is left out, and why</summary><${Table} label="What is left out" rows=${told.wrong.slice(0, SHOWN)} columns=${[
    ['Where', (row) => row.where, 'name'], ['Why', (row) => row.why, 'prose']]} />${told.wrongs > SHOWN && html`<p class="muted">and ${number(told.wrongs - SHOWN)} more</p>`}</details>`}`;

function Cleaning({ act, busy }) {
  const [sure, ask] = useState(false);
  const post = (path) => act(async () => {
    const answer = await write(`/api/v1/models/${path}`, {});
    if (answer) say(answer.message);
    ask(false);
  });
  return html`<h3>Clean it</h3>
    <div class="row"><button class="quiet" disabled=${busy} onClick=${() => post('cleanup-duplicates')}>Forget models that are nowhere</button>
      ${!sure && html`<button class="quiet" disabled=${busy} onClick=${() => ask(true)}>Empty it…</button>`}</div>
    ${sure && html`<p class="notice" role="status">All fields that people set go, and what servers said. A copy is kept beside the store.</p>
      <div class="row end"><button class="quiet" onClick=${() => ask(false)}>Keep it</button><button class="danger" disabled=${busy} onClick=${() => post('reset-database')}>Empty it</button></div>`}`;
}
