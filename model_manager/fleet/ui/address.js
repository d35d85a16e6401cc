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

export function go(to, { replace = false } = {}) {
  history[replace ? 'replaceState' : 'pushState'](null, '', to);
  dispatchEvent(new Event('moved'));
}

/** Changes parameters of this view's address; an empty value takes one out. */
export function put(changes) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  const text = query.toString();
  go(location.pathname + (text ? `?${text}` : ''), { replace: true });
}

export function useAddress() {
  const [address, set] = useState(here);
  useEffect(() => {
    const moved = () => set(here());
    addEventListener('moved', moved);
    addEventListener('popstate', moved);
    document.addEventListener('click', followed);
    return () => {
      removeEventListener('moved', moved);
      removeEventListener('popstate', moved);
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
