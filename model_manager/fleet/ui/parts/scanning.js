// A scan of every machine: its counters, what each machine says, and an end before the end.
import { html, useEffect, useRef, useState } from '../vendor/preact-htm.js';
import { useAnswer, write } from '../api.js';
import { number } from '../words.js';
import { Badge, Dialog, Figure, Table, Trouble } from './pieces.js';
import { link } from '../address.js';
import { say } from './saying.js';

const SCAN = '/api/v1/models/scan';
const TONES = { waiting: 'idle', begun: 'busy', done: 'good', refused: 'bad', dropped: 'bad' };
const COUNTERS = [
  ['total', 'files'], ['added', 'added'], ['updated', 'updated'], ['hashesCalculated', 'hashes computed'], ['hashesSkipped', 'hashes known'], ['errors', 'errors'],
];
const GOING = new Set(['running', 'stopping']);
const STATES = { done: 'good', stopped: 'warn', idle: 'idle' };

export function Scan() {
  const [shown, show] = useState(false);
  const begin = async () => {
    try {
      if (await write(SCAN, {})) show(true);
    } catch (problem) {
      say(problem.message);
    }
  };
  return html`<button class="quiet" onClick=${begin}>Scan all machines</button>
    ${shown && html`<${Progress} onClose=${() => show(false)} />`}`;
}

function Progress({ onClose }) {
  const { data, problem, again } = useAnswer(SCAN, { every: 1000, on: ['order.', 'scan.'] });
  const state = data?.state;
  const was = useRef(state);
  useEffect(() => {
    if (GOING.has(was.current) && !GOING.has(state)) say(data.message);
    was.current = state;
  }, [state]);
  const stop = async () => {
    try {
      const answer = await write(`${SCAN}/stop`, {});
      if (answer) say(answer.message);
      again();
    } catch (trouble) {
      say(trouble.message);
    }
  };
  return html`<${Dialog} title="Scan" onClose=${onClose}>
    <${Trouble} problem=${problem} />
    ${data && html`
      <p class="row"><${Badge} tone=${STATES[state] ?? 'busy'}>${state}<//> <span>${data.message}</span></p>
      <dl class="figures small">${COUNTERS.map(([name, word]) => html`<${Figure} key=${name} label=${word} value=${number(data.stats[name])} />`)}</dl>
      ${data.hashesWaiting > 0 && html`<p class="muted">${number(data.hashesWaiting)} files are still to be read for their hashes. That goes on behind.</p>`}
      <${Table} label="Machines" rows=${data.machines} id=${(row) => row.machine_id} columns=${[
        ['Machine', (row) => html`<a href=${link('machines', row.machine_id)}>${row.machine_id}</a>`],
        ['State', (row) => html`<${Badge} tone=${TONES[row.state] ?? 'idle'}>${row.state}<//>`, 'tight'],
        ['Found', (row) => row.why],
      ]} />`}
    <div class="row end"><span class="muted small">It goes on when this is closed.</span>
      ${GOING.has(state) && html`<button class="quiet" disabled=${state === 'stopping'} onClick=${stop}>Stop it</button>`}</div>
  <//>`;
}
