/** Server-sent events, comment lines included, which `EventSource` drops and which needs no header of a key. */

import { lost } from "./api.js";

/**
 * Yields `{comment}` for each comment line and `{event, id, data}` for each event.
 * Throws UnreachableError where the connection breaks, AbortError where the request was aborted.
 */
export async function* readEvents(response) {
  let event = { event: "message", id: null, data: null };
  for await (const line of readLines(response)) {
    if (line === "") {
      if (event.data !== null) yield event;
      event = { event: "message", id: null, data: null };
    } else if (line.startsWith(":")) {
      yield { comment: line.slice(1).trim() };
    } else {
      const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line);
      if (name === "data") event.data = event.data === null ? value : `${event.data}\n${value}`;
      else if (name === "event" || name === "id") event[name] = value;
    }
  }
}

async function* readLines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error) => {
        throw lost(error);
      });
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) yield line.replace(/\r$/, "");
    }
  } finally {
    // Whoever stops reading hangs up, and the server then stops computing.
    reader.cancel().catch(() => {});
  }
}
