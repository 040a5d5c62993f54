// The panel: the rule of the step in words of calculus, the topological order, and a node's details.

function formula(text, ...more) {
  return make("p", { class: "formula" }, minus(text), ...more);
}

// " = 0.5 · -3 = -1.5", or nothing for what has no numbers.
function equals(...texts) {
  const said = texts.filter((text, k) => text !== null && text !== texts[k + 1]);
  return said.map((text) => ` = ${minus(text)}`).join("");
}

function showRule() {
  const now = active();
  const panel = [];
  if (state.at !== null) {
    panel.push(make("h2", {}, `Gradients at step ${content.recording.steps[state.at]} of training`));
    panel.push(make("p", { class: "hint" }, "Colours and numbers of parameters are those of that step. Step or play to return to this graph."));
  } else if (now === null && state.step === 0) {
    panel.push(make("h2", {}, "Nothing is computed yet"));
    panel.push(make("p", { class: "hint" }, `Press play: forward through ${results.length} operations, then backward.`));
  } else if (now === null) {
    panel.push(make("h2", {}, "A graph without gradients"));
  } else if (now.phase === "forward") {
    const [names, numbers, result] = forwardLine(now.box);
    panel.push(make("h2", { class: "forward" }, `Forward, ${state.step} of ${results.length}: ${clipped(title(now.box), 40)}`));
    panel.push(formula(nameOf(now.box), equals(names, numbers, result)));
  } else if (now.seeds) {
    panel.push(make("h2", { class: "backward" }, "Backward begins"));
    panel.push(formula(partial(content.root), equals(show(run.seed))));
  } else {
    panel.push(make("h2", { class: "backward" }, `Backward, ${state.step - seedStep} of ${content.backward.length}: ${clipped(title(now.box), 40)}`));
    const g = content.signed ? partial(now.box) : `‖${partial(now.box)}‖`;
    panel.push(formula(g, equals(show(gradientOf(now.box)))));
    const before = gradientsAt(state.step - 1);
    const totals = new Map([...before].map(([i, { total, shares }]) => [i, [total, shares.length]]));
    for (const share of now.shares) {
      const [names, numbers, result] = shareLine(now.box, share);
      panel.push(formula(partial(share.to), ` += ${names}`, content.signed ? equals(numbers, result) : `, of norm ${result}`));
      const [total, count] = totals.get(share.to) ?? [null, 0];
      if (count) {
        const sum = content.signed
          ? `${minus(show(total))} + ${share.share < 0 ? `(${minus(result)})` : result} = ${minus(show(share.total))}`
          : `norm ${show(share.total)}`;
        panel.push(make("p", { class: "formula so-far" }, `accumulates: ${sum} ${count + 1} uses`.replace(/ (\d+) uses$/, " ($1 uses so far)")));
      }
      totals.set(share.to, [share.total, count + 1]);
    }
    if (!now.shares.length) panel.push(make("p", { class: "hint" }, "No input of it takes a gradient."));
  }
  $("rule").replaceChildren(...panel);
}

// The topological order.

const entries = new Map();

function buildList() {
  order.forEach((i, k) => {
    const entry = make("div", { class: "entry", role: "option", id: `entry-${i}`, "aria-selected": "false" },
      make("span", { class: "number" }, String(k + 1)), make("span", { class: "what" }, clipped(describe(i), 60)),
      make("span", { class: "scope" }, boxes[i].group));
    entry.dataset.box = i;
    entries.set(i, entry);
  });
  $("list").append(...entries.values());
  $("list").addEventListener("click", (event) => {
    const entry = event.target.closest(".entry");
    if (entry) goTo(Number(entry.dataset.box));
  });
  $("list").addEventListener("keydown", (event) => {
    const now = active();
    const at = now === null ? (state.step === 0 ? -1 : order.length) : order.indexOf(now.box);
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const by = event.key === "ArrowDown" ? 1 : -1;
      let next = at + by;
      while (next >= 0 && next < order.length && boxes[order[next]].rule === undefined) next += by;
      if (next >= 0 && next < order.length) goTo(order[next]);
      event.preventDefault();
      event.stopPropagation();
    }
  });
}

function describe(i) {
  const box = boxes[i];
  if (box.rule === undefined) return `${box.name} (${box.kind})`;
  return `${box.name} = ${forwardLine(i)[0]}`;
}

// To a node's own step, in the phase that is shown; a leaf has none, and is only selected.
function goTo(i) {
  const backwards = state.step > results.length && state.step < lastStep;
  const step = (backwards ? backwardStep : forwardStep).get(i);
  if (step !== undefined) setStep(step);
  choose(`n${i}`);
  bringToLight(i);
}

