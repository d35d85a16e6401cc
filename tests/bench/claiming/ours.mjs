// Workers of ours that do nothing: node ours.mjs SOCKET SECONDS HANDS. Those of a process are of one machine until nothing is left that it
// can do, then of the next one. A call tells that the jobs before are done; what hands finish while CALLS are on their way goes with
// the next one; more than FEW who ask at once share the calls that are free.
// Writes `ready`, waits for a line, says the jobs done in SECONDS.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import readline from 'node:readline';

const require = createRequire(process.env.BENCH_NODE_MODULES + '/');
const IORedis = require('ioredis');

const CALLS = 2;
const MOST = 8;
const FEW = 4;
const VALUES = 9;

const [path, seconds, hands] = process.argv.slice(2);
const order = JSON.parse(readFileSync(process.env.BENCH_ORDER, 'utf8'));
const say = (figures) => process.stdout.write(JSON.stringify(figures) + '\n', () => process.exit(0));
let done = 0;

class Desk {
  constructor(clients, from) {
    this.free = clients;
    this.turn = from;
    this.asking = [];
    this.called = false;
  }

  // Resolves with what mm_next says of this worker: JOB and its values, or EMPTY.
  ask(...values) {
    return new Promise((resolve, reject) => {
      this.asking.push({ values, resolve, reject });
      this.call();
    });
  }

  // All who ask before anything else happens go together.
  call() {
    if (this.called) return;
    this.called = true;
    queueMicrotask(() => {
      this.called = false;
      while (this.free.length && this.asking.length) {
        const share = Math.max(FEW, Math.ceil(this.asking.length / this.free.length));
        this.send(this.free.pop(), this.asking.splice(0, Math.min(MOST, share)));
      }
    });
  }

  async send(client, some) {
    try {
      const reply = await client.call(...this.command(some));
      if (reply[0] !== 'OK') throw new Error(reply);
      if (reply[1] === 'EMPTY') this.turn = (this.turn + 1) % order.machines.length;
      some.forEach(({ resolve }, n) => resolve(reply.slice(1 + VALUES * n, 1 + VALUES * (n + 1))));
    } catch (error) {
      some.forEach(({ reject }) => reject(error));
    }
    this.free.push(client);
    this.call();
  }

  command(some) {
    const [machine, lease, models] = order.machines[this.turn];
    const all = some.flatMap(({ values }) => values);
    return ['FCALL', order.next, 3, order.root, lease, models, machine, '', 600000, some.length, ...all];
  }
}

async function hand(desk, number) {
  const token = (n) => `${process.pid}:${number}:${n}`;
  let finished = '', earlier = '';
  for (let n = 0; ; n += 1) {
    const reply = await desk.ask(`w${number}`, token(n), finished, earlier, '');
    if (!['JOB', 'EMPTY', 'AGAIN'].includes(reply[0])) throw new Error(reply);
    if (finished !== '') done += 1;
    [finished, earlier] = reply[0] === 'JOB' ? [reply[1], token(n)] : ['', ''];
  }
}

const clients = Array.from({ length: Math.min(CALLS, Number(hands)) }, () => new IORedis({ path, maxRetriesPerRequest: null }));
await Promise.all(clients.map((client) => client.ping()));
const desk = new Desk(clients, Math.floor(Math.random() * order.machines.length));
readline.createInterface({ input: process.stdin }).once('line', () => {
  for (let n = 0; n < Number(hands); n += 1) {
    hand(desk, n).catch((error) => {
      console.error(error);
      process.exit(1);
    });
  }
  setTimeout(() => say({ done }), 1000 * Number(seconds));
});
process.stdout.write('ready\n');
