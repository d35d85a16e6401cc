// The pieces that views are made of.
import { html, useEffect, useRef } from '../vendor/preact-htm.js';
import { clock, moment, percent } from '../words.js';
import { say } from './saying.js';

const MARKS = { good: '●', warn: '▲', bad: '■', busy: '◆', idle: '○' };

/** A state: a mark, a colour and a word, so that none of them is needed alone. */
export const Badge = ({ tone = 'idle', title, children }) =>
  html`<span class="badge ${tone}" title=${title}><span aria-hidden="true">${MARKS[tone]}</span> ${children}</span>`;

const STATES = { live: 'good', stale: 'warn', away: 'bad' };

export function MachineState({ row }) {
  if (row.state !== 'live') return html`<${Badge} tone=${STATES[row.state]}>${row.state}<//>`;
  if (row.ready) return html`<${Badge} tone="good">ready<//>`;
  const tone = row.phase === 'degraded' ? 'bad' : row.phase === 'waiting' ? 'warn' : 'busy';
  return html`<${Badge} tone=${tone}>${row.phase && row.phase !== 'ready' ? row.phase : 'not ready'}<//>`;
}

/** A bar of `value` of `whole`; `mark` is a limit on it, of the same unit. */
export function Bar({ value, whole, mark, tone = '', label }) {
  return html`<div class="bar ${tone}" role="img" aria-label=${label}>
    <span style=${{ width: `${percent(value, whole)}%` }}></span>
    ${mark ? html`<i style=${{ left: `${percent(mark, whole)}%` }}></i>` : null}
  </div>`;
}

export function Disk({ free, total, floor, say }) {
  const used = total - free;
  const tone = free <= (floor ?? 0) ? 'bad' : free <= 2 * (floor ?? 0) ? 'warn' : '';
  return html`<${Bar} value=${used} whole=${total} mark=${floor ? total - floor : null} tone=${tone} label=${say} />`;
}

export const Trouble = ({ problem }) => (problem ? html`<p class="problem" role="alert">${problem.message}</p>` : null);

/** Of a view of one thing: that there is no such thing, and where all of them are; or any other trouble. */
export const Nothing = ({ problem, what, room }) =>
  problem?.status === 404 ? html`<p class="empty">${what} <a href=${`/ui/${room}`}>See what is here</a></p>` : html`<${Trouble} problem=${problem} />`;

export const Empty = ({ children }) => html`<p class="empty">${children}</p>`;

/** Shown once an answer takes longer than a blink. */
export const Loading = () => html`<p class="empty loading" role="status">Asking the fleet…</p>`;

/** A moment, short; all of it is in the title. */
export const Time = ({ at }) => (at ? html`<time datetime=${at} title=${clock(at)}>${moment(at)}</time>` : '–');

/** Text that is worth taking along: one press copies it. */
export function Copied({ text, what }) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      say(`${what} was copied.`);
    } catch {
      say(`The browser does not let a page copy here. Mark the text, and copy it yourself: ${text}`);
    }
  };
  return html`<button type="button" class="quiet mini" aria-label=${`Copy ${what}`} title=${`Copy ${what}`} onClick=${copy}>Copy</button>`;
}

/** A name that may be long: it breaks behind a separator before it breaks anywhere. */
export const Named = ({ text }) => String(text).split(/(?<=[/_.-])/).map((part, n) => html`${n ? html`<wbr />` : ''}${part}`);

/** An address of others: a link only where it is one for a browser, and it is told nothing of us. */
export function Outside({ url }) {
  const safe = /^https?:[/][/]/i.test(url ?? '');
  return safe ? html`<a href=${url} target="_blank" rel="noopener noreferrer">${url}</a>` : html`<code>${url}</code>`;
}

/** The same for programs: what a list was made of. */
export const AsJson = ({ path }) => html`<a class="small json" href=${path} target="_blank" rel="noopener">as JSON</a>`;

export const Field = ({ label, children }) => html`<label class="field"><span>${label}</span>${children}</label>`;

export const Figure = ({ label, value, note, tone = '', href }) =>
  html`<div class="figure ${tone}"><dt>${label}</dt><dd>${href ? html`<a href=${href}>${value}</a>` : value}${note && html`<small>${note}</small>`}</dd></div>`;

/** A table with headers; `columns` are [title, cell(row), class, any(row)]: one with `any` is left out while that holds for no row.
 * On a phone each row is a list, for which the style sheet has the titles. */
export function Table({ label, columns: all, rows, id }) {
  const columns = all.filter(([, , , any]) => !any || rows.some(any));
  return html`<div class="wide" tabindex="0" role="region" aria-label=${label}>
    <table role="table">
      <caption class="unseen">${label}</caption>
      <thead role="rowgroup"><tr role="row">${columns.map(([title, , kind]) => html`<th key=${title} role="columnheader" scope="col" class=${kind}>${title}</th>`)}</tr></thead>
      <tbody role="rowgroup">
        ${rows.map((row, n) => html`<tr key=${id ? id(row) : n} role="row">${columns.map(([title, cell, kind]) => html`<td key=${title} role="cell" data-title=${title} class=${kind}>${cell(row)}</td>`)}</tr>`)}
      </tbody>
    </table>
  </div>`;
}

/** Modal; Escape, the backdrop and every way to another view close it, and the focus goes back to where it was. */
export function Dialog({ title, onClose, children }) {
  const box = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    box.current.showModal();
    return () => before?.isConnected && before.focus();
  }, []);
  return html`<dialog ref=${box} aria-label=${title} onClose=${onClose}
      onClick=${(event) => (event.target === box.current || event.target.closest('a[href^="/ui/"]')) && box.current.close()}>
    <div class="dialog">
      <div class="row"><h2>${title}</h2><button type="button" class="quiet" onClick=${() => box.current.close()}>Close</button></div>
      ${children}
    </div>
  </dialog>`;
}