function showList() {
  const now = active();
  for (const entry of document.querySelectorAll(".entry.at-forward, .entry.at-backward, .entry[aria-selected='true']")) {
    entry.classList.remove("at-forward", "at-backward");
    entry.setAttribute("aria-selected", "false");
  }
  if (now === null) return $("list").removeAttribute("aria-activedescendant");
  const entry = entries.get(now.box);
  entry.classList.add(`at-${now.phase}`);
  entry.setAttribute("aria-selected", "true");
  $("list").setAttribute("aria-activedescendant", entry.id);
  const panel = $("order");
  if (panel.hidden) return undefined;
  const [from, height] = [entry.offsetTop - panel.offsetTop, entry.offsetHeight];
  if (from < panel.scrollTop || from + height > panel.scrollTop + panel.clientHeight) panel.scrollTop = from - panel.clientHeight / 2;
  return undefined;
}

// A node's details.

function table(rows) {
  return make("table", {}, ...rows.map(([name, value]) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, minus(String(value))))));
}

function showNode() {
  const [head, change, tail] = ["node-facts", "node-change", "node-more"].map($);
  const item = state.selected;
  const live = item !== null && !isModule(item) && isDraggable(numberOf(item));
  if (change.dataset.of !== (live ? item : "")) change.replaceChildren(...(live ? [dragger(numberOf(item))] : []));
  change.dataset.of = live ? item : "";
  tail.replaceChildren();
  if (item === null) {
    head.replaceChildren(make("p", { class: "hint" }, "Click a node, or go to one with the arrow keys and press Enter."));
    return;
  }
  if (isModule(item)) {
    const module = modules[numberOf(item)];
    const gradient = moduleGradient(numberOf(item));
    head.replaceChildren(make("h2", {}, module.path),
      table([["kind", "module"], ["nodes", module.count], ["‖gradient of its parameters‖", gradient === null ? "none" : show(gradient)]]));
    return;
  }
  const i = numberOf(item);
  const box = boxes[i];
  const more = [];
  const facts = [["kind", box.op ? `result of ${rules[box.rule].name}` : box.kind]];
  if (box.group) facts.push(["module", box.group]);
  if (box.rule !== undefined && rules[box.rule].attrs.length) facts.push(["options", rules[box.rule].attrs.map((pair) => pair.join("=")).join(", ")]);
  if (order.includes(i)) facts.push(["in the topological order", `${order.indexOf(i) + 1} of ${order.length}`]);
  if (box.data !== undefined && box.data !== null) facts.push(["data", isKnown(i, state.step) ? show(run.data[i]) : "not computed yet"]);
  if (content.signed && box.requires_grad && content.seed !== null) facts.push([partial(i), state.found.has(i) ? show(gradientShown(i)) : "none so far"]);
  head.replaceChildren(make("h2", {}, clipped(box.name, 300)), table(facts));
  if (box.line) more.push(make("h3", {}, "Made at"), make("code", {}, `${box.line}\n${box.code || ""}`));
  if (box.rule !== undefined) more.push(make("h3", {}, "Forward"), forwardFormula(i));
  more.push(...gradientStory(i));
  if (box.shapes && box.shapes.length) more.push(make("h3", {}, "Shapes"), ...box.shapes.map((text) => make("p", {}, text)));
  if (box.tensor) more.push(make("h3", {}, "Data"), ...arrayDetails(box.tensor));
  if (box.tensor && box.gradient) more.push(make("h3", {}, `Gradient ${partial(i)}`), ...arrayDetails(box.gradient));
  tail.replaceChildren(...more);
}

function forwardFormula(i) {
  const [names, numbers, result] = forwardLine(i);
  return formula(nameOf(i), equals(names, ...(isKnown(i, state.step) ? [numbers, result] : [])));
}

// Where a node's gradient came from: one line for each use, and their sum.
function gradientStory(i) {
  const found = state.found.get(i);
  if (!found || !found.shares.length || state.at !== null) return [];
  const lines = found.shares.map((share) => {
    const [names, numbers, result] = shareLine(share.from, share);
    return formula(`from ${nameOf(share.from)}: ${names}`, content.signed ? equals(numbers, result) : `, of norm ${result}`);
  });
  if (content.signed && lines.length > 1) lines.push(formula(partial(i), equals(found.shares.map((each, k) => {
    const text = show(each.share);
    return k && text.startsWith("-") ? `(${text})` : text;
  }).join(" + "), show(found.total))));
  return [make("h3", {}, "Where its gradient comes from"), ...lines];
}

function arrayDetails(found) {
  const facts = [["shape", `(${found.shape.join(", ")})`], ["dtype", found.dtype], ["norm", show(exact(found.norm))]];
  for (const name of ["min", "max", "mean", "std"]) if (found[name] !== undefined) facts.push([name, show(found[name])]);
  if (found.nonfinite) facts.push(["NaN or infinite", `${found.nonfinite} entries`]);
  const parts_ = [table(facts)];
  if (found.histogram) parts_.push(histogram(found.histogram.counts, found.min, found.max));
  if (found.map) parts_.push(heatMap(found.map));
  if (found.entries && found.entries.length > 1) parts_.push(entriesTable(found));
  return parts_;
}

