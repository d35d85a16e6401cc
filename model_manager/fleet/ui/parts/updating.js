// Newer versions: CivitAI is asked when somebody wants it, and the answers are counted while they come.
import { html, useEffect, useState } from '../vendor/preact-htm.js';
import { useAnswer, write } from '../api.js';
import { number } from '../words.js';
import { Badge, Bar, Dialog, Figure, Loading, Time, Trouble } from './pieces.js';
import { say } from './saying.js';

const CHECK = '/models/check-updates';
const GOING = new Set(['running', 'waiting', 'stopping']);
const TONES = { done: 'good', failed: 'bad', 'broken off': 'bad', waiting: 'warn', stopped: 'idle', idle: 'idle' };

export function Updates() {
  const [shown, show] = useState(false);
  return html`<button class="quiet" onClick=${() => show(true)}>Updates…</button>
    ${shown && html`<${Check} onClose=${() => show(false)} />`}`;
}

function Check({ onClose }) {
  const { data, problem, again } = useAnswer(CHECK, { every: 1000 });
  const [was, saw] = useState('');
  const state = data?.state ?? '';
  const going = GOING.has(state);
  useEffect(() => {
    if (GOING.has(was) && state && !going) say(data.message);
    saw(state);
  }, [state]);
  const act = async (path, body) => {
    try {
      await write(path, body);
      again();
    } catch (trouble) {
      say(trouble.message);
    }
  };
  return html`<${Dialog} title="Newer versions" onClose=${onClose}>
    <${Trouble} problem=${problem} />
    ${!data && !problem && html`<${Loading} />`}
    ${data && html`
      <p class="row"><${Badge} tone=${going ? 'busy' : (TONES[state] ?? 'idle')}>${state === 'idle' ? 'not checked yet' : state}<//> <span>${data.message}</span></p>
      ${data.why && html`<p class="muted">${data.why}</p>`}
      ${going && html`<${Bar} value=${data.asked + data.fresh} whole=${data.total} tone="busy" label=${`${number(data.asked + data.fresh)} of ${number(data.total)}`} />`}
      <dl class="figures small">
        <${Figure} label="newer versions" value=${number(data.updates)} href=${data.updates ? '/ui/models?only=updates' : null} />
        <${Figure} label="known to CivitAI" value=${`${number(data.asked + data.fresh)} of ${number(data.total)}`} />
        <${Figure} label="not in its list" value=${number(data.absent)} />
      </dl>
      ${data.ended && html`<p class="muted small">Last checked <${Time} at=${data.ended} /></p>`}
      <p class="muted small">CivitAI is told its own numbers of models and nothing else, one question a second.</p>
      <div class="row end">
        ${data.updates > 0 && html`<a href="/ui/models?only=updates">Show them</a>`}
        ${going ? html`<button class="quiet" disabled=${state === 'stopping'} onClick=${() => act(`${CHECK}/stop`, {})}>Stop it</button>`
          : html`<button onClick=${() => act(CHECK, {})}>Ask CivitAI</button>`}
      </div>`}
  <//>`;
}
