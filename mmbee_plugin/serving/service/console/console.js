// The console: a user's scores, and the parts of one of them.

const SHOWN = 12; // parts before the rest is asked for
const FLAGS = {
  cold: "the bundle does not have this user",
  degraded: "the store of users did not answer",
  stale_board: "a newest segment ended more than two segment lengths ago",
  stale_bundle: "its training ended more than 36 hours ago",
};

function chosenAuthors() {
  return byId("authors").value.split("\n").map((one) => one.trim()).filter(Boolean);
}

async function rank(event) {
  event.preventDefault();
  const user = byId("user").value;
  const button = byId("ask").querySelector("button");
  button.disabled = true;
  byId("explained").replaceChildren();
  byId("summary").textContent = "";
  try {
    if (byId("ask").elements.which.value === "top") {
      const found = await ask("/v1/top", { user, count: 20 });
      showRanked(user, found, found.authors, {});
    } else {
      const authors = chosenAuthors();
      showRanked(user, await ask("/v1/score", { user, authors }), authors);
    }
  } catch (error) {
    failed("ranked", error);
  } finally {
    button.disabled = false;
  }
}

function failed(id, error) {
  if (error.status === 401) lock("The service does not take this token.");
  else byId(id).replaceChildren(make("p", { class: "wrong", role: "alert" }, error.message));
}

function flagged(flags) {
  return flags.flatMap((flag) => [make("span", { class: "flag wrong" }, flag), ` ${FLAGS[flag] ?? ""} `]);
}

function showRanked(user, found, authors) {
  const tasks = Object.keys(found.scores);
  const first = found.scores[tasks[0]];
  const scored = authors.map((author, place) => ({ author, place })).filter(({ place }) => first[place] !== null);
  scored.sort((one, other) => first[other.place] - first[one.place]);
  const rows = scored.map(({ author, place }, position) => {
    const cells = tasks.map((task) => make("td", {}, score(found.scores[task][place])));
    cells[0].append(barOf(first[place], scored.map((one) => first[one.place])));
    const open = make("button", { class: "plain", title: "What carried this score" }, author);
    const row = make("tr", {}, make("td", {}, `${position + 1}`), make("td", { class: "text" }, open), ...cells);
    open.addEventListener("click", () => {
      for (const other of row.parentElement.rows) other.removeAttribute("aria-current");
      row.setAttribute("aria-current", "true");
      explain(user, author);
    });
    return row;
  });
  const missing = Object.entries(found.missing ?? {}).map(([author, reason]) =>
    make("tr", {}, make("td", {}, "–"), make("td", { class: "text" }, author),
      make("td", { class: "soft", colspan: tasks.length }, reason)));
  const heads = ["#", "Author", ...tasks].map((name, place) =>
    make("th", { scope: "col", class: place === 1 ? "text" : "" }, name));
  byId("summary").textContent = rows.length
    ? `User ${user}: ${number(rows.length)} by score; choose one to see what carried it`
    : `User ${user}: no author has a score`;
  byId("ranked").replaceChildren(
    make("p", { class: "soft" }, ...flagged(found.flags)),
    make("div", { class: "wide" }, make("table", { "aria-labelledby": "summary" },
      make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows, ...missing))));
}

function barOf(value, all) {
  const least = Math.min(0, ...all), most = Math.max(...all);
  const bar = make("div", { class: "bar" });
  bar.style.width = `${100 * (value - least) / (most - least || 1)}%`;
  return bar;
}

async function explain(user, author) {
  byId("explained").replaceChildren(make("p", { class: "soft" }, "…"));
  try {
    showExplained(user, author, await ask("/v1/explain", { user, author }));
  } catch (error) {
    failed("explained", error);
  }
}

function showExplained(user, author, found) {
  const title = make("h3", { tabindex: "-1" }, `What carried the score of ${user} for ${author}`);
  if (found.missing !== null) {
    byId("explained").replaceChildren(title, make("p", {}, `No score: ${found.missing}`));
    return title.focus();
  }
  const tasks = Object.keys(found.scores);
  const body = make("div");
  const show = (task) => body.replaceChildren(...partsOf(found, task));
  const choice = make("select", { "aria-label": "Task", onchange: (event) => show(event.target.value) },
    ...tasks.map((task) => make("option", {}, task)));
  const content = [title, make("p", { class: "soft" }, ...flagged(found.flags)), ...(tasks.length > 1 ? [choice] : []), body];
  if (found.absent.length) content.push(make("p", { class: "soft" }, `The pair lacks: ${found.absent.join("; ")}.`));
  if (found.fixed.length) {
    content.push(make("p", { class: "soft" },
      `Encoded with the bundle, so not to be left out: ${found.fixed.join(", ")}.`));
  }
  if (found.room) content.push(...roomOf(found));
  show(tasks[0]);
  byId("explained").replaceChildren(...content);
  title.focus();
}