function entriesTable({ entries: numbers, shape }) {
  const columns = shape.length ? shape[shape.length - 1] : 1;
  const rows_ = [];
  for (let k = 0; k < numbers.length; k += columns) {
    rows_.push(make("tr", {}, ...numbers.slice(k, k + columns).map((x) => make("td", {}, minus(show(exact(x)))))));
  }
  return make("div", { class: "entries", tabindex: "0", role: "group", "aria-label": "Entries" }, make("table", {}, ...rows_));
}

function histogram(counts, low, high) {
  const most = Math.max(...counts, 1);
  const [width, height] = [300, 70];
  const step = width / counts.length;
  const bars = counts.map((count, k) => draw("rect", {
    x: k * step + 0.5, width: step - 1, y: height - (count / most) * height, height: (count / most) * height, fill: "var(--bar)",
  }));
  return draw("svg", { class: "chart", viewBox: `0 0 ${width} ${height + 14}`, role: "img",
    "aria-label": `Histogram from ${show(low)} to ${show(high)}, at most ${most} in a bin` },
  ...bars, draw("text", { x: 0, y: height + 12 }, minus(show(low))),
  draw("text", { x: width, y: height + 12, "text-anchor": "end" }, minus(show(high))));
}

// Signed bytes as colours: the strongest of either side is the largest entry.
function heatMap({ what, rows: m, columns: n, sampled, largest, bytes }) {
  const cell = Math.max(2, Math.min(12, Math.floor(300 / n)));
  const canvas = make("canvas", { width: n, height: m, role: "img", "aria-label": `Heat map, ${m} by ${n}, largest ${show(largest)}` });
  canvas.style.width = `${n * cell}px`;
  const context = canvas.getContext("2d");
  const text = atob(bytes);
  const palette = content.palette[theme()];
  for (let k = 0; k < m * n; k += 1) {
    const byte = (text.charCodeAt(k) << 24) >> 24;
    const arm = byte < 0 ? palette.negative : palette.positive;
    const strength = Math.abs(byte) / 127;
    context.fillStyle = byte === -128 ? "#000" : palette.paper;
    context.fillRect(k % n, Math.floor(k / n), 1, 1);
    if (byte === -128 || byte === 0) continue;
    context.globalAlpha = strength;
    context.fillStyle = arm[arm.length - 1][1];
    context.fillRect(k % n, Math.floor(k / n), 1, 1);
    context.globalAlpha = 1;
  }
  const [negative, positive] = [palette.negative, palette.positive].map((arm) => {
    const sample = make("span", { "aria-hidden": "true" }, "■ ");
    sample.style.color = arm[arm.length - 1][1];
    return sample;
  });
  const where = [what, sampled ? "evenly spaced entries" : ""].filter(Boolean).join(", ");
  return make("div", {}, canvas, make("p", { class: "hint" }, positive, `up to ${show(largest)} `, negative, `down to −${show(largest)} `, where && `(${where})`));
}

// Leaves of a small graph of Values can be changed.

function isDraggable(i) {
  const box = boxes[i];
  return content.live && state.at === null && box.data !== undefined && box.rule === undefined && box.kind !== "number";
}

function setLeaf(i, x) {
  if (!Number.isFinite(x)) return;
  const data = run.data.slice();
  data[i] = x;
  run = recompute(data);
  showAll();
}

// A slider and a field for the number of a leaf; they are there until another node is chosen.
function dragger(i) {
  const from = sent.data[i];
  const reach = Math.max(2, 2 * Math.abs(from));
  const slider = make("input", { id: "leaf-slider", type: "range", min: from - reach, max: from + reach, step: "any", "aria-label": `Value of ${nameOf(i)}` });
  const field = make("input", { id: "leaf-field", type: "number", step: "any", "aria-label": `Value of ${nameOf(i)}, as a number` });
  const reset = make("button", { type: "button" }, "Reset");
  slider.value = field.value = run.data[i];
  slider.addEventListener("input", () => setLeaf(i, Number(slider.value)));
  field.addEventListener("input", () => field.value.trim() !== "" && setLeaf(i, Number(field.value)));
  reset.addEventListener("click", () => {
    run = sent;
    showAll();
  });
  return make("div", {}, make("h3", {}, "Change it"), make("div", { class: "drag" }, slider, field, reset),
    make("p", { class: "hint" }, "Or drag its box sideways. Everything is computed anew; Reset undoes all changes."));
}

// The slider and the field follow a box that is dragged, and each other.
function showLeaf() {
  if (!$("leaf-field")) return;
  const x = run.data[numberOf(state.selected)];
  for (const input of [$("leaf-slider"), $("leaf-field")]) {
    if (document.activeElement !== input || Number(input.value) !== x) input.value = String(x);
  }
}
