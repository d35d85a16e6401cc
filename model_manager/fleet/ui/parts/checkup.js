// What the catalog's doctor found: it visits every address that the catalog has, when somebody asks it to.
import { html, useState } from '../vendor/preact-htm.js';
import { useAnswer, write } from '../api.js';
import { ago, counted, number } from '../words.js';
import { Badge, Bar, Outside, Time } from './pieces.js';
import { say } from './saying.js';

const PATH = '/doctor?limit=1000';
const GOING = new Set(['running', 'stopping']);
const TONES = { done: 'good', stopped: 'idle', failed: 'bad', 'broken off': 'bad' };

const COLUMNS = [
  ['Model', (row) => row.name || row.id],
  ['Kind', (row) => html`<${Badge} tone=${row.mended ? 'good' : 'warn'}>${row.mended ? 'mended' : row.kind}<//>`, 'tight'],
  ['What', (row) => row.what, 'prose'],
  ['Token', (row) => html`<code>${row.token}</code>`, 'tight', (row) => row.token],
  ['Address', (row) => row.url && html`<${Outside} url=${row.url} />`, 'prose', (row) => row.url],
  ['Would be written', (row) => row.fix, 'prose', (row) => row.fix],
];

const CHECKS = [
  { title: 'Tokens of the catalog', kinds: ['expired', 'closed', 'token', 'no token'], good: 'Every token that is set was taken.',
    note: 'Set the token that is named where the catalog and the agents run, and have them reload. A gated model also needs its licence to be accepted.' },
  { title: 'Dead links in the catalog', kinds: ['gone', 'page', 'strange', 'forbidden', 'away'], good: 'Every address answers.',
    note: 'Nothing can be fetched from there. Correct the address in the catalog.' },
  { title: 'Records of the catalog that are wrong', kinds: null, good: 'No record contradicts what its address offers.',
    note: 'model-manager catalog doctor --fix writes what can be mended.' },
];
const NAMED = new Set(CHECKS.flatMap((each) => each.kinds ?? []));

/** The doctor's last look, as checks of the page; and the panel that says when it was, and has it look again. */
export function useCheckup() {
  const [every, ask] = useState(30_000);
  const { data, problem, again } = useAnswer(PATH, { every });
  const pace = problem?.status === 409 ? 0 : GOING.has(data?.latest?.state) ? 2000 : 30_000; // 409: no catalog, which no waiting changes
  if (pace !== every) ask(pace);
  const shown = data?.shown;
  const checks = CHECKS.map(({ kinds, ...check }) => {
    const rows = (data?.findings ?? []).filter((row) => (kinds ? kinds.includes(row.kind) : !NAMED.has(row.kind)));
    return { ...check, rows, columns: COLUMNS, known: Boolean(shown), count: rows.length };
  });
  return { checks, panel: html`<${Panel} data=${data} problem=${problem} again=${again} />` };
}

function Panel({ data, problem, again }) {
  const act = async (method) => {
    try {
      const answer = await write('/doctor', undefined, { method });
      if (answer) say(answer.message);
      again();
    } catch (trouble) {
      say(trouble.message);
    }
  };
  const latest = data?.latest;
  const going = GOING.has(latest?.state);
  return html`<section class="panel doctor" aria-labelledby="catalogs"><div class="title">
      <h2 id="catalogs">The catalog’s addresses</h2>
      ${data && !going && html`<button class="quiet" onClick=${() => act('POST')}>Visit them ${latest ? 'again' : 'now'}</button>`}
      ${going && html`<button class="quiet" disabled=${latest.state === 'stopping'} onClick=${() => act('DELETE')}>Stop it</button>`}</div>
    ${problem && html`<p class="muted">${problem.message}</p>`}
    ${data && !latest && html`<p class="muted">Nobody looked yet. The doctor asks every address for one byte, with the tokens that are set.</p>`}
    ${latest && html`<p class="row"><${Badge} tone=${going ? 'busy' : (TONES[latest.state] ?? 'idle')}>${latest.state}<//>
      <span>${number(latest.examined)} of ${counted(latest.records, 'record')} looked at, ${number(latest.wrong)} wrong${latest.why ? `. ${latest.why}` : ''}</span>
      <span class="muted"><${Time} at=${latest.ended || latest.started} /> (${ago(latest.age)})</span></p>`}
    ${going && html`<${Bar} value=${latest.examined} whole=${latest.records} tone="busy" label="Records that were looked at" />`}
  </section>`;
}
