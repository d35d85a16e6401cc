// Numbers as people read them.
const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

export function bytes(count) {
  if (count === null || count === undefined) return '–';
  let value = count;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(value >= 10 ? 1 : 2)} ${UNITS[unit]}`;
}

export const speed = (rate) => (rate ? `${bytes(rate)}/s` : '–');

export function span(seconds) {
  if (seconds === null || seconds === undefined) return '–';
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d`;
}

/** A moment in seconds since 1970 as ISO 8601, empty for none. */
export const iso = (seconds) => (seconds ? new Date(1000 * seconds).toISOString() : '');

/** Seconds since a moment in seconds since 1970. */
export const since = (at) => (at === null || at === undefined ? null : Math.max(0, Date.now() / 1000 - at));

export const ago = (seconds) => (seconds === null || seconds === undefined ? 'never' : `${span(seconds)} ago`);

export const number = (value) => (value ?? 0).toLocaleString('en');

export const counted = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

export function clock(iso) {
  const at = new Date(iso);
  return Number.isNaN(at.getTime()) ? iso || '–' : at.toLocaleString('sv', { hour12: false });
}

const time = { hour: '2-digit', minute: '2-digit', hour12: false };

/** A moment in as few letters as say it: today's by its time, this year's by day and time. `clock` has all of it. */
export function moment(iso, now = new Date()) {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return iso || '–';
  if (at.toDateString() === now.toDateString()) return at.toLocaleTimeString('sv');
  if (at.getFullYear() !== now.getFullYear()) return at.toLocaleDateString('sv');
  return `${at.toLocaleDateString('en', { month: 'short', day: 'numeric' })}, ${at.toLocaleTimeString('sv', time)}`;
}

export const percent = (part, whole) => (whole ? Math.min(100, Math.max(0, (100 * part) / whole)) : 0);
