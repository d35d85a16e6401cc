// What a list is narrowed by. Each is a parameter of the view's address.
import { html, useEffect, useState } from '../vendor/preact-htm.js';
import { put } from '../address.js';
import { usePaused } from '../api.js';
import { Field } from './pieces.js';

const read = (name) => new URLSearchParams(location.search).get(name) || '';

/** A parameter that is typed: its text, how it is changed, and what it is once a person pauses. The way back changes it too. */
export function useTyped(name, ms = 150) {
  const [text, type] = useState(() => read(name));
  const paused = usePaused(text, ms);
  useEffect(() => put({ [name]: paused }, { typing: true }), [paused]);
  useEffect(() => {
    const returned = () => type(read(name));
    addEventListener('popstate', returned);
    return () => removeEventListener('popstate', returned);
  }, [name]);
  return [text, type, paused];
}

/** `known`: what it could be, offered while a person types. */
export function Search({ label, text, type, known }) {
  const list = known?.length ? `known-${label.replace(/\W+/g, '-')}` : null;
  return html`<${Field} label=${label}><input type="search" value=${text} list=${list} autocomplete="off" spellcheck=${false} onInput=${(event) => type(event.target.value)} /><//>
    ${list && html`<datalist id=${list}>${known.map((each) => html`<option key=${each} value=${each} />`)}</datalist>`}`;
}

/** A parameter of few values; `options` are [value, word]. `besides`: what changes with it. */
export const Choice = ({ label, name, value, options, besides = {} }) => html`<${Field} label=${label}>
  <select value=${value} onChange=${(event) => put({ [name]: event.target.value, ...besides })}>
    ${options.map(([each, word]) => html`<option key=${each} value=${each}>${word}</option>`)}
  </select><//>`;
