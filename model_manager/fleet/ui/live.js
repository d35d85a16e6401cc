// The fleet's events, live. One connection a page; it ends while nobody looks and goes on where it was.
import { useEffect, useState } from './vendor/preact-htm.js';

const listeners = new Set();
const watchers = new Set();
const AGAIN = 2000;
const STARTING = 1000;
const SILENT = 40_000; // the aggregator says something every 15 s; who sleeps, or lost the network, hears nothing

let state = 'connecting';
let last = '';
let connection = null;
let attempt = null;
let heardAt = 0; // ms since 1970
let there = false; // the stream is open
let cut = false; // it was not, for a while
let settling = false;

/** `listener(kind, data)` hears of every event, of `gap` when some were lost, and of `back` when the aggregator is there
 * again and has read the fleet. Call the answer to stop. */
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

/** Seconds since anything was heard. */
export const quietFor = () => (heardAt ? Math.max(0, (Date.now() - heardAt) / 1000) : null);

/** Listens until the page ends. */
export function listen() {
  document.addEventListener('visibilitychange', () => (document.hidden ? pause() : connect()));
  addEventListener('pagehide', pause);
  setInterval(() => there && Date.now() - heardAt > SILENT && attempt.abort(), 5000);
  if (!document.hidden) connect();
}

function say(next) {
  if (next === 'live' || next === 'starting') heardAt = Date.now();
  if (next === state) return;
  state = next;
  for (const watcher of watchers) watcher(next);
}

function pause() {
  connection?.abort();
  connection = null;
  there = false;
  cut = true;
  say('paused');
}

async function connect() {
  if (connection) return;
  const mine = (connection = new AbortController());
  while (connection === mine) {
    attempt = new AbortController();
    try {
      await read(AbortSignal.any([mine.signal, attempt.signal]));
    } catch {
      // it ended; the state says so, and it is tried again
    }
    there = false;
    if (connection !== mine) return;
    cut = true;
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
  let first = true;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    there = true;
    if (first) settle();
    else if (!settling) say('live');
    first = false;
    const frames = (rest + value).split('\n\n');
    rest = frames.pop();
    frames.forEach(take);
  }
}

const tell = (kind, data) => listeners.forEach((listener) => listener(kind, data));

/** Lists are too short while the aggregator reads the fleet: that is said, and they are asked for again after it. */
async function settle() {
  if (settling) return;
  settling = true;
  let waited = false;
  do {
    waited ||= cut;
    if (cut && !last) tell('gap', {}); // who never heard an event cannot be told what was missed
    cut = false;
    while (there && (await reading())) {
      waited = true;
      say('starting');
      await new Promise((wake) => setTimeout(wake, STARTING));
    }
  } while (there && cut);
  settling = false;
  if (!there) return;
  say('live');
  if (waited) tell('back', {});
}

async function reading() {
  try {
    const answer = await fetch('/health', { cache: 'no-store', credentials: 'omit' });
    return (await answer.json()).state === 'starting';
  } catch {
    return false; // the stream says whether it is there
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
  tell(fields.event, data);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
