// What a list is narrowed by. Each is a parameter of the view's address.
import { html, useEffect, useRef, useState } from '../vendor/preact-htm.js';
import { put } from '../address.js';
import { usePaused } from '../api.js';
import { Field } from './pieces.js';

const read = (name) => new URLSearchParams(location.search).get(name) || '';

/** A parameter that is typed: its text, how it is changed, and what it is once a person pauses. The way back, and links to
 * this view, change it too. `besides`: what changes with it. */
export function useTyped(name, ms = 150, besides = {}) {
  const [text, type] = useState(() => read(name));
  const paused = usePaused(text, ms);
  const known = useRef(text); // what the address said last: letters that are typed meanwhile are not taken back
  useEffect(() => {
    if (paused === read(name)) return;
    known.current = paused;
    put({ [name]: paused, ...besides }, { typing: true });
  }, [paused]);
  useEffect(() => {
    const moved = () => {
      const now = read(name);
      if (now !== known.current) type((known.current = now));
    };
    addEventListener('popstate', moved);
    addEventListener('moved', moved);
    return () => (removeEventListener('popstate', moved), removeEventListener('moved', moved));
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
