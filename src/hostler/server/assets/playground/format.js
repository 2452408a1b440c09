/** Numbers as people read them. */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export function bytes(amount) {
  let unit = 0;
  let rest = amount;
  while (rest >= 1024 && unit < UNITS.length - 1) {
    rest /= 1024;
    unit += 1;
  }
  return `${rest >= 100 || unit === 0 ? Math.round(rest) : rest.toFixed(1)} ${UNITS[unit]}`;
}

export function seconds(amount) {
  if (amount < 0.0995) return `${Math.round(amount * 1000)} ms`;
  if (amount < 9.95) return `${amount.toFixed(amount < 1 ? 2 : 1)} s`;
  if (amount < 120) return `${Math.round(amount)} s`;
  if (amount < 7200) return `${Math.round(amount / 60)} min`;
  if (amount < 172800) return `${Math.round(amount / 3600)} h`;
  return `${Math.round(amount / 86400)} days`;
}

/** How long ago; `time`: ISO 8601. */
export function ago(time) {
  const passed = Math.floor((Date.now() - Date.parse(time)) / 1000);
  return passed < 1 ? "now" : `${passed < 10 ? `${passed} s` : seconds(passed)} ago`;
}

/** Amounts by resource, of which `places` is no memory: `1.2 GiB of host, 1 place`. */
export function amounts(needs) {
  const words = Object.entries(needs)
    .filter(([, amount]) => amount > 0)
    .map(([resource, amount]) =>
      resource === "places" ? `${amount} ${amount === 1 ? "place" : "places"}` : `${bytes(amount)} of ${resource}`,
    );
  return words.join(", ") || "nothing";
}

export function plural(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
