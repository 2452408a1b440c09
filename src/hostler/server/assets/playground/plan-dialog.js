/** What a load would do, before it is done. */

import { button, h, openDialog } from "./dom.js";
import { amounts, bytes, plural, seconds } from "./format.js";

const VERDICTS = {
  loaded: "It is in memory already",
  loading: "It is being loaded",
  fits: "There is room for it",
  fits_after_eviction: "It fits when others leave",
  waits: "It would have to wait",
  never_fits: "It can never fit",
};
const BASES = {
  measured: "measured at an earlier load",
  headers: "from the headers of its weights",
  files: "from the sizes of its files",
  size: "a guess from the size in the registry",
};

/** `load`: takes the model id; null where the key may not load. */
export function showPlan(plan, load) {
  const canLoad = load !== null && !["loaded", "loading", "never_fits"].includes(plan.verdict);
  const dialog = openDialog(
    `Plan for ${plan.model_id}`,
    h("p", { class: `verdict ${plan.verdict}` }, h("strong", {}, VERDICTS[plan.verdict]), ". ", plan.text),
    plan.victims.length > 0 && h("h3", {}, "Who would leave"),
    plan.victims.length > 0 && h("ul", { class: "victims" }, ...plan.victims.map(describeVictim)),
    h("dl", {}, ...facts(plan).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
    h(
      "div",
      { class: "buttons" },
      canLoad && button("Load it", () => (dialog.close(), load(plan.model_id)), { class: "main" }),
      button("Close", () => dialog.close()),
    ),
  );
}

function describeVictim(victim) {
  const back = victim.load_seconds === null ? "" : `; bringing it back takes about ${seconds(victim.load_seconds)}`;
  return h("li", {}, h("strong", {}, victim.model_id), ` ${victim.reason}. Frees ${amounts(victim.frees)}${back}.`);
}

/** What the memory is for, without what needs none. */
function parts(footprint) {
  return [
    [footprint.weights_bytes, "weights"],
    [footprint.kv_cache_bytes, "keys and values"],
    [footprint.workspace_bytes, "workspace"],
    [footprint.process_bytes, "process"],
  ]
    .filter(([amount]) => amount > 0)
    .map(([amount, name]) => `${bytes(amount)} ${name}`)
    .join(", ");
}

function facts(plan) {
  const { footprint } = plan;
  const busy = Object.entries(plan.in_flight).filter(([, count]) => count > 0);
  const inFlight = busy.map(([modelId, count]) => `${modelId}: ${plural(count, "request")}`);
  const rows = [
    ["Would go to", plan.device],
    ["Needs", amounts(plan.needs)],
    ["Of which", parts(footprint)],
    ["Known", BASES[footprint.basis]],
    ["Free now", amounts(plan.free)],
  ];
  if (Object.values(plan.lacking).some((amount) => amount > 0)) rows.push(["Lacking", amounts(plan.lacking)]);
  if (inFlight.length > 0) rows.push(["In flight", inFlight.join(", ")]);
  rows.push(["Answers in about", plan.expected_seconds === null ? "not known" : seconds(plan.expected_seconds)]);
  return rows;
}
