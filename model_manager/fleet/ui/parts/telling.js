// An event in a sentence.
import { bytes, clock, counted } from '../words.js';

/** Each kind as people call it. */
export const KINDS = {
  'machine.hello': 'machine began', 'machine.bye': 'machine left', 'model.appeared': 'model appeared', 'model.changed': 'model changed',
  'model.vanished': 'model vanished', 'inventory.snapshot': 'inventory told', 'model.download.started': 'download began',
  'model.download.verified': 'download done', 'model.download.failed': 'download failed', 'assignment.changed': 'assignment changed',
  'readiness.changed': 'readiness changed', 'scan.finished': 'scan finished', 'disk.low': 'disk is low', 'root.lost': 'directory lost',
  'root.back': 'directory back', 'order.answered': 'order answered',
};

const TONES = {
  'model.download.failed': 'bad', 'root.lost': 'bad', 'disk.low': 'warn', 'model.vanished': 'warn', 'machine.bye': 'warn',
  'model.download.verified': 'good', 'root.back': 'good', 'machine.hello': 'good', 'model.download.started': 'busy',
};

export function toneOf({ kind, data }) {
  if (kind === 'readiness.changed') return data.ready ? 'good' : 'warn';
  if (kind === 'order.answered') return data.state === 'refused' || data.state === 'dropped' ? 'bad' : 'good';
  return TONES[kind] ?? 'idle';
}

const models = ({ models: all }) => {
  const named = all.slice(0, 3).map((each) => `${each.folder}/${each.name}`).join(', ');
  return all.length > 3 ? `${named} and ${all.length - 3} more` : named;
};
const what = (data) => `${data.folder}/${data.name}`;

/** Whether an event is told of the model at `folder/name`, alone or among others. */
export function concerns({ data }, name) {
  const of = (each) => `${each.folder}/${each.name}` === name;
  return Array.isArray(data.models) ? data.models.some(of) : of(data);
}

const SAID = {
  'machine.hello': (d) => `${d.version} on ${d.host}: ${counted(d.models, 'model')}, ${bytes(d.bytes)}`,
  'machine.bye': (d) => d.reason,
  'model.appeared': models,
  'model.changed': models,
  'model.vanished': models,
  'inventory.snapshot': (d) => `${counted(d.models, 'model')}, ${bytes(d.bytes)}`,
  'model.download.started': (d) => `${what(d)}, ${d.total ? bytes(d.total) : 'unknown size'}, attempt ${d.attempt}`,
  'model.download.verified': (d) => `${what(d)}, ${bytes(d.size)} by ${d.evidence}`,
  'model.download.failed': (d) => `${what(d)}: ${d.reason}${d.final ? '' : ` Again at ${clock(d.retry_at)}.`}`,
  'assignment.changed': (d) => [...d.workflows, ...d.collections, ...d.models].join(', ') || 'nothing',
  'readiness.changed': (d) => (d.ready ? 'The gate is open.' : d.reasons.join('; ')),
  'scan.finished': (d) => `${counted(d.files, 'file')}: ${d.appeared} appeared, ${d.changed} changed, ${d.vanished} vanished`,
  'disk.low': (d) => `${d.root}: ${bytes(d.free)} free, ${bytes(d.floor)} are to be left`,
  'root.lost': (d) => `${d.root}: ${d.why}`,
  'root.back': (d) => d.root,
  'order.answered': (d) => `${d.what}: ${d.state}${d.why ? `, ${d.why}` : ''}`,
};

/** What another release tells is shown as it came. */
export function told({ kind, data }) {
  try {
    return SAID[kind]?.(data) ?? JSON.stringify(data);
  } catch {
    return JSON.stringify(data);
  }
}
