// Training mode: a slider over the snapshots of a recorder, the loss, and each layer's gradients,
// activations, weights and updates at that time.

const recording = content.recording;
let quantity = "gradients";
let layer = null;

// The recorded gradient of a parameter's box: the number of a Value, the norm of a Tensor.
function trained(i) {
  const path = boxes[i].parameter;
  const found = path === undefined ? undefined : recording.gradients[path]?.[state.at];
  if (!found) return null;
  return exact(content.signed ? found.mean : found.norm);
}

const QUANTITIES = [["gradients", "∂L/∂w"], ["parameters", "weights"], ["updates", "|Δw| / |w|"], ["activations", "activations"], ["activation_gradients", "∂L/∂a"]];

const sizeOf = (entry) => (entry === null || entry === undefined ? null : exact(typeof entry === "object" ? entry.mean_abs : entry));

function buildTraining() {
  if (!recording || !recording.steps.length) return;
  $("tab-training").hidden = false;
  const slider = make("input", { id: "time", type: "range", min: 0, max: recording.steps.length - 1, value: recording.steps.length - 1, "aria-label": "Time: a step of training" });
  slider.addEventListener("input", () => setTime(Number(slider.value)));
  const choice = make("select", { id: "quantity", "aria-label": "What to show" },
    ...QUANTITIES.filter(([name]) => Object.keys(recording[name]).length).map(([name, text]) => make("option", { value: name }, text)));
  choice.addEventListener("change", () => {
    quantity = choice.value;
    layer = null;
    showTraining();
  });
  const off = make("button", { type: "button", id: "time-off" }, "Back to this graph");
  off.addEventListener("click", () => setTime(null));
  $("training").append(
    make("div", { class: "drag" }, slider, make("output", { id: "time-step", for: "time" })),
    make("div", { id: "losses" }), make("div", { class: "drag" }, choice, off),
    make("div", { id: "layers" }), make("div", { id: "layer" }));
  showTraining();
}

function setTime(at) {
  pause();
  state.at = at;
  if (at !== null) {
    state.step = lastStep;
    $("time").value = at;
  }
  showAll();
}

function showTraining() {
  if (!recording || !recording.steps.length) return;
  const at = state.at ?? recording.steps.length - 1;
  $("time-off").disabled = state.at === null;
  const loss = exact(recording.losses[at]);
  $("time-step").textContent = `step ${recording.steps[at]}${loss === null ? "" : `, loss ${show(loss)}`}`;
  $("time").setAttribute("aria-valuetext", $("time-step").textContent);
  $("losses").replaceChildren(lineChart(recording.losses.map(exact), at, "Loss"));
  const found = Object.entries(recording[quantity]);
  const largest = Math.max(...found.flatMap(([, series]) => series.map(sizeOf)).filter((x) => x !== null && Number.isFinite(x)), 0);
  const rows_ = found.map(([path, series]) => {
    const size = sizeOf(series[at]);
    const bar = make("div", { class: "bar" });
    bar.style.width = `${100 * share(size, largest)}%`;
    const button = make("button", { type: "button", "aria-pressed": path === layer }, clipped(path || "(model)", 44));
    button.addEventListener("click", () => {
      layer = path;
      showTraining();
    });
    return make("tr", path === layer ? { class: "chosen" } : {}, make("td", {}, button), make("td", {}, bar),
      make("td", { class: "right" }, size === null ? "none" : show(size)));
  });
  const what = quantity === "updates" ? "ratio" : "mean of |entries|";
  $("layers").replaceChildren(make("p", { class: "hint" }, `${what}; bars are on a logarithmic scale of 6 powers of ten`), make("table", { class: "layers" }, ...rows_));
  showLayer(at);
}

function showLayer(at) {
  const series = layer === null ? undefined : recording[quantity][layer];
  if (!series) return $("layer").replaceChildren();
  const parts_ = [make("h3", {}, `${layer || "(model)"} over time`), lineChart(series.map(sizeOf), at, layer || "model", true)];
  const now = series[at];
  if (now !== null && typeof now === "object") {
    parts_.push(make("h3", {}, `Distribution at step ${recording.steps[at]}`), histogram(now.counts, exact(now.low), exact(now.high)));
    const facts = [["mean", show(exact(now.mean))], ["standard deviation", show(exact(now.std))], ["share of zeros", show(exact(now.zero_share))]];
    if (now.saturated_share !== null) facts.push(["share saturated", show(exact(now.saturated_share))]);
    parts_.push(table(facts));
  }
  return $("layer").replaceChildren(...parts_);
}

// Where on a logarithmic scale of six powers of ten, 0 to 1.
function share(size, largest) {
  if (size === null || size <= 0 || !largest) return 0;
  if (!Number.isFinite(size)) return 1;
  return Math.max(0.01, 1 + Math.log10(size / largest) / 6);
}

function lineChart(values, at, name, logarithmic = false) {
  const [width, height, left] = [320, 90, 44];
  const usable = values.map((x) => (x === null || !Number.isFinite(x) || (logarithmic && x <= 0) ? null : logarithmic ? Math.log10(x) : x));
  const known = usable.filter((x) => x !== null);
  if (!known.length) return make("p", { class: "hint" }, `${name}: nothing was recorded`);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const x = (k) => left + ((width - left - 6) * k) / Math.max(1, values.length - 1);
  const y = (v) => 6 + (height - 12) * (high === low ? 0.5 : (high - v) / (high - low));
  let d = "";
  usable.forEach((v, k) => {
    if (v !== null) d += `${d === "" || usable[k - 1] === null ? "M" : "L"}${x(k).toFixed(1)} ${y(v).toFixed(1)} `;
  });
  const label = (v) => minus(show(Number((logarithmic ? 10 ** v : v).toPrecision(3))));
  const shapes = [
    draw("path", { d, fill: "none", stroke: "var(--focus)", "stroke-width": 1.6 }),
    draw("line", { x1: x(at), x2: x(at), y1: 2, y2: height - 2, stroke: "var(--muted)", "stroke-dasharray": "3 2" }),
    draw("text", { x: left - 5, y: 13, "text-anchor": "end" }, label(high)),
    draw("text", { x: left - 5, y: height - 4, "text-anchor": "end" }, high === low ? "" : label(low)),
  ];
  if (usable[at] !== null) shapes.push(draw("circle", { cx: x(at), cy: y(usable[at]), r: 3.5, fill: "var(--focus)" }));
  return draw("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `${name} over ${values.length} snapshots, from ${label(known[0])} to ${label(known[known.length - 1])}` }, ...shapes);
}
