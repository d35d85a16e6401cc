// The cells of the matrix, drawn on a canvas: a thousand of them on a screen are too many elements to scroll by.
import { Component, html } from '../vendor/preact-htm.js';
import { STATES } from './cells.js';

export const SIDE = 30;

const DRAWN = ['top', 'left', 'from', 'to', 'rows'];
const same = (one, other) => one.length === other.length && one.every((each, n) => each === other[n]);

/** `rows` from pixel `top` on, and their columns `from` to `to` from pixel `left` on. It scrolls with the names, and is drawn again when what it shows is another. */
export class Marks extends Component {
  componentDidMount() {
    this.theme = () => ((this.colours = null), this.draw());
    this.themes = new MutationObserver(this.theme);
    this.themes.observe(document.documentElement, { attributeFilter: ['data-theme'] });
    this.system = matchMedia('(prefers-color-scheme: dark)');
    this.system.addEventListener('change', this.theme);
    this.draw();
  }

  componentWillUnmount() {
    this.themes.disconnect();
    this.system.removeEventListener('change', this.theme);
  }

  shouldComponentUpdate(next) {
    return DRAWN.some((name) => (name === 'rows' ? !same(next.rows, this.props.rows) : next[name] !== this.props[name]));
  }

  componentDidUpdate() {
    this.draw();
  }

  draw() {
    const { rows, from, to } = this.props;
    const box = this.base;
    const scale = devicePixelRatio || 1;
    const [wide, high] = [Math.round((to - from) * SIDE * scale), Math.round(rows.length * SIDE * scale)];
    const pen = box.getContext('2d');
    if (box.width === wide && box.height === high) pen.reset();
    else Object.assign(box, { width: wide, height: high });
    this.colours ??= coloursOf(box);
    pen.scale(scale, scale);
    Object.assign(pen, { font: '12px system-ui, sans-serif', textAlign: 'center', textBaseline: 'middle' });
    rows.forEach((row, n) => row && line(pen, n * SIDE, row.cells, from, to, this.colours));
  }

  render({ top, left, rows, from, to }) {
    return html`<canvas class="marked" aria-hidden="true" style=${{ top: `${top}px`, left: `${left}px`, width: `${(to - from) * SIDE}px`, height: `${rows.length * SIDE}px` }}></canvas>`;
  }
}

function line(pen, top, cells, from, to, colours) {
  for (let at = from; at < to; at += 1) {
    const [mark, , tone] = STATES[cells[at]] ?? ['?', '', 'idle'];
    const x = (at - from + 0.5) * SIDE;
    pen.fillStyle = colours[tone];
    if (cells[at] === '-') pen.fillRect(x - 1, top + SIDE / 2 - 1, 2, 2);
    else pen.fillText(mark, x, top + SIDE / 2);
  }
}

/** As the style sheet has them, light or dark. */
function coloursOf(box) {
  const tones = ['good', 'warn', 'bad', 'busy', 'idle'];
  const found = tones.map((tone) => {
    box.style.color = `var(--${tone})`;
    return [tone, getComputedStyle(box).color];
  });
  box.style.color = '';
  return Object.fromEntries(found);
}
