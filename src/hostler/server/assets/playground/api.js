/** Asks the server: one way for all requests, with its key and its errors. */

import { currentKey } from "./session-key.js";

/** What is asked for is named relative to the page, so that a proxy may put all of it below a path. */
const BASE = new URL(".", document.baseURI.split("#")[0]);

/** Tells `unreachable` and `refused` (a key that is missing or wrong). */
export const signals = new EventTarget();

/** The server's own refusal. */
export class ApiError extends Error {
  constructor(message, status, code, retryAfterS) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfterS = retryAfterS;
  }
}

/** No answer, or one that broke off. */
export class UnreachableError extends Error {
  constructor() {
    super("The server does not answer.");
  }
}

export function address(path) {
  return new URL(path, BASE).href;
}

/** The path of a route of one model. */
export function modelPath(modelId, route) {
  return `models/${encodeURIComponent(modelId)}/${route}`;
}

/**
 * A response that is no error; `body` makes it a POST.
 * Throws ApiError, UnreachableError, and AbortError where `signal` asked for that.
 */
export async function call(path, { body, headers = {}, signal } = {}) {
  const key = currentKey();
  const sent = { ...headers };
  if (key) sent.authorization = `Bearer ${key}`;
  const options = { headers: sent, signal, credentials: "omit" };
  if (body !== undefined) {
    sent["content-type"] = "application/json";
    Object.assign(options, { method: "POST", body: JSON.stringify(body) });
  }
  const response = await fetch(address(path), options).catch((error) => {
    throw lost(error);
  });
  if (response.ok) return response;
  const error = await errorOf(response);
  if (error.status === 401) signals.dispatchEvent(new CustomEvent("refused"));
  throw error;
}

export async function getJson(path, options) {
  return readJson(await call(path, options));
}

export async function postJson(path, body = {}, options = {}) {
  return readJson(await call(path, { ...options, body }));
}

/** What a failure of the network is to be thrown as; an abort stays what it is. */
export function lost(error) {
  if (error.name === "AbortError") return error;
  signals.dispatchEvent(new CustomEvent("unreachable"));
  return new UnreachableError();
}

/** An error as it comes in a body, of either interface. */
export function bodyError(body, status, retryAfterS = null) {
  const told = body?.error ?? body;
  const detail = told?.message ?? told?.detail ?? `The server answered with status ${status}.`;
  const message = Array.isArray(detail)
    ? detail.map((problem) => `${problem.loc.slice(1).join(".")}: ${problem.msg}`).join("; ")
    : String(detail);
  return new ApiError(message, status, told?.code ?? null, retryAfterS);
}

async function readJson(response) {
  return response.json().catch((error) => {
    throw lost(error);
  });
}

async function errorOf(response) {
  const body = await response.json().catch(() => null);
  const wait = response.headers.get("retry-after");
  return bodyError(body, response.status, wait === null ? null : Number(wait));
}
