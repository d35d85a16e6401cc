// What a cell of the matrix means, and what can be done there.
import { html, useState } from '../vendor/preact-htm.js';
import { link } from '../address.js';
import { named, write } from '../api.js';
import { bytes } from '../words.js';
import { Dialog } from './pieces.js';
import { FetchDialog } from './fetching.js';
import { say } from './saying.js';

export const STATES = {
  R: ['●', 'ready', 'good'],
  u: ['◐', 'unverified', 'warn'],
  m: ['✕', 'mismatch', 'bad'],
  d: ['↓', 'downloading', 'busy'],
  v: ['↻', 'verifying', 'busy'],
  q: ['◌', 'queued', 'busy'],
  f: ['!', 'failed', 'bad'],
  s: ['○', 'stale', 'idle'],
  '-': ['·', 'absent', 'idle'],
};

export const stateOf = (row, at) => STATES[row.cells[at]] ?? ['?', 'unknown', 'idle'];

export function CellDialog({ row, column, word, onClose }) {
  const machine = column.machine_id;
  const [fetching, fetch] = useState(false);
  const act = async (what) => {
    await what();
    onClose();
  };
  const verify = async () => {
    try {
      if (await write(named('machines', machine, 'verify'), { files: [row.model] })) say(`${machine} reads it again.`);
    } catch (problem) {
      say(problem.message);
    }
  };
  if (fetching) return html`<${FetchDialog} model=${row.model} machines=${[machine]} onClose=${onClose} />`;
  return html`<${Dialog} title=${row.model} onClose=${onClose}>
    <dl class="facts"><dt>On</dt><dd>${machine} (${column.state})</dd><dt>State</dt><dd>${word}</dd><dt>Size</dt><dd>${bytes(row.size)}</dd>
      <dt>In the fleet</dt><dd>${row.copies} on ${row.machines}${row.single ? ': lost with that machine' : ''}</dd></dl>
    <div class="row end">
      <a href=${link('models', row.model)}>The model</a><a href=${link('machines', machine)}>The machine</a>
      ${word === 'absent' || word === 'failed' ? html`<button disabled=${column.state !== 'live'} onClick=${() => fetch(true)}>Fetch there…</button>` : html`<button onClick=${() => act(verify)}>Verify it there</button>`}
    </div>
  <//>`;
}
