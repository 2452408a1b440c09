/** The inside of a paragraph of Markdown as nodes. */

import { h } from "./dom.js";

const MAX_DEPTH = 4;
/** How far the end of a span is looked for, so that a text of nothing but openings costs no more than any other. */
const SPAN = "{1,600}?";
const MARKS = new RegExp(
  [
    `(?<ticks>\`{1,3})(?<code>[^\`]${SPAN})\\k<ticks>`,
    `!?\\[(?<label>[^\\]\\n]${SPAN})\\]\\((?<target>[^()\\s]{1,2000})(?: "[^"\\n]{0,200}")?\\)`,
    `\\*\\*(?=\\S)(?<strong>[^]${SPAN})(?<=\\S)\\*\\*`,
    `\\*(?=[^\\s*])(?<em>[^*]${SPAN})(?<=\\S)\\*`,
    `(?<!\\w)__(?=\\S)(?<strong2>[^]${SPAN})(?<=\\S)__(?!\\w)`,
    `(?<!\\w)_(?=[^\\s_])(?<em2>[^_]${SPAN})(?<=\\S)_(?!\\w)`,
    `~~(?=\\S)(?<del>[^]${SPAN})(?<=\\S)~~`,
    "\\\\(?<plain>[\\\\`*_{}\\[\\]()#+.!|~>-])",
    "(?<url>https?://[^\\s<>()\\[\\]\"'`]{1,2000})",
  ].join("|"),
  "g",
);
const SCHEMES = new Set(["http:", "https:", "mailto:"]);

export function inline(text, depth = 0) {
  if (depth > MAX_DEPTH) return [text];
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(MARKS)) {
    if (match.index > end) nodes.push(text.slice(end, match.index));
    nodes.push(...span(match, depth + 1));
    end = match.index + match[0].length;
  }
  if (end < text.length) nodes.push(text.slice(end));
  return nodes;
}

function span(match, depth) {
  const { code, label, target, strong, strong2, em, em2, del, plain, url } = match.groups;
  if (code !== undefined) return [h("code", {}, code)];
  if (label !== undefined) return link(target, inline(label, depth), match[0]);
  if (strong ?? strong2) return [h("strong", {}, ...inline(strong ?? strong2, depth))];
  if (em ?? em2) return [h("em", {}, ...inline(em ?? em2, depth))];
  if (del !== undefined) return [h("del", {}, ...inline(del, depth))];
  if (plain !== undefined) return [plain];
  const trailing = /[.,;:!?]*$/.exec(url)[0];
  const address = url.slice(0, url.length - trailing.length);
  return [...link(address, [address], address), trailing];
}

/** A link where its target is a whole address of the web or of mail; anything else stays as it was written. */
function link(target, children, written) {
  const address = URL.canParse(target) ? new URL(target) : null;
  if (address === null || !SCHEMES.has(address.protocol)) return [written];
  return [
    h(
      "a",
      { href: address.href, target: "_blank", rel: "noopener noreferrer nofollow", title: address.href },
      ...children,
    ),
  ];
}
