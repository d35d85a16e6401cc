// A scan of every machine, with its counters.
import { html, useState } from '../vendor/preact-htm.js';
import { named, useAnswer, write } from '../api.js';
import { number } from '../words.js';
import { Badge, Dialog, Figure, Table, Trouble } from './pieces.js';
import { link } from '../address.js';
import { say } from './saying.js';

const TONES = { waiting: 'idle', begun: 'busy', done: 'good', refused: 'bad', dropped: 'bad' };

export function Scan() {
  const [order, follow] = useState(null);
  const begin = async () => {
    try {
      const taken = await write('/orders', { what: 'scan', all: true });
      if (taken) follow(taken.order);
    } catch (problem) {
      say(problem.message);
    }
  };
  return html`<button class="quiet" onClick=${begin}>Scan all machines</button>
    ${order && html`<${Progress} order=${order} onClose=${() => follow(null)} />`}`;
}

function Progress({ order, onClose }) {
  const { data, problem } = useAnswer(`${named('orders', order)}?limit=1000`, { every: 1000, on: ['order.', 'scan.'] });
  return html`<${Dialog} title="Scan" onClose=${onClose}>
    <${Trouble} problem=${problem} />
    ${data && html`<dl class="figures">${Object.keys(TONES).map((state) => html`<${Figure} key=${state} label=${state} value=${number(data.counts[state])} />`)}</dl>
      <${Table} label="Machines" rows=${data.items} id=${(row) => row.machine_id} columns=${[
        ['Machine', (row) => html`<a href=${link('machines', row.machine_id)}>${row.machine_id}</a>`],
        ['State', (row) => html`<${Badge} tone=${TONES[row.state] ?? 'idle'}>${row.state}<//>`],
        ['Found', (row) => row.why],
      ]} />`}
    <p class="muted small">It goes on when this is closed. A machine that is scanned says so in its events.</p>
  <//>`;
}
