// Notifications: what people want to hear of, and what they were told, live.
import { html, useEffect, useState } from '../vendor/preact-htm.js';
import { link, put } from '../address.js';
import { asked, named, useAnswer, write } from '../api.js';
import { clock, counted } from '../words.js';
import { Choice } from '../parts/filters.js';
import { Badge, Empty, Loading, Table, Time, Trouble } from '../parts/pieces.js';
import { KINDS, RuleForm, Secret, about } from '../parts/rules.js';
import { say } from '../parts/saying.js';

const STATES = { none: ['idle', 'no webhook'], waiting: ['busy', 'on its way'], delivered: ['good', 'delivered'], dead: ['bad', 'not delivered'] };
const ALL = ['', 'all'];
const FIRST = { before: '' };
const EDGES = { begin: ['warn', 'begins'], end: ['good', 'over'], test: ['idle', 'test'], gap: ['warn', 'gap'] };

/** Calls `again` at every notice, while the view is open. The browser comes back by itself, with the last number that it had. */
function useNotices(again) {
  useEffect(() => {
    const stream = new EventSource('/notifications/stream');
    stream.addEventListener('notice', again);
    return () => stream.close();
  }, [again]);
}

export default function Notifications({ address }) {
  const rule = address.query.get('rule') || '';
  const kind = address.query.get('kind') || '';
  const delivery = address.query.get('delivery') || '';
  const before = address.query.get('before') || '';
  const rules = useAnswer('/notifications/rules', { every: 15000 });
  const told = useAnswer(asked('/notifications', { limit: 100, rule, kind, delivery, before }), { every: 5000 });
  const [form, open] = useState(null);
  const [secret, show] = useState('');
  useNotices(told.again);
  const rows = [...(told.data?.items ?? [])].reverse();
  const done = (made) => {
    open(null);
    rules.again();
    if (made.secret && made.rule.target) show(made.secret);
    else say(`Rule ${(made.rule ?? made).name} is in force.`);
  };
  return html`
    <div class="title"><h1 tabindex="-1">Notifications</h1><button onClick=${() => open({})}>New rule…</button></div>
    <section><h2>Rules</h2>
      <${Trouble} problem=${rules.problem} />
      ${rules.data && !rules.data.items.length && html`<${Empty}>There is no rule. A rule tells you when a model vanished, a download failed, a disk is low, a machine is silent, or a job waits.<//>`}
      ${rules.data?.items.length > 0 && html`<${Rules} rows=${rules.data.items} edit=${open} again=${() => (rules.again(), told.again())} />`}
    </section>
    <section><h2>What was told</h2>
      <div class="filters">
        <${Choice} label="Rule" name="rule" value=${rule} besides=${FIRST} options=${[ALL, ...(rules.data?.items ?? []).map((each) => [each.id, each.name])]} />
        <${Choice} label="Kind" name="kind" value=${kind} besides=${FIRST} options=${[ALL, ...KINDS.map(([each, word]) => [each, word])]} />
        <${Choice} label="Webhook" name="delivery" value=${delivery} besides=${FIRST} options=${[ALL, ...Object.entries(STATES).map(([each, [, word]]) => [each, word])]} />
        <span class="muted check" role="status">${told.data ? counted(rows.length, 'notice') : ''}</span>
      </div>
      <${Trouble} problem=${told.problem} />
      ${!told.data && !told.problem && html`<${Loading} />`}
      ${told.data && !rows.length && html`<${Empty}>${rule || kind || delivery ? 'Nothing was told that fits.' : 'Nothing was told yet.'}<//>`}
      ${rows.length > 0 && html`<${History} rows=${rows} again=${told.again} />`}
      <p class="row end">
        ${before && html`<button class="quiet" onClick=${() => put({ before: '' })}>The newest</button>`}
        ${rows.length === 100 && html`<button class="quiet" onClick=${() => put({ before: told.data.before })}>Older ones</button>`}
      </p>
    </section>
    ${form && html`<${RuleForm} rule=${form} onClose=${() => open(null)} onDone=${done} />`}
    ${secret && html`<${Secret} secret=${secret} onClose=${() => show('')} />`}`;
}

async function act(doing, again) {
  try {
    const answer = await doing();
    if (answer) say(spoken(answer));
  } catch (problem) {
    say(problem.message);
  }
  again();
}

function spoken(answer) {
  if (!answer.delivery) return 'The rule is removed.';
  const { state, why } = answer.delivery;
  if (state === 'none') return 'It stands in the list below. The rule has no webhook.';
  return state === 'delivered' ? 'The webhook took it.' : `The webhook did not take it: ${why}.`;
}

const Rules = ({ rows, edit, again }) => html`<${Table} label="Rules" rows=${rows} id=${(row) => row.id} columns=${[
  ['Rule', (row) => row.name],
  ['Tells when', (row) => html`${row.enabled ? '' : html`<${Badge} tone="idle">switched off<//> `}${about(row)}`, 'prose'],
  ['Webhook', (row) => row.target || '–'],
  ['Actions', (row) => html`<span class="row">
    <button class="quiet" aria-label=${`Change ${row.name}`} onClick=${() => edit(row)}>Change…</button>
    <button class="quiet" aria-label=${`Test ${row.name}`} onClick=${() => act(() => write(`${named('notifications', 'rules', row.id)}/test`), again)}>Test</button>
    <button class="quiet" aria-label=${`Remove ${row.name}`} onClick=${() => act(() => write(named('notifications', 'rules', row.id), undefined, { method: 'DELETE' }), again)}>Remove</button>
  </span>`],
]} />`;

const History = ({ rows, again }) => html`<${Table} label="Notices" rows=${rows} id=${(row) => row.id} columns=${[
  ['When', (row) => html`<${Time} at=${row.at} />`, 'tight'],
  ['Rule', (row) => html`${row.name} <${Badge} tone=${EDGES[row.edge][0]}>${EDGES[row.edge][1]}<//>`],
  ['What', (row) => html`${row.text}<${Machines} row=${row} />`, 'prose'],
  ['Webhook', (row) => html`<${Delivery} row=${row} again=${again} />`],
]} />`;

function Machines({ row }) {
  const machines = [...new Set(row.subjects.map((each) => each.machine_id).filter(Boolean))].slice(0, 5);
  return machines.length ? html` <span class="small">${machines.map((each, n) => html`${n ? ', ' : ''}<a key=${each} href=${link('machines', each)}>${each}</a>`)}</span>` : null;
}

function Delivery({ row, again }) {
  const { state, why, due, attempts, status } = row.delivery;
  const [tone, word] = STATES[state];
  const more = state === 'waiting' && attempts ? `${why}; again at ${clock(due)}` : state === 'dead' ? why : status ?? '';
  return html`<${Badge} tone=${tone}>${word}<//> <span class="small">${more}</span>
    ${state === 'dead' && html`<button class="quiet" aria-label=${`Send notice ${row.id} again`} onClick=${() => act(() => write(`${named('notifications', String(row.id))}/resend`), again)}>Send again</button>`}`;
}
