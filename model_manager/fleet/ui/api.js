// The fleet's own HTTP API: questions, writes with a token, and answers that stay fresh.
import { useCallback, useEffect, useRef, useState } from './vendor/preact-htm.js';
import { heard } from './live.js';

const TOKEN = 'model-manager-token';
const AGAIN = 3000;
const LONGEST = 60_000; // until a question counts as not answered
const SOFT = Symbol('not while an answer is on its way');
const PASSING = new Set([0, 502, 503, 504]); // failures that go by themselves
const ALWAYS = ['gap', 'back']; // the fleet may be another one than what is shown

/** A refusal; its message says what to do. `status` 0: nothing answered. */
export class Problem extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** A path with its parameters; empty ones are left out. */
export function asked(path, params = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== null && value !== '') query.set(name, String(value));
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

export const named = (...parts) => '/' + parts.map(encodeURIComponent).join('/');

/** Raises Problem. */
export async function ask(path, { signal, method = 'GET', body, headers = {} } = {}) {
  let answer;
  let text;
  const ends = [signal, method === 'GET' && AbortSignal.timeout(LONGEST)].filter(Boolean);
  try {
    answer = await fetch(path, { signal: AbortSignal.any(ends), method, body, headers, credentials: 'omit' });
    text = await answer.text();
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Problem(0, `The aggregator does not answer. ${method === 'GET' ? 'It is asked again by itself.' : 'Look whether it runs, and try again.'}`);
  }
  const content = (answer.headers.get('Content-Type') || '').includes('json') ? parsed(text) : null;
  if (answer.ok) return content;
  throw new Problem(answer.status, content?.detail || content?.error || `The aggregator answered ${answer.status}.`);
}

function parsed(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    throw new Problem(0, 'The answer was cut off. It is asked again by itself.');
  }
}

export const token = {
  get: () => sessionStorage.getItem(TOKEN) || '',
  set: (value) => (value ? sessionStorage.setItem(TOKEN, value) : sessionStorage.removeItem(TOKEN)),
};

let enter = async () => null; // the shell puts its dialog here

export const entering = (how) => {
  enter = how;
};

/** A write. The token is asked for once, and again when it is refused. Null: the person thought better of it. */
export async function write(path, body, { method = 'POST', type = 'application/json' } = {}) {
  let why = '';
  for (;;) {
    const given = token.get() || (await enter(why));
    if (!given) return null;
    token.set(given);
    const headers = { Authorization: `Bearer ${given}`, ...(body === undefined ? {} : { 'Content-Type': type }) };
    try {
      return await ask(path, { method, headers, body: typeof body === 'string' || body instanceof Blob ? body : JSON.stringify(body) });
    } catch (problem) {
      if (problem.status !== 401) throw problem;
      token.set('');
      why = 'That token was refused.';
    }
  }
}

/**
 * The answer of a path, kept fresh: asked again every so many ms, and when an event of a kind in `on` is heard (at most once a
 * second). An answer on its way is waited for, however slow. The last good one stays while a new one fails; `problem` says so. A path of
 * null asks nothing.
 */
export function useAnswer(path, { every = 0, on = [] } = {}) {
  const [state, set] = useState({ path, data: null, problem: null });
  const [bell, ring] = useState(0);
  const asking = useRef({ busy: false, missed: false });
  const again = useCallback((how) => {
    if (!asking.current.busy) ring((n) => n + 1);
    else if (how !== SOFT) asking.current.missed = true;
  }, []);
  useEffect(() => {
    if (!path) return undefined;
    const abort = new AbortController();
    const mine = (asking.current = { busy: true, missed: false });
    ask(path, { signal: abort.signal }).then(
      (data) => set({ path, data, problem: null }),
      (problem) => problem.name !== 'AbortError' && set((old) => ({ path, data: old.path === path ? old.data : null, problem })),
    ).finally(() => {
      mine.busy = false;
      if (mine.missed && !abort.signal.aborted) ring((n) => n + 1);
    });
    return () => (abort.abort(), (mine.busy = false));
  }, [path, bell]);
  useRefresh(again, every, on);
  useRetry(every ? null : state.problem, again);
  const current = state.path === path ? state : { data: null, problem: null };
  return { data: current.data, problem: current.problem, again };
}

/** Asks again by itself, a little later, after a failure that goes by. */
export function useRetry(problem, again) {
  useEffect(() => {
    if (!problem || !PASSING.has(problem.status)) return undefined;
    const timer = setTimeout(again, AGAIN);
    return () => clearTimeout(timer);
  }, [problem, again]);
}

/** Calls `again` every so many ms while the page is seen, and at most once a second when events of these kinds come. */
export function useRefresh(again, every, on) {
  const due = useRef(0);
  useEffect(() => {
    const timer = every && setInterval(() => document.hidden || again(SOFT), every);
    const quiet = heard((kind) => {
      if (due.current || !(ALWAYS.includes(kind) || on.some((each) => kind.startsWith(each)))) return;
      due.current = setTimeout(() => {
        due.current = 0;
        again();
      }, 1000 * (0.3 + 0.7 * Math.random()));
    });
    return () => {
      clearInterval(timer);
      clearTimeout(due.current);
      due.current = 0;
      quiet();
    };
  }, [again, every, on.join()]);
}

/** Text that a person is typing, once they pause. */
export function usePaused(text, ms = 150) {
  const [value, set] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => set(text), ms);
    return () => clearTimeout(timer);
  }, [text, ms]);
  return value;
}
