// What can be done with one model: fetch it to another machine, read it again, ask CivitAI, remove it and bring it back.
import { html, useState } from '../vendor/preact-htm.js';
import { link } from '../address.js';
import { named, useAnswer, write } from '../api.js';
import { bytes, counted } from '../words.js';
import { FetchDialog } from './fetching.js';
import { Dialog, Table, Time, Trouble } from './pieces.js';
import { say } from './saying.js';

const MODELS = ['api', 'v1', 'models'];

/** `name` is `folder/name`; `holders` machines that have it; `row` what is known of it, null until it is. */
export function ModelActions({ name, holders, row, again }) {
  const [open, set] = useState('');
  const id = row?.id;
  const machines = useAnswer('/machines?limit=1000', { every: 15_000, on: ['machine.'] }).data?.items ?? [];
  const without = machines.filter((each) => each.state === 'live' && !holders.includes(each.machine_id)).map((each) => each.machine_id);
  const ask = async (what) => {
    try {
      const answer = await write(named(...MODELS, String(id), what), {});
      if (answer) say(answer.message);
      again();
    } catch (problem) {
      say(problem.message);
    }
  };
  const close = () => set('');
  return html`<div class="row actions" role="group" aria-label="Actions">
    <button onClick=${() => set('fetch')}>Fetch to a machine…</button>
    <button class="quiet" disabled=${!id} title="have its machines read its bytes" onClick=${() => ask('calculate-hash')}>Verify</button>
    <button class="quiet" disabled=${!id} title="by SHA-256, never by name" onClick=${() => ask('refresh-metadata')}>Ask CivitAI</button>
    <button class="quiet" disabled=${!id} title="have a machine tell anew what it knows of it besides its bytes" onClick=${() => ask('rescan')}>Look again</button>
    <button class="quiet" onClick=${() => set('remove')}>Remove…</button>
    ${open === 'fetch' && html`<${FetchDialog} model=${name} machines=${without} onClose=${close} />`}
    ${open === 'remove' && html`<${Remove} name=${name} place=${row?.local_path} onClose=${close} />`}
  </div>`;
}

const DELETE = '/api/v1/models/delete-from-disk';

/** What would go is said first. What went can be brought back here, for as long as its machines keep it. */
function Remove({ name, place, onClose }) {
  const [state, set] = useState({ said: null, problem: null, busy: false });
  const drop = (more) => write(DELETE, { filename: name.slice(name.indexOf('/') + 1), ...more }, { method: 'DELETE' });
  const ask = async (confirm) => {
    const sure = confirm ? { confirm } : {};
    set({ ...state, busy: true });
    try {
      const said = await drop(sure).catch((problem) => {
        if (problem.status !== 409 || !place) throw problem;
        return drop({ ...sure, local_path: place }); // several folders have this name
      });
      set({ said: said ?? state.said, problem: null, busy: false });
    } catch (problem) {
      set({ ...state, problem, busy: false });
    }
  };
  const undo = async () => {
    try {
      const back = await write('/api/v1/models/restore', { order: state.said.order });
      if (back) onClose(say(back.message));
    } catch (problem) {
      set({ ...state, problem });
    }
  };
  const { said, problem, busy } = state;
  const gone = said && !said.dry_run && said.deletedFiles.length > 0;
  return html`<${Dialog} title=${`Remove ${name}`} onClose=${onClose}>
    <${Trouble} problem=${problem} />
    ${!said && html`<p>It is moved aside on every machine that holds it, with its pictures and notes, and can be brought back for a week. What an assignment requires stays.</p>`}
    ${said && html`<p role="status">${gone ? `${counted(said.deletedFiles.length, 'file')} moved aside` : `${counted(said.deletedFiles.length, 'file')} would be moved aside`}, ${bytes(said.bytes)}.${gone && said.until ? html` They are kept until <${Time} at=${said.until} />.` : ''}</p>
      ${said.deletedFiles.length > 0 && html`<${Table} label="Files" rows=${said.deletedFiles} columns=${[['Machine', (row) => html`<a href=${link('machines', row.machine_id)}>${row.machine_id}</a>`], ['Path', (row) => html`<code>${row.path}</code>`]]} />`}
      ${said.errors.length > 0 && html`<h3>What stays</h3><${Table} label="What stays" rows=${said.errors} columns=${[['Machine', (row) => row.machine_id], ['Why', (row) => row.why, 'prose']]} />`}`}
    <div class="row end"><button type="button" class="quiet" onClick=${onClose}>${gone ? 'Close' : 'Cancel'}</button>
      ${!said && html`<button disabled=${busy} onClick=${() => ask(false)}>See what would go</button>`}
      ${said?.dry_run && said.deletedFiles.length > 0 && html`<button class="danger" disabled=${busy} onClick=${() => ask(true)}>Remove ${counted(said.deletedFiles.length, 'file')}</button>`}
      ${gone && html`<button disabled=${busy} onClick=${undo}>Bring it back</button>`}</div>
  <//>`;
}
