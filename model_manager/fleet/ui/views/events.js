// What machines told, the newest first, live, and back to the oldest that is kept.
import { html, useEffect, useRef } from '../vendor/preact-htm.js';
import { link, put } from '../address.js';
import { asked, useAnswer } from '../api.js';
import { counted } from '../words.js';
import { Choice, Search, useTyped } from '../parts/filters.js';
import { AsJson, Badge, Empty, Loading, Time, Trouble } from '../parts/pieces.js';
import { say } from '../parts/saying.js';
import { useStory } from '../parts/story.js';
import { KINDS, told, toneOf } from '../parts/telling.js';

export default function Events({ address }) {
  const [kind, model, before] = ['kind', 'model', 'before'].map((name) => address.query.get(name) || '');
  const [typed, type, machine] = useTyped('machine_id', 300, { before: '' });
  const machines = useAnswer('/machines?limit=1000', { every: 60_000 }).data?.items.map((each) => each.machine_id);
  const filters = { machine_id: machine, kind, model };
  const story = useStory(filters, before);
  const { rows, problem } = story;
  return html`
    <div class="title"><h1 tabindex="-1">Events</h1>${rows && html`<p class="muted">${counted(rows.length, 'event')}, the newest first</p>`}</div>
    <div class="filters">
      <${Search} label="Machine, its whole id" text=${typed} type=${(text) => type(text.trim())} known=${machines} />
      <${Choice} label="Kind" name="kind" value=${kind} options=${[['', 'all'], ...Object.entries(KINDS)]} besides=${{ before: '' }} />
      <span class="check"><${AsJson} path=${asked('/events', { limit: 200, ...filters, before })} /></span>
    </div>
    ${model && html`<p class="row">Only those of <a href=${link('models', model)}>${model}</a> <button class="quiet" onClick=${() => put({ model: '', before: '' })}>All events</button></p>`}
    <${Trouble} problem=${problem} />
    ${before && html`<p class="notice row" role="status">Events before ${moment(before)}.${story.newer > 0 && ` ${counted(story.newer, 'event')} came meanwhile.`}
      <button class="quiet" onClick=${() => put({ before: '' })}>To the newest</button></p>`}
    ${!rows && !problem && html`<${Loading} />`}
    ${rows?.length === 0 && html`<${Empty}>${machine || kind || model || before ? nothing(story.more) : 'Nothing was told yet. What machines tell appears here by itself.'}<//>`}
    <${Timeline} story=${story} />`;
}

const nothing = (more) => (more ? 'Nothing fits among the events that were looked at. Look further back.' : 'Nothing was told that fits.');

/** An event's id begins with the time, in ms, at which it came. */
const moment = (id) => (/^\d{1,15}-/.test(id) ? html`<${Time} at=${new Date(parseInt(id, 10)).toISOString()} />` : id);

function Timeline({ story }) {
  const list = useRef(null);
  const first = useRef(null); // the row behind which older ones came: the keyboard goes on there
  const { rows, busy, more } = story;
  useEffect(() => {
    const next = first.current && list.current?.querySelector(`[data-id='${first.current}']`)?.nextElementSibling;
    if (!next) return;
    next.focus({ preventScroll: true });
    first.current = null;
  }, [rows]);
  const further = async () => {
    first.current = rows.at(-1)?.id ?? null;
    const came = await story.further();
    if (!came) first.current = null;
    if (came !== null) say(came ? `${counted(came, 'older event')} came.` : 'None of those that were looked at fits.');
  };
  if (!rows) return null;
  return html`
    ${rows.length > 0 && html`<ol class="timeline" aria-label="Events" ref=${list}>${rows.map((event) => html`<${Line} key=${event.id} event=${event} />`)}</ol>`}
    <p class="row further">${more && html`<button class="quiet" disabled=${busy} onClick=${further}>${busy ? 'Loading older events…' : 'Load older events'}</button>`}
      ${!more && rows.length > 0 && html`<span class="muted small">These are the oldest that are kept.</span>`}</p>`;
}

const Line = ({ event }) => html`<li tabindex="-1" data-id=${event.id}>
  <span class="muted"><${Time} at=${event.at} /></span>
  <a href=${link('machines', event.machine_id)}>${event.machine_id}</a>
  <span><${Badge} tone=${toneOf(event)} title=${event.kind}>${KINDS[event.kind] ?? event.kind}<//></span>
  <span>${told(event)}</span>
</li>`;
