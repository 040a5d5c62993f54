// Steps, search, keys and buttons; and the beginning of it all.

let timer = null;

function showAll() {
  refresh();
  showRule();
  showList();
  showNode();
  showLeaf();
  showTraining();
  drawLegend();
  showTransport();
}

function showTransport() {
  const { step } = state;
  $("step").value = step;
  let text = "start";
  if (state.at !== null) text = "in training";
  else if (step === lastStep && content.seed !== null) text = `all ${lastStep} steps done`;
  else if (step > results.length) text = `backward ${step - seedStep} of ${content.backward.length}`;
  else if (step > 0) text = `forward ${step} of ${results.length}`;
  $("where").textContent = text;
  $("step").setAttribute("aria-valuetext", text);
  $("first").disabled = $("back").disabled = step === 0;
  $("forth").disabled = $("last").disabled = step === lastStep;
}

// Only what the step changes is drawn anew.
function setStep(step) {
  state.at = null;
  state.step = Math.max(0, Math.min(lastStep, step));
  showAll();
  const now = active();
  if (now !== null) reveal(inSight(now.box));
}

function pause() {
  if (timer !== null) clearInterval(timer);
  timer = null;
  showPlaying();
}

function showPlaying() {
  const playing = timer !== null;
  $("play").setAttribute("aria-label", playing ? "Pause" : "Play");
  $("play").querySelector("path").setAttribute("d", playing ? "M3 2h4v12H3zM9 2h4v12H9z" : "M4 2v12l9-6z");
}

function play() {
  if (timer !== null) return pause();
  if (state.step === lastStep) setStep(0);
  const start = () => setInterval(() => {
    setStep(state.step + 1);
    if (state.step === lastStep) pause();
  }, 1000 / Number($("speed").value));
  timer = start();
  return showPlaying();
}

function showTab(name) {
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const chosen = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
    $(tab.getAttribute("aria-controls")).hidden = !chosen;
  }
}

// Search: what matches is outlined; Enter goes from one to the next.

let matches = [];
let matchAt = -1;

function search(text) {
  const sought = text.trim().toLowerCase();
  const holds = (...texts) => texts.some((each) => each && each.toLowerCase().includes(sought));
  matches = sought === "" ? [] : boxes.map((_, i) => i).filter((i) => {
    const box = boxes[i];
    return holds(box.label, box.name, box.op, box.group, box.rule === undefined ? "" : rules[box.rule].name);
  });
  matchAt = -1;
  $("found").textContent = sought === "" ? "" : `${matches.length} found`;
  showMatches();
}

function showMatches() {
  const items = new Set(matches.map(inSight));
  for (const [item, { group }] of parts) group.classList.toggle("sought", items.has(item));
}

function nextMatch(by) {
  if (!matches.length) return;
  matchAt = (matchAt + by + matches.length) % matches.length;
  bringToLight(matches[matchAt]);
  choose(`n${matches[matchAt]}`);
  showTab("node");
  reveal(`n${matches[matchAt]}`, true);
  showMatches();
  $("found").textContent = `${matchAt + 1} of ${matches.length}`;
}

const KEYS = [
  ["Space", "play or pause"], [". and ,", "a step on, a step back"], ["Home, End", "to the start, to the end"],
  ["/", "search; Enter goes to the next"], ["+ − 0", "zoom in, out, fit"],
  ["Tab, arrows", "into the graph, then from node to node"], ["Enter", "select a node, open or close a module"],
  ["o, c", "open all modules, close all"], ["?", "this list"],
  ["Dashed border", "no gradient reaches it"], ["Dotted border", "its gradient has vanished: 0, or as good as"],
  ["Thick border, yellow", "exploded, NaN or infinite"], ["Purple border", "a parameter"],
  ["Underlined name", "drag it sideways to change its value"],
];

function setAllOpen(open) {
  modules.forEach((_, m) => (open ? opened.add(m) : opened.delete(m)));
  rebuild();
  fit();
}

const ACTIONS = {
  " ": play, ".": () => setStep(state.step + 1), ",": () => setStep(state.step - 1),
  Home: () => setStep(0), End: () => setStep(lastStep), "+": () => zoom(1.3), "=": () => zoom(1.3),
  "-": () => zoom(1 / 1.3), 0: fit, o: () => setAllOpen(true), c: () => setAllOpen(false),
  "/": () => $("search").focus(), "?": () => $("keys").showModal(),
};

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  for (const built of parts.values()) built.said = "";
  if (arranged) showAll();
}

function listen() {
  const actions = {
    first: () => setStep(0), back: () => setStep(state.step - 1), play, forth: () => setStep(state.step + 1),
    last: () => setStep(lastStep), "zoom-in": () => zoom(1.3), "zoom-out": () => zoom(1 / 1.3), fit,
    "open-all": () => setAllOpen(true), "close-all": () => setAllOpen(false), help: () => $("keys").showModal(),
    theme: () => setTheme(theme() === "dark" ? "light" : "dark"),
  };
  for (const [id, action] of Object.entries(actions)) {
    $(id).addEventListener("click", () => {
      if (id !== "play" && id !== "theme" && id !== "help") pause();
      action();
    });
  }
  $("step").addEventListener("input", () => {
    pause();
    setStep(Number($("step").value));
  });
  $("speed").addEventListener("change", () => {
    if (timer === null) return;
    pause();
    play();
  });
  $("search").addEventListener("input", () => search($("search").value));
  $("search").addEventListener("keydown", (event) => {
    if (event.key === "Enter") nextMatch(event.shiftKey ? -1 : 1);
    if (event.key === "Escape") $("search").blur();
  });
  for (const tab of document.querySelectorAll("[role=tab]")) tab.addEventListener("click", () => showTab(tab.id.slice(4)));
  $("tabs").addEventListener("keydown", (event) => {
    const tabs = [...document.querySelectorAll("[role=tab]:not([hidden])")];
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const next = tabs[(tabs.indexOf(event.target) + by + tabs.length) % tabs.length];
    showTab(next.id.slice(4));
    next.focus();
    event.stopPropagation();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) return;
    if (event.key === " " && event.target.closest("button")) return;
    const action = ACTIONS[event.key];
    if (!action) return;
    event.preventDefault();
    if (action !== play) pause();
    action();
  });
  new ResizeObserver(() => {
    if (!fitted) fit();
  }).observe($("drawing"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => setTheme(event.matches ? "dark" : "light"));
  listenToDrawing();
}

// Once someone has zoomed or moved, the window's size no longer decides what is in sight.
let fitted = false;

function begin() {
  setTheme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  document.querySelector("#drawing defs").append(
    draw("marker", { id: "tip", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto", markerUnits: "userSpaceOnUse" },
      draw("path", { d: "M0 0.6 L8 4 L0 7.4 Z", fill: "context-stroke" })));
  $("key-list").append(...KEYS.flatMap(([key, what]) => [make("dt", {}, key), make("dd", {}, what)]));
  $("step").max = lastStep;
  $("transport").hidden = results.length === 0;
  openWhatFits();
  buildList();
  buildTraining();
  rebuild();
  listen();
  showAll();
  fit();
  $("drawing").addEventListener("wheel", () => (fitted = true));
  $("drawing").addEventListener("pointerdown", () => (fitted = true));
}

begin();
