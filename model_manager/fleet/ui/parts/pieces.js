// The pieces that views are made of.
import { html, useEffect, useRef } from '../vendor/preact-htm.js';
import { percent } from '../words.js';

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

export const Empty = ({ children }) => html`<p class="empty">${children}</p>`;

export const Field = ({ label, children }) => html`<label class="field"><span>${label}</span>${children}</label>`;

export const Figure = ({ label, value, note, tone = '' }) =>
  html`<div class="figure ${tone}"><dt>${label}</dt><dd>${value}${note && html`<small>${note}</small>`}</dd></div>`;

/** A table with headers; `columns` are [title, cell(row), class]. On a phone each row is a list, for which the style sheet has the titles. */
export function Table({ label, columns, rows, id }) {
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

/** Modal; Escape and the backdrop close it, and the focus goes back to where it was. */
export function Dialog({ title, onClose, children }) {
  const box = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    box.current.showModal();
    return () => before?.isConnected && before.focus();
  }, []);
  return html`<dialog ref=${box} aria-label=${title} onClose=${onClose}
      onClick=${(event) => event.target === box.current && box.current.close()}>
    <div class="dialog">
      <div class="row"><h2>${title}</h2><button type="button" class="quiet" onClick=${() => box.current.close()}>Close</button></div>
      ${children}
    </div>
  </dialog>`;
}
