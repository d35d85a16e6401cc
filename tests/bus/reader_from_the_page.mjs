// A reader made from docs/events.md and docs/redis.md alone, in another language and without a library. It follows the stream of
// the server at a unix socket, and prints after each batch what it knows of every machine. It ends with its standard input.
import crypto from 'node:crypto';
import net from 'node:net';
import zlib from 'node:zlib';

const MODULUS = 1n << 128n;
const EVENTS = 'model_manager:events';
const socket = net.connect(process.argv[2]);
const answers = [];
let bytes = Buffer.alloc(0);

// One value of RESP, and where the next one begins; null while it has not all come.
function parsed(at) {
  const end = bytes.indexOf('\r\n', at);
  if (end < 0) return null;
  const kind = String.fromCharCode(bytes[at]), text = bytes.toString('utf8', at + 1, end);
  let next = end + 2;
  if (kind === '+' || kind === ':') return [text, next];
  if (kind === '-') return [new Error(text), next];
  const number = Number(text);
  if (number < 0) return [null, next];
  if (kind === '$') return bytes.length < next + number + 2 ? null : [bytes.subarray(next, next + number), next + number + 2];
  const list = [];
  for (let n = 0; n < number; n++) {
    const one = parsed(next);
    if (!one) return null;
    list.push(one[0]);
    next = one[1];
  }
  return [list, next];
}

socket.on('data', (chunk) => {
  bytes = Buffer.concat([bytes, chunk]);
  for (let one; bytes.length && (one = parsed(0)); ) {
    bytes = bytes.subarray(one[1]);
    answers.shift()(one[0]);
  }
});

function ask(...words) {
  const parts = words.map((word) => `$${Buffer.byteLength(String(word))}\r\n${word}\r\n`);
  socket.write(`*${words.length}\r\n${parts.join('')}`);
  return new Promise((resolve) => answers.push(resolve));
}

function term(file) {
  const line = `${file.path}\0${file.size}\0${file.hash}\0${file.verified ? 1 : 0}`;
  return BigInt(`0x${crypto.createHash('sha256').update(line).digest('hex').slice(0, 32)}`);
}

function digest(files) {
  let sum = 0n;
  for (const file of files.values()) sum += term(file);
  return (sum % MODULUS).toString(16).padStart(32, '0');
}

const machines = new Map();

// Rule 5: the hash contains everything up to the place that it names.
async function readHash(id) {
  const fields = ['epoch', 'seq', 'digest', 'models', 'ahead_epoch', 'ahead_seq'];
  const [epoch, seq, sum, models, aheadEpoch, aheadSeq] = await ask('HMGET', `machine:${id}:models`, ...fields);
  if (epoch === null) {
    if (aheadEpoch !== null) machines.set(id, { epoch: Number(aheadEpoch), seq: Number(aheadSeq), files: new Map() });
    return;
  }
  const files = new Map(Object.values(JSON.parse(models)).flat().map((file) => [file.path, file]));
  if (digest(files) === String(sum)) machines.set(id, { epoch: Number(epoch), seq: Number(seq), files });
}

async function take(event) {
  const id = String(event.machine_id), kind = String(event.kind);
  const epoch = Number(event.epoch), seq = Number(event.seq), known = machines.get(id);
  if (known && (epoch < known.epoch || (epoch === known.epoch && seq <= known.seq))) return undefined;
  if (kind === 'machine.bye') return machines.set(id, { epoch, seq, files: new Map() });
  const greets = known && epoch > known.epoch && kind === 'machine.hello' && digest(known.files) === String(event.digest);
  if (greets) return machines.set(id, { epoch, seq, files: known.files });
  if (!known || epoch !== known.epoch || seq !== known.seq + 1) return readHash(id);
  const data = JSON.parse(event.data[0] === 0x78 ? zlib.inflateSync(event.data) : event.data);
  const files = new Map(known.files);
  if (kind === 'model.appeared' || kind === 'model.changed') for (const file of data.models) files.set(file.path, file);
  if (kind === 'model.vanished') for (const file of data.models) files.delete(file.path);
  if (digest(files) !== String(event.digest)) return readHash(id);
  return machines.set(id, { epoch, seq, files });
}

function tell() {
  const told = [...machines].map(([id, { epoch, seq, files }]) => [id, [epoch, seq, digest(files), [...files.keys()].sort()]]);
  console.log(JSON.stringify(Object.fromEntries(told)));
}

async function follow() {
  const [last] = await ask('XREVRANGE', EVENTS, '+', '-', 'COUNT', 1);
  let cursor = last ? String(last[0]) : '0';
  for (const id of await ask('ZRANGE', 'model_manager:alive', 0, -1)) await readHash(String(id));
  for (;;) {
    tell();
    const answer = await ask('XREAD', 'COUNT', 100, 'BLOCK', 1000, 'STREAMS', EVENTS, cursor);
    for (const [id, flat] of answer ? answer[0][1] : []) {
      const event = {};
      for (let n = 0; n < flat.length; n += 2) event[String(flat[n])] = flat[n + 1];
      await take(event);
      cursor = String(id);
    }
  }
}

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
socket.on('connect', follow);
