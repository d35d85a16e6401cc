// The fleet's events, live. One connection a page; it ends while nobody looks and goes on where it was.
import { useEffect, useState } from './vendor/preact-htm.js';

const listeners = new Set();
const watchers = new Set();
const AGAIN = 2000;

let state = 'connecting';
let last = '';
let connection = null;

/** `listener(kind, data)` hears of every event, and of `gap` when some were lost. Call the answer to stop. */
export function heard(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useLiveState() {
  const [shown, set] = useState(state);
  useEffect(() => {
    watchers.add(set);
    set(state);
    return () => watchers.delete(set);
  }, []);
  return shown;
}

/** Listens until the page ends. */
export function listen() {
  document.addEventListener('visibilitychange', () => (document.hidden ? pause() : connect()));
  addEventListener('pagehide', pause);
  if (!document.hidden) connect();
}

function say(next) {
  state = next;
  for (const watcher of watchers) watcher(next);
}

function pause() {
  connection?.abort();
  connection = null;
  say('paused');
}

async function connect() {
  if (connection) return;
  const mine = (connection = new AbortController());
  while (connection === mine) {
    try {
      await read(mine.signal);
    } catch {
      // it ended; the state says so, and it is tried again
    }
    if (connection !== mine) return;
    say('away');
    await new Promise((wake) => setTimeout(wake, AGAIN));
  }
}

async function read(signal) {
  const headers = last ? { 'Last-Event-ID': last } : {};
  const answer = await fetch('/events/stream', { signal, headers, cache: 'no-store', credentials: 'omit' });
  if (!answer.ok) throw new Error(`the stream answered ${answer.status}`);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    say('live');
    const frames = (rest + value).split('\n\n');
    rest = frames.pop();
    frames.forEach(take);
  }
}

function take(frame) {
  const fields = {};
  for (const line of frame.split('\n')) {
    const at = line.indexOf(': ');
    if (at > 0) fields[line.slice(0, at)] = line.slice(at + 2);
  }
  if (fields.id) last = fields.id;
  if (!fields.event) return;
  const data = parsed(fields.data);
  for (const listener of listeners) listener(fields.event, data);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
