// A picture of a model in a box of one size: it is asked for when somebody looks for a while, and its place is kept without it.
import { html, useEffect, useState } from '../vendor/preact-htm.js';

const PAUSE = 150;
const none = new Set();

export function Preview({ src, word }) {
  const [state, set] = useState({ wanted: false, seen: false });
  useEffect(() => {
    if (!src || none.has(src)) return undefined;
    const timer = setTimeout(() => set({ wanted: true, seen: false }), PAUSE); // who scrolls by asks for nothing
    return () => clearTimeout(timer);
  }, [src]);
  const failed = () => (none.add(src), set({ wanted: false, seen: false }));
  return html`<div class="preview">
    ${!state.seen && html`<span class="muted" aria-hidden="true">${word}</span>`}
    ${state.wanted && html`<img src=${src} alt="" loading="lazy" decoding="async" onLoad=${() => set({ wanted: true, seen: true })} onError=${failed} />`}
  </div>`;
}