function partsOf(found, task) {
  const parts = [...found.parts].sort((one, other) => Math.abs(other.falls[task]) - Math.abs(one.falls[task]));
  const most = Math.max(...parts.map((one) => Math.abs(one.falls[task]))) || 1;
  const rows = parts.map((one) => {
    const fall = one.falls[task];
    const bar = make("div", { class: fall < 0 ? "against" : "for" });
    bar.style.width = `${100 * Math.abs(fall) / most}%`;
    return make("li", { class: one.kind.replaceAll(" ", "-") },
      make("span", {}, make("span", { class: "kind" }, one.kind), ` ${one.name}`),
      make("span", { class: "value" }, signed(fall)), make("div", { class: "track" }, bar));
  });
  const list = make("ul", { class: "parts" }, ...rows.slice(0, SHOWN));
  const rest = rows.slice(SHOWN);
  const more = make("button", { class: "plain", onclick: () => { list.append(...rest); more.remove(); } },
    `${rest.length} more parts`);
  return [
    make("p", {}, `${task} ${score(found.scores[task])}, logit ${signed(found.logits[task])}.`),
    make("p", { class: "soft" }, "How far the logit falls when one part alone is left out; to the left, it rises. Parts overlap, so falls do not add up."),
    list, ...(rest.length ? [more] : []),
  ];
}

// The last segments of the room: how the queries' attention is spread, and the fall of the logit without each.
function roomOf(found) {
  const { starts, present, attention } = found.room;
  const names = Object.keys(present);
  const task = Object.keys(found.scores)[0];
  const fall = (start) => found.parts.find((one) => one.kind === "segment" && one.name.startsWith(clock(start)));
  const table = (caption, weights, ...more) => {
    const most = Math.max(...weights.flat());
    const rows = names.map((name, modality) => make("tr", {}, make("th", { scope: "row" }, name),
      ...starts.map((_, place) => cellOf(present[name][place], weights[modality][place], most))));
    const heads = starts.map((start) => make("th", { scope: "col" }, clock(start).slice(11)));
    return [
      make("p", { class: "soft" }, caption),
      make("div", { class: "wide" }, make("table", { class: "room", "aria-label": caption },
        make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "from"), ...heads)),
        make("tbody", {}, ...rows, ...more))),
    ];
  };
  const falls = make("tr", {}, make("th", { scope: "row" }, "fall without it"),
    ...starts.map((start) => make("td", {}, fall(start) ? signed(fall(start).falls[task]) : "–")));
  const title = make("h3", {}, starts.length > 1 ? `The room's last ${starts.length} segments` : "The room's segment");
  if (!attention) {
    const there = names.map((name) => present[name].map(Number));
    return [title, ...table("Which segment has which modality", there, falls)];
  }
  const mean = names.map((_, modality) => starts.map((_, place) =>
    attention.reduce((total, query) => total + query[modality][place], 0) / attention.length));
  const each = attention.flatMap((query, place) => table(`Query ${place + 1}`, query));
  return [
    title,
    ...table(`Per cent of their attention that the author's ${attention.length} queries give, on the mean`, mean, falls),
    make("details", {}, make("summary", {}, "By query"), ...each),
  ];
}

function cellOf(there, weight, most) {
  if (!there) return make("td", { class: "soft" }, "–");
  const shade = make("div", { class: "shade" });
  shade.style.opacity = `${0.75 * weight / (most || 1)}`;
  return make("td", {}, shade, (100 * weight).toFixed(1));
}

byId("ask").addEventListener("submit", rank);
byId("authors").addEventListener("input", () => { byId("ask").elements.which.value = "named"; });
byId("unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  token = byId("token").value;
  byId("token").value = "";
  refresh();
});
setInterval(() => { if (!document.hidden && byId("unlock").hidden) refresh(); }, REFRESH);
refresh();
