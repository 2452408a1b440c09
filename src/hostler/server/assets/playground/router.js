/** Views by the fragment of the address, which no server and no log gets to see. */

/** `#/compare?models=a,b` as its view and its parameters. */
export function currentRoute() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { view: path, query: new URLSearchParams(query) };
}

/** The address of a view of this page. */
export function routeOf(view, query = {}) {
  const parameters = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "" && value !== null));
  const text = parameters.toString();
  return `#/${view}${text && `?${text}`}`;
}

export function go(view, query) {
  location.hash = routeOf(view, query);
}

/** Changes the address without a new entry in the history. */
export function describe(view, query) {
  history.replaceState(null, "", routeOf(view, query));
}
