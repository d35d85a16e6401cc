// BullMQ with workers that do nothing.
//   node bullmq.mjs fill SOCKET COUNT          adds COUNT jobs with priorities; says the seconds that took
//   node bullmq.mjs work SOCKET SECONDS HANDS  HANDS workers, one job at a time each; says the jobs done in SECONDS
// work writes `ready` and waits for a line on standard input, so that several processes start together.
import { createRequire } from 'node:module';
import readline from 'node:readline';

const require = createRequire(process.env.BENCH_NODE_MODULES + '/');
const { Queue, Worker } = require('bullmq');
const IORedis = require('ioredis');

const [what, path, amount, hands] = process.argv.slice(2);
const connect = () => new IORedis({ path, maxRetriesPerRequest: null });
const say = (figures) => process.stdout.write(JSON.stringify(figures) + '\n', () => process.exit(0));

async function fill() {
  const queue = new Queue('bench', { connection: connect() });
  await queue.waitUntilReady();
  const page = (first) => Array.from({ length: Math.min(1000, amount - first) }, (_, n) => ({
    name: 'job',
    data: { payload: `s3://workflows/${String(first + n).padStart(24, '0')}` },
    opts: { priority: 1 + ((first + n) % 10), removeOnComplete: true, attempts: 3 },
  }));
  const begun = performance.now();
  for (let first = 0; first < amount; first += 1000) await queue.addBulk(page(first));
  say({ seconds: (performance.now() - begun) / 1000 });
}

async function work() {
  let done = 0;
  const workers = Array.from({ length: Number(hands) }, () => new Worker(
    'bench', async () => { done += 1; }, { connection: connect(), autorun: false, concurrency: 1 },
  ));
  for (const worker of workers) await worker.waitUntilReady();
  readline.createInterface({ input: process.stdin }).once('line', () => {
    workers.forEach((worker) => worker.run());
    setTimeout(() => say({ done }), 1000 * Number(amount));
  });
  process.stdout.write('ready\n');
}

await (what === 'fill' ? fill() : work());
