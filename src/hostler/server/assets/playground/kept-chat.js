/** The chat of this tab in the tab's own storage, so that a reload does not lose it. The key is kept apart from it. */

const NAME = "hostler-chat";
/** A fifth of what browsers give a page; beyond it the oldest turns are not kept. */
const MAX_CHARS = 1_000_000;

/** `{system, messages}` as they were kept last. */
export function readChat() {
  try {
    const { system, messages } = JSON.parse(sessionStorage.getItem(NAME));
    if (typeof system === "string" && Array.isArray(messages)) return { system, messages };
  } catch {
    // There is none, or another page of this address wrote it.
  }
  return { system: "", messages: [] };
}

/** Takes the place of what was kept. Where the browser refuses, nothing is. */
export function keepChat({ system, messages }) {
  sessionStorage.removeItem(NAME);
  if (!system && messages.length === 0) return;
  try {
    sessionStorage.setItem(NAME, JSON.stringify({ system, messages: latest(messages, MAX_CHARS - system.length) }));
  } catch {
    // The tab's storage is full or forbidden; the chat goes on without it.
  }
}

/** The last messages that have room, from a question on. */
function latest(messages, room) {
  let begin = messages.length;
  let rest = room;
  for (let at = messages.length - 1; at >= 0; at -= 1) {
    rest -= JSON.stringify(messages[at]).length;
    if (rest < 0) break;
    if (messages[at].role === "user") begin = at;
  }
  return messages.slice(begin);
}
