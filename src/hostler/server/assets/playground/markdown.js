/** Markdown to nodes, block by block. HTML in it is text like any other; nothing is fetched, images become links. */

import { h } from "./dom.js";
import { inline } from "./markdown-inline.js";

/** Deeper ones are shown as text, so that no answer can exhaust the stack. */
const MAX_DEPTH = 6;
const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,9})([-*+]|\d{1,9}[.)])(?: +|$)/;
const TABLE_RULE = /^ {0,3}\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;

export function markdown(text) {
  return blocks(text.replaceAll("\t", "    ").split(/\r?\n/), 0);
}

function blocks(lines, depth) {
  if (depth > MAX_DEPTH) return [h("p", {}, lines.join("\n"))];
  const nodes = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at];
    if (!line.trim()) {
      at += 1;
      continue;
    }
    const [node, next] = block(lines, at, depth);
    nodes.push(node);
    at = next;
  }
  return nodes;
}

/** The block that begins at a line, and where the next one does. */
function block(lines, at, depth) {
  const line = lines[at];
  if (FENCE.test(line)) return fence(lines, at);
  if (RULE.test(line)) return [h("hr"), at + 1];
  const heading = HEADING.exec(line);
  // The page's own headings are its outline; an answer's would tear holes into it.
  if (heading) return [h("p", { class: `heading level${heading[1].length}` }, ...inline(heading[2])), at + 1];
  if (QUOTE.test(line)) {
    const end = endOf(lines, at, (other) => QUOTE.test(other));
    return [
      h(
        "blockquote",
        {},
        ...blocks(
          lines.slice(at, end).map((other) => other.replace(QUOTE, "")),
          depth + 1,
        ),
      ),
      end,
    ];
  }
  if (ITEM.test(line)) return list(lines, at, depth);
  if (line.includes("|") && TABLE_RULE.test(lines[at + 1] ?? "")) return table(lines, at);
  const end = endOf(lines, at + 1, (other) => other.trim() && !beginsBlock(other));
  return [h("p", {}, ...inline(lines.slice(at, end).join("\n"))), end];
}

function beginsBlock(line) {
  return [FENCE, HEADING, QUOTE, ITEM, RULE].some((pattern) => pattern.test(line));
}

function endOf(lines, at, belongs) {
  let end = at;
  while (end < lines.length && belongs(lines[end])) end += 1;
  return end;
}

/** Without its end, as while it is still written, a fence goes on to the end of the text. */
function fence(lines, at) {
  const [, mark, language] = FENCE.exec(lines[at]);
  const end = endOf(
    lines,
    at + 1,
    (line) => !(line.trim().startsWith(mark) && !line.trim().slice(mark.length).replaceAll(mark[0], "")),
  );
  const code = h("code", {}, lines.slice(at + 1, end).join("\n"));
  // What scrolls must be reachable by keys.
  return [
    h("pre", { tabindex: "0", "aria-label": language ? `${language} code` : "code", role: "region" }, code),
    end + 1,
  ];
}

function list(lines, at, depth) {
  const [, indent, marker] = ITEM.exec(lines[at]);
  const isOrdered = /\d/.test(marker);
  const items = [];
  let next = at;
  while (next < lines.length) {
    const found = ITEM.exec(lines[next]);
    if (!found || found[1].length > indent.length + 1 || /\d/.test(found[2]) !== isOrdered) break;
    if (found[1].length < indent.length) break;
    const end = endOfItem(lines, next + 1, found[0].length, indent.length);
    const content = [
      lines[next].slice(found[0].length),
      ...lines.slice(next + 1, end).map((line) => dedent(line, found[0].length)),
    ];
    items.push(h("li", {}, ...tight(blocks(content, depth + 1))));
    next = end;
  }
  const start = isOrdered && Number.parseInt(marker, 10) !== 1 ? Number.parseInt(marker, 10) : null;
  return [h(isOrdered ? "ol" : "ul", { start }, ...items), next];
}

/** Lines that are indented belong to an item, blank ones where such a line or another item follows. */
function endOfItem(lines, at, width, indent) {
  let end = at;
  while (end < lines.length) {
    const line = lines[end];
    const spaces = line.length - line.trimStart().length;
    if (!line.trim()) {
      const after = lines.slice(end).find((other) => other.trim());
      if (after === undefined) return end;
      const isMore = after.length - after.trimStart().length >= Math.min(width, indent + 2) || ITEM.test(after);
      if (!isMore) return end;
    } else if (
      spaces < Math.min(width, indent + 2) &&
      (ITEM.test(line) || beginsBlock(line) || !lines[end - 1].trim())
    ) {
      return end;
    }
    end += 1;
  }
  return end;
}

function dedent(line, width) {
  const spaces = line.length - line.trimStart().length;
  return line.slice(Math.min(spaces, width));
}

/** An item that is one paragraph needs none. */
function tight(nodes) {
  return nodes[0]?.tagName === "P" && !nodes[0].className ? [...nodes[0].childNodes, ...nodes.slice(1)] : nodes;
}

function table(lines, at) {
  const heads = cells(lines[at]);
  const end = endOf(lines, at + 2, (line) => line.includes("|"));
  const rows = lines.slice(at + 2, end).map((line) => cells(line).slice(0, heads.length));
  const head = h("thead", {}, h("tr", {}, ...heads.map((cell) => h("th", { scope: "col" }, ...inline(cell)))));
  const body = h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map((cell) => h("td", {}, ...inline(cell))))));
  return [
    h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Table" }, h("table", {}, head, body)),
    end,
  ];
}

function cells(line) {
  return line
    .trim()
    .replace(/^\|/, "")
    .replace(/\|$/, "")
    .split("|")
    .map((cell) => cell.trim());
}
