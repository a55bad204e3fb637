// Unpacks plotly.js, and draws the plots. In print they keep to the paper's width.
const PHONE = 500, LONG = 22, SHEET = 560;
// A long name on two lines, cut at the space that is nearest to its middle.
const halved = name => {
  const cuts = [...name.matchAll(/ /g)].map(found => found.index);
  if (name.length <= LONG || !cuts.length) return name;
  const cut = cuts.reduce((best, one) => Math.abs(one - name.length / 2) < Math.abs(best - name.length / 2) ? one : best);
  return `${name.slice(0, cut)}<br>${name.slice(cut + 1)}`;
};
// On a phone, what stands beside a plot leaves it more than half of the width.
const fitted = ({data, layout}) => {
  if (innerWidth >= PHONE) return layout;
  layout.font = {size: 10};
  for (const trace of data) {
    if (trace.colorbar) Object.assign(trace.colorbar, {tickfont: {size: 8}, thickness: 6, xpad: 2});
    const axis = layout[`yaxis${(trace.yaxis || "y").slice(1)}`];
    if (trace.orientation !== "h" || axis?.type !== "category") continue;
    axis.tickvals = [...new Set([...(axis.tickvals || []), ...trace.y])];
    axis.ticktext = axis.tickvals.map(halved);
    const longest = Math.max(...axis.ticktext.flatMap(text => text.split("<br>").map(line => line.length)));
    if (longest > LONG) axis.tickfont = {size: 8};
  }
  return layout;
};
const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), c => c.charCodeAt(0));
const code = new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
const plots = [...document.querySelectorAll(".plot")];
code.then(text => {
  const script = document.createElement("script");
  script.textContent = text;
  document.head.append(script);
  for (const plot of plots) {
    const drawn = JSON.parse(plot.firstElementChild.textContent);
    Plotly.newPlot(plot, drawn.data, fitted(drawn), {displayModeBar: false, responsive: true});
  }
  // A sheet of paper holds what is drawn to one height; bars, which have a height each, go on to the next one.
  const high = plots.filter(plot => plot.layout.height > SHEET && !plot.data.some(trace => trace.orientation === "h"));
  const heights = high.map(plot => plot.layout.height);
  addEventListener("beforeprint", () => high.forEach(plot => Plotly.relayout(plot, {height: SHEET})));
  addEventListener("afterprint", () => high.forEach((plot, at) => Plotly.relayout(plot, {height: heights[at]})));
  matchMedia("print").addEventListener("change", () => plots.forEach(plot => Plotly.relayout(plot, {autosize: true})));
  document.documentElement.dataset.drawn = plots.length;
});
