// What all parts of the page share. Whatever comes from the service is set as text, never as HTML.

const REFRESH = 3000; // milliseconds

let token = null; // in memory only

const byId = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

class Refusal extends Error {
  constructor(status, reason) {
    super(reason);
    this.status = status;
  }
}

async function ask(path, body) {
  const headers = {};
  if (token !== null) headers.Authorization = `Bearer ${token}`;
  const request = { headers, cache: "no-store", credentials: "omit" };
  if (body !== undefined) {
    headers["Content-Type"] = "application/json";
    request.method = "POST";
    request.body = JSON.stringify(body);
  }
  const response = await fetch(path, request);
  const text = await response.text();
  if (response.ok) return path === "/metrics" ? text : JSON.parse(text);
  let reason = text;
  try { reason = JSON.parse(text).error; } catch { /* not one of the service's own answers */ }
  throw new Refusal(response.status, `${response.status}: ${reason}`);
}

function state(kind, text) {
  byId("state").className = kind;
  if (byId("state").textContent !== text) byId("state").textContent = text; // else it would be read out again
}

function lock(reason) {
  for (const id of ["served", "console", "routes-links"]) byId(id).hidden = true; // a link bears no token
  byId("tiles").replaceChildren();
  byId("routes").tBodies[0].replaceChildren();
  for (const id of ["summary", "ranked", "explained"]) byId(id).replaceChildren();
  byId("unlock").hidden = false;
  byId("refused-token").textContent = reason;
  state("", "A token is needed");
}

const clock = (seconds) => new Date(1000 * seconds).toISOString().slice(0, 19).replace("T", " ");

function age(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const [size, unit] = units.find(([length]) => Math.abs(seconds) >= 2 * length) ?? units[3];
  return `${Math.round(seconds / size)} ${unit}`;
}

const number = (value) => value.toLocaleString("en");
const share = (part, whole) => (whole ? `${(100 * part / whole).toFixed(1)} %` : "–");
const score = (value) => (Math.abs(value) >= 0.001 ? value.toPrecision(4) : value.toExponential(2));
const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`;
