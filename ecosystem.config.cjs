// pm2 start ecosystem.config.cjs
//
// `model-manager` first: it fetches, verifies and watches the models. ComfyUI and the worker are started at the same
// time and wait, each in its own place, until the gate is open.
//
// PM2 keeps the environment of every app in clear text (dump.pm2, `pm2 env`). Tokens therefore stand in files of mode
// 0600, and the environment only names the files. `pm2 restart --update-env` adds and changes variables but never removes
// one: to take a variable away, `pm2 delete` the app and start it again.
'use strict';

const fs = require('fs');
const os = require('os');
const path = require('path');

const env = (name, otherwise) => process.env[name] || otherwise;
const given = (...names) => Object.fromEntries(names.filter((name) => process.env[name]).map((name) => [name, process.env[name]]));

const workspace = env('WORKSPACE_PATH', env('WORKSPACE_DIR', '/workspace'));
const state = env('MODEL_MANAGER_STATE_DIR', path.join(workspace, '.model_manager'));
const secrets = env('SECRETS_DIR', path.join(os.homedir(), '.secrets'));
const logs = env('LOG_DIR', path.join(workspace, 'logs'));
const comfyui = env('COMFYUI_BASE_PATH', path.join(workspace, 'ComfyUI'));
const python = env('COMFYUI_PYTHON', 'python3');
const worker = env('WORKER_COMMAND', ''); // e.g. 'node /service-manager/worker.js'
const manager = path.join(__dirname, '.venv', 'bin', 'model-manager'); // made by scripts/setup

const tokenFile = (name) => {
  const file = env(`${name}_FILE`, path.join(secrets, name));
  return fs.existsSync(file) ? { [`${name}_FILE`]: file } : {};
};

const always = {
  interpreter: 'none',
  exec_mode: 'fork',
  instances: 1,
  autorestart: true,
  // Signals: SIGINT, then SIGKILL after this many ms. PM2's own 1600 is too short to put a download to rest.
  kill_timeout: 15000,
  min_uptime: '10s',
  // A crash loop slows down from 0.5 s to 15 s and never gives up.
  exp_backoff_restart_delay: 500,
  merge_logs: true,
  cwd: __dirname,
};

const app = (name, more) => ({
  name,
  out_file: path.join(logs, `${name}-out.log`),
  error_file: path.join(logs, `${name}-error.log`),
  ...always,
  ...more,
});

const waiting = (name, workflow, command) =>
  app(name, {
    script: manager,
    args: ['wait', '--state-dir', state, ...(workflow ? ['--workflow', workflow] : []), '--', ...command],
  });

module.exports = {
  apps: [
    app('model-manager', {
      script: manager,
      args: ['run'],
      // Not `wait_ready`: PM2 takes a timeout for "online", and an app that is stopped while it launches is left behind
      // as an orphan. The gate is `model-manager wait`.
      wait_ready: false,
      // 78 = the configuration is wrong: restarting does not mend it. See the log, correct it, `pm2 restart model-manager`.
      stop_exit_codes: [78],
      env: {
        WORKSPACE_PATH: workspace,
        MODEL_MANAGER_STATE_DIR: state,
        ...given('WORKFLOW_IDS', 'COLLECTION_IDS', 'COMPONENTS', 'MACHINE_MODELS_NEEDED', 'MACHINE_ID'),
        ...given('EMPROPS_API_BASE_URL', 'EMPROPS_API_URL', 'EMP_API_URL', 'MODEL_MANAGER_STORE'),
        ...tokenFile('HF_TOKEN'),
        ...tokenFile('CIVITAI_TOKEN'),
        ...tokenFile('EMPROPS_API_KEY'),
        ...tokenFile('REDIS_URL'), // the address carries a password
      },
    }),
    // ComfyUI's installer may wipe its tree on every boot: so the tree is entered only when the gate is open, and the
    // models that live outside of it are shown by a file.
    waiting('comfyui', env('COMFYUI_WORKFLOW', ''), [
      ...['env', '-C', comfyui, python, 'main.py', '--listen', '127.0.0.1', '--port', '8188'],
      ...['--extra-model-paths-config', path.join(state, 'extra_model_paths.yaml')],
    ]),
    // With WORKER_WORKFLOW the worker starts as soon as that one workflow is complete.
    ...(worker ? [waiting('worker', env('WORKER_WORKFLOW', ''), ['sh', '-c', `exec ${worker}`])] : []),
  ],
};
