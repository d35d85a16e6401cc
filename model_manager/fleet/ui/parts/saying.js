// What is said aloud to a screen reader, and shown for a while to everybody.
const SHOWN = 6000;

export function say(text) {
  const spoken = document.getElementById('spoken');
  spoken.textContent = '';
  const toast = document.createElement('p');
  toast.textContent = text;
  spoken.append(toast);
  setTimeout(() => toast.remove(), SHOWN);
}
