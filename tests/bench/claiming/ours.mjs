// Workers of ours that do nothing: node ours.mjs SOCKET SECONDS HANDS. Each call is of another machine, so that none runs
// dry, and tells that the job before is done. Writes `ready`, waits for a line, says the jobs done in SECONDS.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import readline from 'node:readline';

const require = createRequire(process.env.BENCH_NODE_MODULES + '/');
const IORedis = require('ioredis');

const [path, seconds, hands] = process.argv.slice(2);
const order = JSON.parse(readFileSync(process.env.BENCH_ORDER, 'utf8'));
const say = (figures) => process.stdout.write(JSON.stringify(figures) + '\n', () => process.exit(0));
let done = 0;

async function hand(redis, from, number) {
  const token = (n) => `${process.pid}:${number}:${n}`;
  let finished = '', earlier = '';
  for (let n = 0; ; n += 1) {
    const [machine, lease, models] = order.machines[(from + n) % order.machines.length];
    const reply = await redis.call('FCALL', order.claim, 3, order.root, lease, models,
      machine, `w${number}`, '', token(n), 600000, 0, 0, finished, earlier, '', 0);
    if (reply[0] !== 'JOB' && reply[0] !== 'EMPTY') throw new Error(`${machine}: ${reply}`);
    if (finished !== '') done += 1;
    [finished, earlier] = reply[0] === 'JOB' ? [reply[1], token(n)] : ['', ''];
  }
}

const start = Math.floor(Math.random() * order.machines.length);
const all = Array.from({ length: Number(hands) }, (_, n) => n);
const clients = all.map(() => new IORedis({ path, maxRetriesPerRequest: null }));
await Promise.all(clients.map((client) => client.ping()));
readline.createInterface({ input: process.stdin }).once('line', () => {
  all.forEach((n) => hand(clients[n], start + 37 * n, n).catch((error) => {
    console.error(error);
    process.exit(1);
  }));
  setTimeout(() => say({ done }), 1000 * Number(seconds));
});
process.stdout.write('ready\n');
