"use strict";
(function () {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const narrow = () => window.innerWidth < 640;

  // Plotly reads a little HTML in its texts: names come from data and must be shown as they are.
  const plain = (text) =>
    String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/[\r\n]+/g, " ");
  // A legend as wide as a long name would leave no room for the plot; pointing at the plot shows all of it.
  const legendName = (text) => plain(text.length > 40 ? text.slice(0, 39) + "\u2026" : text);
  const short = (value) => {
    if (typeof value !== "number") return String(value);
    const rounded = Number(value.toPrecision(4));
    return Math.abs(rounded) >= 1000 ? rounded.toLocaleString("en-US") : String(rounded);
  };
  const withUnit = (value, unit) => short(value) + (unit === "1" ? "" : " " + unit);
  const axisName = (objective) => objective.name + (objective.unit === "1" ? "" : " [" + objective.unit + "]");

  function faded(colour, opacity) {
    const rgb = colour.match(/[0-9a-f]{2}/gi).map((part) => parseInt(part, 16)).join(",");
    return "rgba(" + rgb + "," + opacity + ")";
  }

  function element(name, text) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  // A labelled choice; hidden while there is nothing to choose.
  function choice(parent, label, onChange) {
    const box = element("label", label);
    const select = element("select");
    box.append(select);
    parent.append(box);
    select.addEventListener("change", onChange);
    return {
      get value() { return Number(select.value || 0); },
      // Names to choose from; the value is a name's place, or what values has there.
      fill(names, values) {
        const before = select.selectedOptions.length ? select.selectedOptions[0].textContent : null;
        select.replaceChildren(...names.map((name, index) => {
          const option = element("option", name);
          option.value = values ? values[index] : index;
          option.selected = name === before;
          return option;
        }));
        box.style.display = names.length > 1 ? "" : "none";
      },
    };
  }

  // --- filters: which benchmarks and methods are shown, kept in the address after the # ---

  const shownMethods = new Set(data.benchmarks.flatMap((b) => b.panels.flat().flatMap((p) => p.methods.map((m) => m.method))));
  const filters = {
    benchmark: { title: "Benchmarks", names: data.benchmarks.map((benchmark) => benchmark.name), boxes: [] },
    method: { title: "Methods", names: data.methods.map((method) => method.name), boxes: [] },
  };
  const kinds = Object.keys(filters);
  filters.benchmark.present = filters.benchmark.names.map((_, index) => index);
  filters.method.present = filters.method.names.map((_, index) => index).filter((index) => shownMethods.has(index));
  kinds.forEach((kind) => { filters[kind].chosen = new Set(filters[kind].present); });
  const chosen = (kind, index) => filters[kind].chosen.has(index);
  const partial = (kind) => filters[kind].chosen.size < filters[kind].present.length;

  function choose(kind, indices) {
    if (indices.length) filters[kind].chosen = new Set(indices); // the last one stays: a page of nothing helps nobody
    apply();
    writeAddress();
  }

  function option(kind, index) {
    const filter = filters[kind];
    const row = element("div");
    row.className = "option";
    const label = element("label");
    const box = element("input");
    box.type = "checkbox";
    box.addEventListener("change", () => choose(kind, filter.present.filter((other, i) => filter.boxes[i].checked)));
    filter.boxes.push(box);
    label.append(box);
    if (kind === "method") {
      const dot = element("span");
      dot.className = "dot";
      dot.style.background = data.methods[index].colour;
      label.append(dot);
    }
    label.append(element("span", filter.names[index]));
    const only = element("button", "only");
    only.type = "button";
    only.setAttribute("aria-label", "Show only " + filter.names[index]);
    only.addEventListener("click", () => choose(kind, [index]));
    row.append(label, only);
    return row;
  }

  function buildFilter(kind) {
    const filter = filters[kind];
    const group = element("fieldset");
    const all = element("button", "all");
    all.type = "button";
    all.setAttribute("aria-label", "Show all " + filter.title.toLowerCase());
    all.addEventListener("click", () => choose(kind, filter.present));
    group.append(element("legend", filter.title), all, ...filter.present.map((index) => option(kind, index)));
    group.hidden = filter.present.length < 2;
    document.getElementById("filters").append(group);
  }

  function apply() {
    kinds.forEach((kind) => {
      filters[kind].present.forEach((index, i) => { filters[kind].boxes[i].checked = chosen(kind, index); });
    });
    document.querySelectorAll("[data-benchmark], [data-method]").forEach((part) => {
      part.hidden = kinds.some((kind) => part.dataset[kind] !== undefined && !chosen(kind, Number(part.dataset[kind])));
    });
    document.body.classList.toggle("some-methods", partial("method"));
    const note = document.getElementById("filtered");
    note.hidden = !kinds.some(partial);
    note.textContent = "Shown: " + kinds.filter(partial).map((kind) =>
      filters[kind].chosen.size + " of " + filters[kind].present.length + " " + kind + "s").join(", ") +
      ". Sentences, ranks and bold marks still count all.";
    fillBenchmarks();
    drawFronts(true);
    drawProgress(true);
  }

  let place = ""; // the section that the address names
  const fieldsOf = (hash) => (hash.includes("=") ? new URLSearchParams(hash.slice(1)) : new URLSearchParams({ at: hash.slice(1) }));

  function address() {
    const fields = new URLSearchParams();
    kinds.filter(partial).forEach((kind) => filters[kind].chosen.forEach((index) => fields.append(kind, filters[kind].names[index])));
    if (!fields.size) return place ? "#" + place : "";
    if (place) fields.append("at", place);
    return "#" + fields;
  }
  const writeAddress = () => history.replaceState(null, "", location.href.split("#")[0] + address());

  function readAddress() {
    const fields = fieldsOf(location.hash);
    kinds.forEach((kind) => {
      const wanted = new Set(fields.getAll(kind));
      const found = filters[kind].present.filter((index) => wanted.has(filters[kind].names[index]));
      filters[kind].chosen = new Set(found.length ? found : filters[kind].present);
    });
    place = fields.get("at") || "";
    apply();
    goTo(place);
  }

  // --- contents ---

  const menu = document.getElementById("menu");
  const links = [...document.querySelectorAll("#contents a")];
  const sections = links.map((link) => document.getElementById(link.hash.slice(1)));
  const small = window.matchMedia("(max-width: 999px)");

  function goTo(name) {
    const section = sections.find((candidate) => candidate.id === name);
    if (!section) return;
    section.scrollIntoView();
    const heading = section.querySelector("h2");
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  }

  function follow(event) {
    event.preventDefault();
    place = event.currentTarget.hash.slice(1);
    if (small.matches) menu.open = false;
    history.pushState(null, "", location.href.split("#")[0] + address());
    goTo(place);
    markCurrent();
  }

  // The last section whose heading has reached the upper part of the window; at the very end, the last one.
  function markCurrent() {
    const visible = sections.filter((section) => !section.hidden);
    const atEnd = window.scrollY > 0 && window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - 4;
    const passed = visible.filter((section) => section.getBoundingClientRect().top < window.innerHeight / 4);
    const current = atEnd ? visible[visible.length - 1] : passed[passed.length - 1] || visible[0];
    links.forEach((link, index) => {
      if (sections[index] === current) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
      link.parentElement.hidden = sections[index].hidden;
    });
    document.getElementById("here").textContent = "· " + current.querySelector("h2").textContent;
  }

  async function copy(event) {
    const button = event.currentTarget;
    const text = button.parentElement.querySelector("pre");
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    } catch (refused) { // some browsers do not let files write to the clipboard
      window.getSelection().selectAllChildren(text);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  }

  function layout(x, y) {
    const small = narrow();
    // On a phone the legend lies below the axis and takes up to half of the plot: this is what it leaves, in pixels.
    const plotted = 346 - Math.min(216, 20 * data.methods.length);
    return {
      margin: { l: small ? 52 : 70, r: small ? 8 : 20, t: 36, b: 50 },
      font: { family: "system-ui, -apple-system, Segoe UI, Roboto, Arial, sans-serif", size: small ? 11 : 13 },
      legend: Object.assign({ itemsizing: "constant" }, small ? { orientation: "h", y: -64 / plotted, yanchor: "top" } : {}),
      hovermode: "closest",
      hoverlabel: { align: "left", bgcolor: "#ffffff", font: { size: 12, color: "#1d2430" } },
      plot_bgcolor: "#ffffff",
      xaxis: Object.assign({ gridcolor: "#e6e6e6", zeroline: false, linecolor: "#999", ticks: "outside" }, x),
      yaxis: Object.assign({ gridcolor: "#e6e6e6", zeroline: false, linecolor: "#999", ticks: "outside" }, y),
    };
  }
  const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };

  // A logarithmic axis with as many numbers as there is room for: whole decades where there are several.
  function logAxis(values) {
    const shown = values.filter((value) => value > 0);
    const decades = Math.log10(Math.max(...shown) / Math.min(...shown));
    const most = narrow() ? 4 : 7;
    return { type: "log", tickformat: "~r", dtick: decades < most / 2.5 ? "D2" : Math.max(1, Math.ceil(decades / most)) };
  }

  // --- fronts ---

  // The points that are best trade-offs of two objectives, in the order of the first.
  function staircase(panel, points, x, y, signs) {
    const order = points.slice().sort((a, b) =>
      signs[x] * (panel.values[a][x] - panel.values[b][x]) || signs[y] * (panel.values[a][y] - panel.values[b][y]));
    let best = Infinity;
    return order.filter((point) => {
      const value = signs[y] * panel.values[point][y];
      if (value >= best) return false;
      best = value;
      return true;
    });
  }

  function hoverText(benchmark, columns, panel, point, who) {
    const objectives = benchmark.objectives.map((objective, index) =>
      plain(objective.name) + ": " + plain(withUnit(panel.values[point][index], objective.unit)));
    const settings = columns.map((column, index) =>
      plain(column) + " = " + plain(short(panel.configs[point][index])));
    return ["<b>" + plain(who) + "</b>", ...objectives, "", ...settings].join("<br>");
  }

  function frontTraces(benchmark, columns, panel, points, pair, look, who) {
    const [x, y] = pair;
    const signs = benchmark.objectives.map((objective) => (objective.sense === "max" ? -1 : 1));
    const line = staircase(panel, points, x, y, signs);
    const onLine = new Set(line);
    const trace = (list, size, opacity) => ({
      x: list.map((point) => panel.values[point][x]), y: list.map((point) => panel.values[point][y]),
      name: legendName(who), legendgroup: who, type: "scatter", mode: "markers",
      marker: { color: look.colour, symbol: look.symbol, line: { width: 0 }, size, opacity },
      hovertext: list.map((point) => hoverText(benchmark, columns, panel, point, who)), hoverinfo: "text",
      customdata: list, meta: who,
    });
    // One trace has line and markers, so that the legend shows the dash as well as the symbol.
    const stroke = { shape: "hv", color: faded(look.colour, look.opacity), width: look.width, dash: look.dash };
    return [
      Object.assign(trace(line, look.size, look.opacity + 0.25), { mode: "lines+markers", line: stroke }),
      Object.assign(trace(points.filter((point) => !onLine.has(point)), 5, 0.35), { showlegend: false }),
    ];
  }

  function showPicked(benchmark, columns, panel, point, who) {
    const picked = document.getElementById("picked");
    const list = element("dl");
    const add = (name, value) => {
      const box = element("div");
      box.append(element("dt", name), element("dd", value));
      list.append(box);
    };
    benchmark.objectives.forEach((objective, i) => add(objective.name, withUnit(panel.values[point][i], objective.unit)));
    columns.forEach((column, i) => add(column, short(panel.configs[point][i])));
    const head = element("p");
    head.append(element("strong", who), " · " + panel.task + " · table row " + panel.rows[point]);
    picked.replaceChildren(head, list);
  }

  const frontPlot = document.getElementById("front-plot");
  const frontControls = document.querySelector('.controls[data-for="fronts"]') || element("div");
  const frontChoice = {
    benchmark: choice(frontControls, "Benchmark", () => drawFronts(true)),
    task: choice(frontControls, "Task", () => drawFronts(false)),
    pair: choice(frontControls, "Objectives", () => drawFronts(false)),
    scale: choice(frontControls, "Vertical axis", () => drawFronts(false)),
    credit: choice(frontControls, "What counts", () => drawFronts(false)),
  };
  frontChoice.scale.fill(["as it fits", "linear", "logarithmic"]);
  let shown = null;

  function drawFronts(refill) {
    if (!frontPlot) return;
    const paired = withPairs();
    document.getElementById("fronts").hidden = !paired.length;
    if (!paired.length) return;
    const benchmark = data.benchmarks[frontChoice.benchmark.value];
    if (refill) {
      frontChoice.credit.fill(benchmark.credits);
      frontChoice.task.fill(benchmark.panels[0].map((panel) => panel.task));
      frontChoice.pair.fill(benchmark.pairs.map(([x, y]) => benchmark.objectives[y].name + " against " + benchmark.objectives[x].name));
    }
    const panel = benchmark.panels[frontChoice.credit.value][frontChoice.task.value];
    const columns = benchmark.columns[frontChoice.credit.value];
    const pair = benchmark.pairs[frontChoice.pair.value];
    // Larger than a method's points, which lie in front of it: a true front may be a single point.
    const grey = { colour: "#777777", width: 5, dash: "solid", opacity: 0.4, size: 14, symbol: "circle" };
    const traces = frontTraces(benchmark, columns, panel, panel.front, pair, grey, "true front of the table");
    panel.methods.filter((entry) => chosen("method", entry.method)).forEach((entry) => {
      const method = data.methods[entry.method];
      const look = { colour: method.colour, width: 1.3, dash: method.dash, opacity: 0.7, size: 8, symbol: method.symbol };
      traces.push(...frontTraces(benchmark, columns, panel, entry.front, pair, look, method.name));
    });
    const [x, y] = pair.map((index) => {
      const values = panel.values.map((point) => point[index]);
      const wanted = [panel.log[index], false, true][frontChoice.scale.value];
      return Object.assign({ title: { text: plain(axisName(benchmark.objectives[index])) } },
        (index === pair[1] ? wanted : panel.log[index]) && Math.min(...values) > 0 ? logAxis(values) : {});
    });
    shown = { benchmark, columns, panel };
    showFiles("fronts", frontChoice.benchmark.value, "pair=" + frontChoice.pair.value + " credit=" + frontChoice.credit.value);
    Plotly.react(frontPlot, traces, layout(x, y), config);
  }

  // --- progress ---

  const progressPlot = document.getElementById("progress-plot");
  const progressControls = document.querySelector('.controls[data-for="progress"]');
  const progressChoice = {
    benchmark: choice(progressControls, "Benchmark", () => drawProgress(true)),
    task: choice(progressControls, "Task", () => drawProgress(false)),
    what: choice(progressControls, "Measure", () => drawProgress(false)),
    scale: choice(progressControls, "Vertical scale", () => drawProgress(false)),
    credit: choice(progressControls, "What counts", () => drawProgress(false)),
  };
  progressChoice.what.fill(["relative hypervolume", "share of the true front found"]);
  progressChoice.scale.fill(["plain", "stretched towards 1"]);
  const SMALLEST_GAP = 0.001;

  function spanOfTime(seconds) {
    if (seconds >= 259200) return ["d", 86400];
    if (seconds >= 7200) return ["h", 3600];
    return seconds >= 120 ? ["min", 60] : ["s", 1];
  }

  function progressTraces(panel, entry, share, stretch, size, unit) {
    const method = data.methods[entry.method];
    const x = panel.grid.map((seconds) => seconds / size);
    const height = (curve) => (stretch ? curve.map((value) => Math.max(1 - value, SMALLEST_GAP)) : curve);
    const common = { x, mode: "lines", type: "scatter", legendgroup: method.name };
    const edge = { line: { width: 0, shape: "hv" }, hoverinfo: "skip", showlegend: false };
    const middle = share ? entry.found : entry.median;
    const text = middle.map((value, i) => ["<b>" + plain(method.name) + "</b>", short(x[i]) + " " + unit,
      share ? "share found: " + short(value)
        : "hypervolume: " + short(value) + " (middle half of the seeds: " + short(entry.low[i]) + " to " + short(entry.high[i]) + ")",
    ].join("<br>"));
    const line = Object.assign({ y: height(middle), name: legendName(method.name), hovertext: text, hoverinfo: "text",
      line: { color: method.colour, dash: method.dash, width: 2.2, shape: "hv" } }, common);
    if (share) return [line];
    return [
      Object.assign({ y: height(entry.low) }, common, edge),
      Object.assign({ y: height(entry.high), fill: "tonexty", fillcolor: faded(method.colour, 0.15) }, common, edge),
      line,
    ];
  }

  function drawProgress(refill) {
    const benchmark = data.benchmarks[progressChoice.benchmark.value];
    if (refill) {
      progressChoice.credit.fill(benchmark.credits);
      progressChoice.task.fill(benchmark.panels[0].map((panel) => panel.task));
    }
    const panel = benchmark.panels[progressChoice.credit.value][progressChoice.task.value];
    const share = progressChoice.what.value === 1;
    const stretch = progressChoice.scale.value === 1;
    const [unit, size] = spanOfTime(panel.horizon);
    const entries = panel.methods.filter((entry) => chosen("method", entry.method));
    const traces = entries.flatMap((entry) => progressTraces(panel, entry, share, stretch, size, unit));
    const gaps = [1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];
    const y = { title: { text: share ? "share of the true front found" : "relative hypervolume" } };
    if (stretch) Object.assign(y, { type: "log", autorange: "reversed", tickvals: gaps, ticktext: gaps.map((gap) => short(1 - gap)) });
    else y.rangemode = "tozero";
    const x = Object.assign({ title: { text: "simulated time [" + unit + "]" } }, logAxis(panel.grid.map((seconds) => seconds / size)));
    document.getElementById("progress-note").textContent =
      (share ? "Lines: mean over " : "Lines: median over ") + panel.seeds + (share ? "." : "; bands: the middle half of them.") +
      " A method that is higher and further left is better. Runs of this task end at " + panel.horizon_text + " of simulated time.";
    showFiles("progress", progressChoice.benchmark.value, "measure=" + progressChoice.what.value + " credit=" + progressChoice.credit.value);
    Plotly.react(progressPlot, traces, layout(x, y), config);
  }

  // --- both plots ---

  const withPairs = () => filters.benchmark.present.filter((index) => chosen("benchmark", index) && data.benchmarks[index].pairs.length);
  const nameOf = (index) => data.benchmarks[index].name;

  function fillBenchmarks() {
    const all = filters.benchmark.present.filter((index) => chosen("benchmark", index));
    frontChoice.benchmark.fill(withPairs().map(nameOf), withPairs());
    progressChoice.benchmark.fill(all.map(nameOf), all);
  }

  // Of the files below a plot, only those of the choices in force.
  function showFiles(section, benchmark, wanted) {
    document.querySelectorAll("#" + section + " .choice").forEach((part) => {
      part.hidden = Number(part.dataset.benchmark) !== benchmark || part.dataset.choice !== wanted;
    });
  }

  kinds.forEach(buildFilter);
  menu.open = !small.matches;
  small.addEventListener("change", () => { menu.open = !small.matches; });
  readAddress();
  markCurrent();
  window.addEventListener("hashchange", () => { readAddress(); markCurrent(); });
  window.addEventListener("scroll", markCurrent, { passive: true });
  window.addEventListener("resize", markCurrent);
  links.forEach((link) => link.addEventListener("click", follow));
  document.querySelectorAll(".copy").forEach((button) => button.addEventListener("click", copy));

  // Paper shows what is folded on screen, and plots as wide as its text.
  let folded = [];
  window.addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("main details:not([open])")].filter((part) => !part.closest(".made"));
    folded.forEach((part) => { part.open = true; });
    [frontPlot, progressPlot].forEach((plot) => plot && plot.data && Plotly.relayout(plot, { width: 680, height: 350 }));
  });
  window.addEventListener("afterprint", () => {
    folded.forEach((part) => { part.open = false; });
    [frontPlot, progressPlot].forEach((plot) => plot && plot.data && Plotly.relayout(plot, { width: null, height: null, autosize: true }));
  });

  if (shown) {
    const pick = (event) => {
      const point = event.points.find((candidate) => candidate.customdata !== undefined);
      if (point) showPicked(shown.benchmark, shown.columns, shown.panel, point.customdata, point.data.meta);
    };
    frontPlot.on("plotly_hover", pick);
    frontPlot.on("plotly_click", pick);
  }
  let wasNarrow = narrow();
  window.addEventListener("resize", () => {
    if (narrow() === wasNarrow) return;
    wasNarrow = narrow();
    drawFronts(false);
    drawProgress(false);
  });
})();
