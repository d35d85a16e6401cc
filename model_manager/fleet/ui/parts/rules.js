// A rule of notifications: its form, and what it says in a sentence.
import { html, useState } from '../vendor/preact-htm.js';
import { named, write } from '../api.js';
import { bytes, span } from '../words.js';
import { Dialog, Field, Trouble } from './pieces.js';

/** Each kind, its name, and the fields that it takes besides name and webhook. */
export const KINDS = [
  ['model.vanished', 'a model vanished', ['models', 'machines']],
  ['model.appeared', 'a model appeared', ['models', 'machines']],
  ['download.failed', 'a download failed', ['models', 'machines', 'attempts']],
  ['disk.low', 'a disk is low', ['machines', 'below_percent', 'below_gb']],
  ['machine.silent', 'a machine is silent', ['machines', 'seconds']],
  ['job.waiting', 'a job waits for a model', ['models', 'seconds']],
];

const takes = (kind) => KINDS.find(([each]) => each === kind)[2];
const lines = (text) => text.split('\n').map((line) => line.trim()).filter(Boolean);

/** What a rule asks for, in words. */
export function about(rule) {
  const word = KINDS.find(([each]) => each === rule.kind)?.[1] ?? rule.kind;
  const limits = [rule.below_percent && `below ${rule.below_percent} %`, rule.below_bytes && `below ${bytes(rule.below_bytes)}`].filter(Boolean).join(' or ');
  const fields = KINDS.find(([each]) => each === rule.kind)?.[2] ?? [];
  const parts = [word];
  if (fields.includes('below_gb') && limits) parts.push(limits);
  if (fields.includes('seconds')) parts.push(`longer than ${span(rule.seconds)}`);
  if (fields.includes('attempts')) parts.push(`${rule.attempts} times, or for good`);
  if (fields.includes('models') && rule.models.length) parts.push(`(only ${rule.models.join(', ')})`);
  if (fields.includes('machines') && rule.machines.length) parts.push(`on ${rule.machines.join(', ')}`);
  return parts.join(' ');
}

const begun = (rule) => ({
  name: rule.name ?? '',
  kind: rule.kind ?? 'model.vanished',
  models: (rule.models ?? []).join('\n'),
  machines: (rule.machines ?? []).join('\n'),
  below_percent: rule.below_percent || '',
  below_gb: rule.below_bytes ? rule.below_bytes / 1e9 : '',
  seconds: rule.seconds ?? 300,
  attempts: rule.attempts ?? 3,
  gather: rule.gather ?? 5,
  cooldown: rule.cooldown ?? 60,
  enabled: rule.enabled ?? true,
  url: '',
  removed: false,
});

function body(form, rule) {
  const made = {
    name: form.name, kind: form.kind, enabled: form.enabled, gather: Number(form.gather), cooldown: Number(form.cooldown),
    models: lines(form.models), machines: lines(form.machines), seconds: Number(form.seconds), attempts: Number(form.attempts),
    below_percent: Number(form.below_percent || 0), below_bytes: Math.round(1e9 * Number(form.below_gb || 0)),
  };
  if (form.removed) return { ...made, url: null };
  return form.url || !rule.id ? { ...made, url: form.url } : made;
}

/** `rule` is {} for a new one. `onDone` is given what was answered. */
export function RuleForm({ rule, onClose, onDone }) {
  const [form, set] = useState(() => begun(rule));
  const [problem, fail] = useState(null);
  const fields = takes(form.kind);
  const send = async (event) => {
    event.preventDefault();
    try {
      const made = await (rule.id ? write(named('notifications', 'rules', rule.id), body(form, rule), { method: 'PUT' }) : write('/notifications/rules', body(form, rule)));
      if (made) onDone(made);
    } catch (error) {
      fail(error);
    }
  };
  const change = (name) => (event) => set({ ...form, [name]: event.target.type === 'checkbox' ? event.target.checked : event.target.value });
  const area = (name, label) => fields.includes(name) && html`<${Field} label=${label}><textarea rows="2" value=${form[name]} onInput=${change(name)}></textarea><//>`;
  const number = (name, label, least) => html`<${Field} label=${label}><input type="number" step="any" min=${least} value=${form[name]} onInput=${change(name)} /><//>`;
  return html`<${Dialog} title=${rule.id ? `Change ${rule.name}` : 'New rule'} onClose=${onClose}>
    <form onSubmit=${send}>
      <${Trouble} problem=${problem} />
      <${Field} label="Name"><input value=${form.name} required maxlength="120" onInput=${change('name')} /><//>
      <${Field} label="Tells when"><select value=${form.kind} onChange=${change('kind')}>${KINDS.map(([kind, word]) => html`<option key=${kind} value=${kind}>${word}</option>`)}</select><//>
      ${area('models', 'Only models like these, one pattern a line, such as loras/*')}
      ${area('machines', 'Only machines like these, one pattern a line, such as gpu-*')}
      <div class="columns">
        ${fields.includes('below_percent') && number('below_percent', 'Free, below so many percent', 0)}
        ${fields.includes('below_gb') && number('below_gb', 'or below so many GB', 0)}
        ${fields.includes('seconds') && number('seconds', 'Longer than so many seconds', 1)}
        ${fields.includes('attempts') && number('attempts', 'After so many attempts', 1)}
        ${number('gather', 'A burst is gathered for, seconds', 0)}
        ${number('cooldown', 'Between two notices, seconds', 0)}
      </div>
      <${Field} label=${rule.target ? `Webhook; empty keeps the one at ${rule.target}` : 'Webhook, an address that is posted to; may be empty'}>
        <input type="url" value=${form.url} autocomplete="off" disabled=${form.removed} onInput=${change('url')} /><//>
      ${rule.target && html`<label class="check"><input type="checkbox" checked=${form.removed} onChange=${change('removed')} /> take the webhook out: it is told on this page only</label>`}
      <label class="check"><input type="checkbox" checked=${form.enabled} onChange=${change('enabled')} /> in force</label>
      <div class="row end"><button type="button" class="quiet" onClick=${onClose}>Cancel</button><button>${rule.id ? 'Save' : 'Make it'}</button></div>
    </form>
  <//>`;
}

/** The secret of a new webhook. */
export const Secret = ({ secret, onClose }) => html`<${Dialog} title="The rule is made" onClose=${onClose}>
  <p>Its webhook is signed. The receiver verifies it with this secret, which is not shown again:</p>
  <p><code>${secret}</code></p>
  <div class="row end"><button onClick=${onClose}>I have it</button></div>
<//>`;
