// The shell: landmarks, navigation, and which view an address shows.
import { html, render, useEffect, useRef, useState } from './vendor/preact-htm.js';
import { useAddress } from './address.js';
import { ask, entering, token, useAnswer } from './api.js';
import { listen, quietFor, useLiveState } from './live.js';
import { ago } from './words.js';
import { Badge, Dialog, Field } from './parts/pieces.js';
import { say } from './parts/saying.js';

const VIEWS = [
  ['', 'Fleet', () => import('./views/fleet.js')],
  ['matrix', 'Matrix', () => import('./views/matrix.js')],
  ['models', 'Models', () => import('./views/models.js')],
  ['workflows', 'Workflows', () => import('./views/workflows.js')],
  ['jobs', 'Jobs', () => import('./views/jobs.js')],
  ['downloads', 'Downloads', () => import('./views/downloads.js')],
  ['events', 'Events', () => import('./views/events.js')],
  ['notifications', 'Notifications', () => import('./views/notifications.js')],
  ['doctor', 'Doctor', () => import('./views/doctor.js')],
];
const DEEPER = {
  machines: () => import('./views/machine.js'),
  models: () => import('./views/model.js'),
  workflows: () => import('./views/workflow.js'),
  jobs: () => import('./views/job.js'),
};

function loader([room = '', what]) {
  if (what !== undefined) return DEEPER[room];
  return VIEWS.find(([name]) => name === room)?.[2];
}

function useView(address) {
  const [view, set] = useState({ key: null, View: null });
  useEffect(() => {
    let wanted = true;
    const load = loader(address.parts);
    const found = load ? load().then((module) => module.default) : Promise.resolve(Nowhere);
    found.then((View) => wanted && set({ key: address.key, View }), () => wanted && set({ key: address.key, View: Unloaded }));
    return () => (wanted = false);
  }, [address.key]);
  return view;
}

/** All views are had beforehand: the aggregator may be away when somebody goes to another one. */
async function fetchAhead() {
  for (const load of [...VIEWS.map(([, , each]) => each), ...Object.values(DEEPER)]) {
    await new Promise((idle) => (window.requestIdleCallback ?? setTimeout)(idle));
    await load().catch(() => null);
  }
}

/** A view whose script did not come. A browser does not ask for it twice, so the page is loaded anew. */
function Unloaded() {
  useEffect(() => {
    const timer = setInterval(() => ask('/health').then(() => location.reload(), () => null), 2000);
    return () => clearInterval(timer);
  }, []);
  return html`<h1 tabindex="-1">This page did not come</h1><p class="problem" role="alert">The aggregator does not answer. The page is loaded by itself once it does.</p>`;
}

const Nowhere = () => html`<h1 tabindex="-1">There is no such page</h1><p><a href="/ui/">Go to the fleet</a></p>`;

function App() {
  const address = useAddress();
  const { key, View } = useView(address);
  const shown = useRef(address); // a view that is about to go never sees the address of the next one
  if (key === address.key) shown.current = address;
  const main = useRef(null);
  const first = useRef(true);
  useEffect(() => {
    const title = main.current?.querySelector('h1');
    if (!View || !title) return;
    document.title = `${title.textContent} · Model manager`;
    if (!first.current) title.focus();
    first.current = false;
  }, [key, View]);
  return html`
    <a class="skip" href="#main" onClick=${(event) => (event.preventDefault(), main.current.focus())}>Skip to content</a>
    <${Head} room=${address.parts[0] ?? ''} />
    <main id="main" ref=${main} tabindex="-1">${View && html`<${View} key=${key} address=${shown.current} />`}</main>
    <${TokenDialog} />`;
}

function Head({ room }) {
  const at = room === 'machines' ? '' : room;
  const nav = useRef(null);
  useEffect(() => nav.current.querySelector('[aria-current]')?.scrollIntoView({ inline: 'center', block: 'nearest' }), [at]);
  return html`<header class="head">
    <a class="brand" href="/ui/">Model manager</a>
    <nav aria-label="Views" ref=${nav}>
      ${VIEWS.map(([name, title]) => html`<a key=${name} href=${`/ui/${name}`} aria-current=${name === at ? 'page' : null}>${title}</a>`)}
    </nav>
    <div class="tools"><${Freshness} /><${Theme} /></div>
  </header>`;
}

const FRESH = { live: ['good', 'Live'], starting: ['busy', 'Reading the fleet'], connecting: ['busy', 'Connecting'], paused: ['idle', 'Paused'], away: ['bad', 'Not connected'] };

function Freshness() {
  const live = useLiveState();
  const { data } = useAnswer('/health', { every: 5000 });
  const [tone, word] = FRESH[live];
  if (data?.redis.away) return html`<${Badge} tone="warn" title=${data.redis.away}>Redis away; as of ${ago(data.redis.age)}<//>`;
  const old = live === 'away' ? quietFor() : null;
  return html`<${Badge} tone=${tone} title=${WHY[live] ?? ''}>${old === null ? word : `${word}; as of ${ago(old)}`}<//>`;
}

const WHY = {
  away: 'The aggregator does not answer. What is shown is what it said last; it is asked again by itself.',
  starting: 'The aggregator has just begun, and lists are too short until it has read everything. They are asked for again then.',
};

const THEMES = { auto: ['◐', 'Theme: system'], light: ['○', 'Theme: light'], dark: ['●', 'Theme: dark'] };

function Theme() {
  const [theme, set] = useState(localStorage.getItem('theme') || 'auto');
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
    localStorage.setItem('theme', theme);
  }, [theme]);
  const names = Object.keys(THEMES);
  const next = names[(names.indexOf(theme) + 1) % names.length];
  const [mark, word] = THEMES[theme] ?? THEMES.auto;
  return html`<button class="quiet" aria-label=${word} title=${word} onClick=${() => set(next)}><span aria-hidden="true">${mark}</span></button>`;
}

function TokenDialog() {
  const [asking, set] = useState(null);
  const [text, type] = useState('');
  useEffect(() => {
    entering((why) => new Promise((resolve) => set({ why, resolve })));
  }, []);
  if (!asking) return null;
  const answer = (value) => {
    type('');
    set(null);
    asking.resolve(value);
  };
  return html`<${Dialog} title="Token for writes" onClose=${() => answer(null)}>
    <form onSubmit=${(event) => (event.preventDefault(), answer(text))}>
      ${asking.why && html`<p class="problem" role="alert">${asking.why}</p>`}
      <p>It is the value of MODEL_MANAGER_FLEET_TOKEN where the aggregator runs. It is kept until this tab is closed.</p>
      <${Field} label="Token"><input type="password" autocomplete="off" value=${text} required onInput=${(event) => type(event.target.value)} /><//>
      <div class="row end"><button type="button" class="quiet" onClick=${() => answer(null)}>Cancel</button><button>Use it</button></div>
    </form>
  <//>`;
}

/** `/` goes to the search of a view, as on most pages that have one. */
function searched(event) {
  if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, textarea, select, dialog')) return;
  const field = document.querySelector("main input[type='search']");
  if (!field) return;
  event.preventDefault();
  field.focus();
  field.select();
}

document.documentElement.dataset.theme = localStorage.getItem('theme') || 'auto';
const app = document.getElementById('app');
app.replaceChildren();
render(html`<${App} />`, app);
listen();
addEventListener('load', () => setTimeout(fetchAhead, 2000));
addEventListener('keydown', searched);
addEventListener('unhandledrejection', (event) => say(event.reason?.message || 'Something failed. Load the page again.'));
export { token };
