// Unpacks plotly.js, and draws the plots. In print they keep to the paper's width.
const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), c => c.charCodeAt(0));
const code = new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
const plots = [...document.querySelectorAll(".plot")];
code.then(text => {
  const script = document.createElement("script");
  script.textContent = text;
  document.head.append(script);
  for (const plot of plots) {
    const drawn = JSON.parse(plot.firstElementChild.textContent);
    Plotly.newPlot(plot, drawn.data, drawn.layout, {displayModeBar: false, responsive: true});
  }
  const fit = () => plots.forEach(plot => Plotly.Plots.resize(plot));
  matchMedia("print").addEventListener("change", fit);
  document.documentElement.dataset.drawn = plots.length;
});
