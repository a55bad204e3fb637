// What is served: the model's description, and rates of the last minute from differences of its metrics.

const WINDOW = 60000; // milliseconds
const WORK = ["score", "top", "infer", "explain", "segments"]; // the routes beside those that this page itself asks
const SCORED = ["score", "top", "infer", "explain"];
const seen = [];

function parsed(text) {
  const found = [];
  for (const line of text.split("\n")) {
    const parts = /^([a-z_]+)(?:\{(.*)\})? (\S+)/.exec(line);
    if (!parts) continue;
    const labels = {};
    for (const [, name, value] of (parts[2] ?? "").matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)) labels[name] = value;
    const value = parts[3] === "+Inf" ? Infinity : Number(parts[3]);
    found.push({ name: parts[1], labels, value });
  }
  return found;
}

function sum(metrics, name, matches = () => true) {
  let total = 0;
  for (const one of metrics) if (one.name === name && matches(one.labels)) total += one.value;
  return total;
}

function gauge(metrics, name) {
  return metrics.find((one) => one.name === name)?.value ?? NaN;
}

// Counters since the start of the window; from the service's start where the page has not seen that long.
function difference(now, before) {
  if (!before) return now;
  const earlier = new Map(before.map((one) => [one.name + JSON.stringify(one.labels), one.value]));
  return now.map((one) => ({ ...one, value: one.value - (earlier.get(one.name + JSON.stringify(one.labels)) ?? 0) }));
}

// The quantile of a histogram, linear within a bucket as Prometheus' histogram_quantile has it; in milliseconds.
function quantile(metrics, part, routes) {
  const counts = new Map();
  for (const one of metrics) {
    if (one.name !== "mmbee_request_seconds_bucket" || !routes.includes(one.labels.route)) continue;
    const bound = one.labels.le === "+Inf" ? Infinity : Number(one.labels.le);
    counts.set(bound, (counts.get(bound) ?? 0) + one.value);
  }
  const bounds = [...counts.keys()].sort((one, other) => one - other);
  const wanted = part * (counts.get(Infinity) ?? 0);
  if (!wanted) return "–";
  let below = 0, under = 0;
  for (const bound of bounds) {
    const count = counts.get(bound);
    if (count >= wanted) {
      if (bound === Infinity) return `> ${number(1000 * below)} ms`;
      const value = 1000 * (below + (bound - below) * (wanted - under) / (count - under));
      return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
    }
    [below, under] = [bound, count];
  }
  return "–";
}

async function refresh() {
  try {
    const [model, text] = await Promise.all([ask("/v2/models/mmbee"), ask("/metrics")]);
    showStatus(model, parsed(text));
    byId("unlock").hidden = true;
    for (const id of ["served", "console"]) byId(id).hidden = false;
  } catch (error) {
    if (error.status === 401) lock(token === null ? "" : "The service does not take this token.");
    else state("wrong", error.status ? error.message : "The service does not answer");
  }
}

function showStatus(model, metrics) {
  const time = Date.now();
  const total = (one) => sum(one, "mmbee_requests_total");
  if (seen.length && total(seen.at(-1).metrics) > total(metrics)) seen.length = 0; // started again
  seen.push({ time, metrics });
  while (seen.length > 2 && time - seen[1].time >= WINDOW) seen.shift();
  const first = seen.length > 1 ? seen[0] : null;
  const recent = difference(metrics, first?.metrics);
  const seconds = first ? (time - first.time) / 1000 : NaN;
  const period = first ? `the last ${age(seconds)}` : "all the time since its start";

  state("good", `Serving bundle ${model.versions[0]}`);
  byId("refused-bundle").hidden = model.refused === null;
  byId("refused-bundle").textContent = `A newer bundle is refused: ${model.refused}`;
  if (!byId("user").value && !byId("user").dataset.offered) {
    byId("user").value = byId("user").dataset.offered = model.example;
  }
  const until = model.data.until === null ? null : model.data.origin + model.data.until;
  const requests = (matches) => sum(recent, "mmbee_requests_total", matches);
  const scored = requests((one) => SCORED.includes(one.route));
  const answered = requests((one) => SCORED.includes(one.route) && one.status === "200");
  const shed = requests((one) => SCORED.includes(one.route) && ["429", "503"].includes(one.status));
  const degraded = sum(recent, "mmbee_flags_total", (one) => one.flag === "degraded");
  const authors = gauge(metrics, "mmbee_board_authors");
  const refused = sum(metrics, "mmbee_refused_bundles_total");
  tiles([
    ["Bundle", model.versions[0].slice(0, 8), `of ${model.data.name}; ${number(refused)} refused`],
    ["Data until", age(gauge(metrics, "mmbee_bundle_data_age_seconds")), until === null ? "without time" : `${clock(until)} UTC`],
    ["Board", `${number(authors)} authors`, boardAge(authors, gauge(metrics, "mmbee_board_age_seconds"))],
    ["Requests", first ? `${(scored / seconds).toFixed(1)} / s` : number(scored), "scores and explanations"],
    ["p50", quantile(recent, 0.5, SCORED), "half are faster"],
    ["p99", quantile(recent, 0.99, SCORED), "99 of 100 are faster"],
    ["Shed", share(shed, scored), "refused before work"],
    ["Degraded", share(degraded, answered), "scored without the store"],
  ]);
  byId("period").textContent = `Requests, times and shares: ${period}. Counts by status: since the service's start.`;
  routes(metrics, recent, seconds);
}

function boardAge(authors, seconds) {
  if (Number.isNaN(seconds)) return authors ? "static items" : "no live segment";
  return seconds < 1 ? "newest segment is on" : `newest segment ${age(seconds)} old`;
}

function tiles(rows) {
  const made = rows.map(([name, value, note]) =>
    make("div", {}, make("dt", {}, name), make("dd", {}, value, make("small", {}, note))));
  byId("tiles").replaceChildren(...made);
}

function routes(metrics, recent, seconds) {
  const rows = [];
  for (const route of WORK) {
    const of = (list, status) =>
      sum(list, "mmbee_requests_total", (one) => one.route === route && (!status || status.includes(one.status)));
    if (!of(metrics)) continue;
    const statuses = metrics
      .filter((one) => one.name === "mmbee_requests_total" && one.labels.route === route)
      .map((one) => `${one.labels.status}: ${number(one.value)}`);
    const rate = Number.isNaN(seconds) ? "–" : (of(recent) / seconds).toFixed(1);
    const figures = [
      rate, quantile(recent, 0.5, [route]), quantile(recent, 0.99, [route]),
      share(of(recent, ["429", "503"]), of(recent)), statuses.sort().join(", "),
    ];
    rows.push(make("tr", {}, make("th", { scope: "row" }, route), ...figures.map((one) => make("td", {}, one))));
  }
  byId("routes").tBodies[0].replaceChildren(...rows);
  byId("routes").hidden = !rows.length;
}
