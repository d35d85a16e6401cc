// Folders, and how a model stands in the fleet.
export const FOLDERS = [
  'checkpoints', 'loras', 'vae', 'text_encoders', 'diffusion_models', 'clip_vision', 'controlnet', 'upscale_models', 'embeddings',
  'style_models', 'unet', 'gligen', 'hypernetworks', 'photomaker', 'ipadapter', 'audio_encoders', 'configs',
];

/** Parts of the fleet's models: name in an address, words, and parameters of the search. */
export const ONLY = [
  ['', 'all models', {}],
  ['single', 'on one machine only', { single: true }],
  ['duplicates', 'same bytes under several names', { duplicates: true }],
  ['conflicting', 'same name, other bytes', { conflicting: true }],
  ['unverified', 'not all verified', { verified: false }],
  ['unused', 'no workflow needs it', { unused: true }],
  ['updates', 'a newer version is known', { updates: true }],
];

/** The worst that can be said of it. */
export function modelState(row) {
  if (row.hashes.length > 1) return { tone: 'bad', children: 'other bytes', title: 'One name, several contents' };
  if (row.verified === 0) return { tone: 'warn', children: 'unverified' };
  if (row.verified < row.copies) return { tone: 'warn', children: 'partly verified' };
  if (row.machines === 1) return { tone: 'idle', children: 'one machine', title: 'It is lost with that machine' };
  return { tone: 'good', children: 'verified' };
}
