/** The key, kept in the tab's own storage: another tab does not see it, and it goes with the tab. */

const NAME = "hostler-key";

export function currentKey() {
  return sessionStorage.getItem(NAME);
}

export function rememberKey(key) {
  sessionStorage.setItem(NAME, key);
}

export function forgetKey() {
  sessionStorage.removeItem(NAME);
}
