// One machine: why it is as it is, what it serves, what it holds.
import { html } from '../vendor/preact-htm.js';
import { link } from '../address.js';
import { named, useAnswer } from '../api.js';
import { ago, bytes, counted, number, since, span } from '../words.js';
import { Badge, Disk, Empty, Loading, MachineState, Named, Nothing, Table, Trouble } from '../parts/pieces.js';
import { Actions } from '../parts/acting.js';
import { Choice } from '../parts/filters.js';
import { Transfers } from '../parts/transfers.js';
import { Rows, usePages } from '../parts/virtual.js';

const EVENTS = ['machine.', 'readiness.', 'model.', 'inventory.', 'assignment.', 'disk.', 'root.', 'scan.'];

export default function Machine({ address }) {
  const name = address.parts[1];
  const { data, problem } = useAnswer(named('machines', name), { every: 2000, on: EVENTS });
  return html`
    <div class="title"><h1 tabindex="-1"><${Named} text=${name} /></h1>${problem?.status !== 404 && html`<${Actions} machines=${[name]} />`}</div>
    <${Nothing} problem=${problem} what="No such machine was heard, or not for a day." room="" />
    ${!data && !problem && html`<${Loading} />`}
    ${data && html`<${Known} all=${data} />`}
    ${data && html`<${Files} name=${name} folders=${data.folders} folder=${address.query.get('folder') || ''} />`}`;
}

function Known({ all }) {
  const { machine, workflows, disks, downloads, assignment } = all;
  return html`
    <div class="columns">
      <section class="panel" aria-labelledby="state">
        <h2 id="state" style=${{ marginTop: 0 }}>State</h2>
        <p><${MachineState} row=${machine} /> ${machine.unsure && html`<${Badge} tone="warn">${machine.unsure}<//>`}</p>
        <ul class="plain">${machine.reasons.map((reason) => html`<li key=${reason}>${reason}</li>`)}</ul>
        <dl class="facts">
          <dt>Heard</dt><dd>${ago(since(machine.last_seen))}</dd>
          <dt>Host</dt><dd>${machine.host || '–'}</dd>
          <dt>Version</dt><dd>${machine.version || '–'}</dd>
          <dt>Required models</dt><dd>${number(machine.present)} of ${number(machine.required)}</dd>
          ${machine.eta !== null && html`<dt>Time left</dt><dd>${span(machine.eta)}</dd>`}
          <dt>Holds</dt><dd title=${`epoch ${machine.epoch}, event ${machine.seq}`}>${counted(machine.models, 'model')}, ${bytes(machine.bytes)}</dd>
        </dl>
        <p class="further"><a href=${`/ui/events?machine_id=${encodeURIComponent(machine.machine_id)}`}>Its events</a></p>
      </section>
      <section class="panel" aria-labelledby="disks">
        <h2 id="disks" style=${{ marginTop: 0 }}>Disks</h2>
        ${disks.length === 0 && html`<${Empty}>It did not tell of any.<//>`}
        ${disks.map((disk) => html`<div key=${disk.root}><p class="mono">${disk.root}</p>
          <${Disk} ...${disk} say=${`${bytes(disk.free)} free`} />
          <p class="small muted">${bytes(disk.free)} free of ${bytes(disk.total)}; downloads leave ${bytes(disk.floor)}${disk.quarantined ? `; ${counted(disk.quarantined, 'file')} in quarantine` : ''}</p></div>`)}
        ${assignment && html`<h3>Assignment</h3>
          <p class="small">${[...assignment.workflows, ...assignment.collections, ...assignment.models].join(', ') || 'nothing'}</p>
          ${assignment.problems.map((each) => html`<p key=${each} class="problem">${each}</p>`)}`}
      </section>
    </div>
    <h2>Workflows</h2>
    ${workflows.length === 0 && html`<${Empty}>It was told to serve none.<//>`}
    ${workflows.length > 0 && html`<${Table} label="Workflows of this machine" rows=${workflows} id=${(row) => row.name} columns=${[
      ['Workflow', (row) => html`<a href=${link('workflows', row.name)}>${row.name}</a>`],
      ['State', (row) => html`<${Badge} tone=${row.ready ? 'good' : 'warn'}>${row.ready ? 'ready' : 'not ready'}<//>`, 'tight'],
      ['Why not', (row) => row.reasons.join('; '), 'prose', (row) => row.reasons.length],
    ]} />`}
    ${downloads.length > 0 && html`<h2>Downloads</h2><${Transfers} rows=${downloads} />`}`;
}

function Files({ name, folders, folder }) {
  const files = usePages(named('machines', name, 'models'), { folder }, { on: ['model.', 'inventory.'] });
  return html`<h2>Files</h2>
    <div class="filters"><${Choice} label="Folder" name="folder" value=${folder}
      options=${[['', 'all'], ...folders.map((each) => [each.folder, `${each.folder} (${number(each.models)}, ${bytes(each.bytes)})`])]} /></div>
    <${Trouble} problem=${files.problem} />
    ${files.total === 0 && html`<${Empty}>${folder ? 'It holds nothing in this folder.' : 'It holds no model yet. Assign a workflow to it, or put files into its models directory.'}<//>`}
    ${files.total !== 0 && html`<${Rows} label="Files of this machine" layout="files" count=${files.total ?? 0} at=${files.at} need=${files.need} columns=${[
      ['Model', (row) => html`<a href=${link('models', `${row.folder}/${row.name}`)} title=${row.path}>${row.folder}/${row.name}</a>`],
      ['Size', (row) => bytes(row.size), 'num'],
      ['State', (row) => html`<${Badge} tone=${row.verified ? 'good' : 'warn'} title=${row.evidence}>${row.verified ? 'verified' : 'unverified'}<//>`],
      ['SHA-256', (row) => html`<code>${row.hash ? `${row.hash.slice(0, 16)}…` : '–'}</code>`],
    ]} />`}`;
}
