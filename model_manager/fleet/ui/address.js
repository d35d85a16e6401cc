// Every view is an address: reading it, and going to another one without loading the page again.
import { useEffect, useState } from './vendor/preact-htm.js';

const BASE = '/ui/';

export const link = (...parts) => BASE + parts.map(encodeURIComponent).join('/');

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a stray % is a letter like any other
  }
}

export function here() {
  const parts = location.pathname.slice(BASE.length).split('/').filter(Boolean).map(decoded);
  return { parts, query: new URLSearchParams(location.search), key: location.pathname };
}

let back = false;

/** Whether this address was come back to, and is to look as it was left. */
export const cameBack = () => back;

export function go(to, { replace = false } = {}) {
  if (!replace) back = false;
  history[replace ? 'replaceState' : 'pushState'](null, '', to);
  dispatchEvent(new Event('moved'));
}

/** Changes parameters of this view's address; an empty value takes one out. The way back leads to what was chosen before; letters
 * that are typed (`typing`) are no steps of it. */
export function put(changes, { typing = false } = {}) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  const text = query.toString();
  const to = location.pathname + (text ? `?${text}` : '');
  if (to !== location.pathname + location.search) go(to, { replace: typing });
}

export function useAddress() {
  const [address, set] = useState(here);
  useEffect(() => {
    const moved = () => set(here());
    addEventListener('moved', moved);
    const returned = () => ((back = true), moved());
    addEventListener('popstate', returned);
    document.addEventListener('click', followed);
    return () => {
      removeEventListener('moved', moved);
      removeEventListener('popstate', returned);
      document.removeEventListener('click', followed);
    };
  }, []);
  return address;
}

function followed(event) {
  const anchor = event.target.closest?.('a[href^="/ui/"]');
  const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  if (!anchor || !plain || anchor.target || event.defaultPrevented) return;
  event.preventDefault();
  go(anchor.getAttribute('href'));
}
