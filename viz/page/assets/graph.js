// The drawing: boxes, modules and arrows as SVG; its colours; zooming, panning and the keyboard.

const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);

// An element with attributes and children; text only ever becomes a text node.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const theme = () => document.documentElement.dataset.theme;

// The colours of Python's pictures: the largest gradient has the strongest, and a colour less is a
// fixed part of a power of ten less.
function colours(gradient, largest) {
  const palette = content.palette[theme()];
  if (gradient === null || gradient === 0 || !Number.isFinite(gradient) || !largest) return palette.none;
  const arm = !content.signed ? palette.norm : gradient < 0 ? palette.negative : palette.positive;
  const decades = Math.log10(largest) - Math.log10(Math.abs(gradient));
  const strength = 1 - Math.min(1, Math.max(0, decades / content.palette.decades));
  return arm[Math.round(strength * (arm.length - 1))];
}

const state = { step: lastStep, selected: null, found: new Map(), largest: 0, at: null };
const parts = new Map(); // item → its elements
const routesOf = new Map(); // number of an arrow → the paths it runs along
let arranged = null;

const boxesOf = new Map(); // number of a module → the boxes in it, and in the modules in it
{
  const number = new Map(modules.map((module, m) => [module.path, m]));
  boxes.forEach((box, i) => {
    for (let path = box.group; path; path = path.includes(".") ? path.slice(0, path.lastIndexOf(".")) : "") {
      const m = number.get(path);
      if (m === undefined) continue;
      if (!boxesOf.has(m)) boxesOf.set(m, []);
      boxesOf.get(m).push(i);
    }
  });
  modules.forEach((module) => (module.above = module.parent === "" ? -1 : number.get(module.parent)));
  boxes.forEach((box) => (box.above = box.group === "" ? -1 : number.get(box.group)));
}

// The item that stands for a box: the outermost closed module around it, or its own.
function inSight(i) {
  let item = `n${i}`;
  for (let m = boxes[i].above; m !== -1; m = modules[m].above) if (!isOpen(m)) item = `m${m}`;
  return item;
}

function title(i) {
  const box = boxes[i];
  if (box.kind === "number") return box.name;
  return box.op ? `${box.name} = ${box.op}` : box.label || box.kind;
}

// What a box says: [caption, text] twice at most. Before its step a result says nothing.
function rows(i) {
  const box = boxes[i];
  const known = isKnown(i, state.step);
  if (box.kind === "number") return [];
  const first = box.data !== undefined ? ["data", known ? show(run.data[i]) : "·"] : [...box.rows[0]];
  if (box.data === undefined && !known) first[1] = "·";
  const lines = [first];
  if (box.requires_grad && content.seed !== null) {
    const caption = content.signed ? "grad" : "‖grad‖";
    const gradient = gradientShown(i);
    const awaited = state.at === null ? state.step < lastStep : box.parameter === undefined;
    lines.push([caption, gradient !== null ? show(gradient) : awaited ? "·" : "no grad"]);
  } else if (box.rows.length > 1 && box.data === undefined) {
    lines.push(box.rows[1]);
  }
  return lines;
}

function gradientShown(i) {
  if (state.at !== null) return trained(i); // training mode: a snapshot's
  if (state.step === lastStep) return finalGradient(i, state.found);
  return state.found.has(i) ? state.found.get(i).total : null;
}

// The length of all the gradients by parameters and leaves in a module, as one vector.
function moduleGradient(m) {
  const sizes = (boxesOf.get(m) ?? [])
    .filter((i) => boxes[i].requires_grad && boxes[i].rule === undefined)
    .map(gradientShown)
    .filter((gradient) => gradient !== null);
  return sizes.length ? Math.hypot(...sizes) : null;
}

function buildBox(i, { x, y, width, height }) {
  const box = boxes[i];
  const group = draw("g", { class: `box ${box.kind}`, transform: `translate(${x} ${y})`, role: "button", tabindex: -1 });
  group.dataset.item = `n${i}`;
  const rect = draw("rect", { width, height });
  group.append(rect);
  const lines = [];
  if (box.kind === "number") {
    group.append(draw("text", { x: width / 2, y: 14, "text-anchor": "middle" }, clipped(box.name)));
  } else {
    group.append(draw("text", { class: "title", x: 8, y: 17 }, clipped(title(i))));
    for (const at of [33, 48]) {
      const caption = draw("text", { class: "caption", x: 8, y: at });
      const text = draw("text", { x: width - 8, y: at, "text-anchor": "end" });
      group.append(" ", caption, " ", text); // the spaces are for what reads the group out
      lines.push([caption, text]);
    }
  }
  return { group, rect, lines, said: "" };
}

function buildModule(m, { x, y, width, height }) {
  const module = modules[m];
  const open = isOpen(m);
  const group = draw("g", {
    class: `module ${open ? "opened" : "closed"}`, transform: `translate(${x} ${y})`, role: "button",
    tabindex: -1, "aria-expanded": open,
  });
  group.dataset.item = `m${m}`;
  if (!open) group.append(draw("rect", { class: "behind", x: 4, y: 4, width, height }));
  const rect = draw("rect", { width, height });
  group.append(rect);
  const sign = open ? "▾" : "▸";
  group.append(draw("text", { class: "title", x: 8, y: open ? 14 : 17 }, `${sign} ${clipped(module.name)}`));
  const lines = [];
  if (!open) {
    for (const at of [33, 48]) {
      const caption = draw("text", { class: "caption", x: 8, y: at });
      const text = draw("text", { x: width - 8, y: at, "text-anchor": "end" });
      group.append(" ", caption, " ", text); // the spaces are for what reads the group out
      lines.push([caption, text]);
    }
  }
  return { group, rect, lines, said: "" };
}

function spline(points) {
  const flat = points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`);
  return `M${flat[0]} C${flat.slice(1).join(" ")}`;
}

// Draw what is in sight from nothing, after a module was opened or closed.
function rebuild() {
  arranged = arrange();
  parts.clear();
  routesOf.clear();
  const frames = draw("g");
  const paths = draw("g", { "aria-hidden": "true" });
  const front = draw("g");
  for (const placed of arranged.items) {
    const { item } = placed;
    const built = isModule(item) ? buildModule(numberOf(item), placed) : buildBox(numberOf(item), placed);
    built.placed = placed;
    parts.set(item, built);
    (isModule(item) && isOpen(numberOf(item)) ? frames : front).append(built.group);
  }
  for (const route of arranged.routes) {
    const path = draw("path", { class: "route", d: spline(route.points) });
    if (route.arrives) path.setAttribute("marker-end", "url(#tip)");
    paths.append(path);
    for (const arrow of route.arrows) {
      if (!routesOf.has(arrow)) routesOf.set(arrow, []);
      routesOf.get(arrow).push({ path, route });
    }
  }
  $("view").replaceChildren(frames, paths, front, draw("g", { id: "shares", "aria-hidden": "true" }));
  lit = [];
  const focusable = parts.get(focused) ?? parts.values().next().value;
  if (focusable) focusable.group.setAttribute("tabindex", 0);
  refresh();
}

// Bring every box in sight up to date with the step.
function refresh() {
  state.found = gradientsAt(state.step);
  const all = order.map(gradientShown).filter((g) => g !== null && Number.isFinite(g));
  state.largest = all.reduce((most, g) => Math.max(most, Math.abs(g)), 0);
  for (const [item, built] of parts) (isModule(item) ? refreshModule : refreshBox)(numberOf(item), built);
  light();
}

function refreshBox(i, built) {
  const box = boxes[i];
  const lines = rows(i);
  const known = isKnown(i, state.step);
  const gradient = gradientShown(i);
  const shown = state.found.has(i) || state.at !== null;
  const passes = box.requires_grad && content.seed !== null;
  const [fill, border] = passes && shown ? colours(gradient, state.largest) : ["", ""];
  const done = state.step === lastStep;
  const marks = {
    later: !known,
    missing: passes && done && gradient === null && (state.at === null || box.parameter !== undefined),
    vanished: passes && shown && gradient !== null && Math.abs(gradient) <= content.palette.vanished * state.largest,
    exploded: passes && shown && gradient !== null && !(Math.abs(gradient) < content.palette.exploded),
    draggable: isDraggable(i),
  };
  const said = JSON.stringify([lines, fill, border, marks]);
  if (said === built.said) return;
  built.said = said;
  for (const [name, holds] of Object.entries(marks)) built.group.classList.toggle(name, Boolean(holds));
  built.rect.style.fill = marks.later || marks.exploded ? "" : fill;
  built.rect.style.stroke = marks.later || marks.exploded || box.kind === "parameter" ? "" : border;
  built.lines.forEach(([caption, text], k) => {
    caption.textContent = lines[k] ? lines[k][0] : "";
    text.textContent = lines[k] ? minus(lines[k][1]) : "";
  });
  nameGroup(built);
}

// What is written in a group, as its name.
function nameGroup(built, more = "") {
  const texts = [...built.group.querySelectorAll("text")].map((text) => text.textContent).filter(Boolean);
  built.group.setAttribute("aria-label", texts.join(" ") + more);
}

function refreshModule(m, built) {
  const gradient = moduleGradient(m);
  const lines = [["nodes", String(modules[m].count)], ["‖grad‖", gradient === null ? "·" : show(gradient)]];
  const [fill, border] = gradient === null || content.signed ? ["", ""] : colours(gradient, state.largest);
  const said = JSON.stringify([lines, fill, border]);
  if (said === built.said) return;
  built.said = said;
  if (!isOpen(m)) {
    built.rect.style.fill = fill || "var(--card)";
    built.rect.style.stroke = border;
    built.lines.forEach(([caption, text], k) => {
      caption.textContent = lines[k][0];
      text.textContent = lines[k][1];
    });
  }
  nameGroup(built, ` (module ${modules[m].path})`);
}

// Light the op of the step, and the arrows that it reads or hands gradients along.
let lit = [];
function light() {
  for (const [element, name] of lit) element.classList.remove(name);
  lit = [];
  $("shares").replaceChildren();
  const mark = (element, name) => {
    element.classList.add(name);
    lit.push([element, name]);
  };
  const now = active();
  if (now === null) return;
  const along = now.phase === "forward" ? boxes[now.box].arrows : now.shares.map((each) => arrowOf(now.box, each.position));
  mark(parts.get(inSight(now.box)).group, `lit-${now.phase}`);
  for (const arrow of along) for (const { path } of routesOf.get(arrow) ?? []) mark(path, now.phase);
  const written = new Set();
  for (const share of now.shares) {
    const runs = routesOf.get(arrowOf(now.box, share.position)) ?? [];
    if (!runs.length || written.size > 24) continue;
    const { points } = runs[0].route;
    const [x, y] = points[Math.floor(points.length / 2)];
    const place = `${Math.round(x / 30)},${Math.round(y / 14)}`;
    const down = written.has(place) ? 13 : 0;
    written.add(place);
    $("shares").append(draw("text", { class: "share", x, y: y - 5 + down, "text-anchor": "middle" }, `+= ${minus(show(share.share))}`));
  }
}

// The step that is shown: {phase, box, shares}; null before the first and at the very end.
function active() {
  const { step } = state;
  if (state.at !== null || step === 0) return null;
  if (step <= results.length) return { phase: "forward", box: results[step - 1], shares: [] };
  if (content.seed === null) return null;
  if (step === seedStep) return { phase: "backward", box: content.root, shares: [], seeds: true };
  const { box, shares } = run.backward[step - seedStep - 1];
  return { phase: "backward", box, shares };
}

// Zooming and panning.

const READABLE = 0.5; // the smallest scale at which text can be read
const view = { x: 0, y: 0, scale: 1 };

function showView() {
  $("view").setAttribute("transform", `translate(${view.x} ${view.y}) scale(${view.scale})`);
}

// As many open modules as leave everything in the window and its text readable.
function openWhatFits() {
  const { width, height } = $("drawing").getBoundingClientRect();
  for (const most of [content.most_open, 40, 25, 15, 0]) {
    openAtFirst(most);
    const whole = measure(-1);
    if (Math.min(width / whole.width, height / whole.height) > READABLE) return;
  }
}

function fit() {
  const { width, height } = $("drawing").getBoundingClientRect();
  if (!width || !arranged) return;
  const scale = Math.min(1.4, (width - 24) / arranged.width, (height - 24) / arranged.height);
  view.scale = Math.max(0.02, scale);
  view.x = (width - arranged.width * view.scale) / 2;
  view.y = (height - arranged.height * view.scale) / 2;
  showView();
}

function zoom(factor, x, y) {
  const { width, height } = $("drawing").getBoundingClientRect();
  const [atX, atY] = x === undefined ? [width / 2, height / 2] : [x, y];
  const scale = Math.min(6, Math.max(0.02, view.scale * factor));
  view.x = atX - (atX - view.x) * (scale / view.scale);
  view.y = atY - (atY - view.y) * (scale / view.scale);
  view.scale = scale;
  showView();
}

// Move as little as it takes to have an item in the window.
function reveal(item, centred = false) {
  const { placed } = parts.get(item) ?? {};
  if (!placed) return;
  if (centred && view.scale < READABLE) zoom(0.9 / view.scale);
  const { width, height } = $("drawing").getBoundingClientRect();
  for (const [axis, size, length, start] of [["x", width, placed.width, placed.x], ["y", height, placed.height, placed.y]]) {
    const begin = start * view.scale + view[axis];
    const end = begin + length * view.scale;
    if (centred || end - begin > size - 40) view[axis] += size / 2 - (begin + end) / 2;
    else if (begin < 20) view[axis] += 20 - begin;
    else if (end > size - 20) view[axis] -= end - (size - 20);
  }
  showView();
}

function toggle(m, open = !isOpen(m)) {
  if (open === isOpen(m)) return;
  const before = parts.get(`m${m}`)?.placed;
  if (open) opened.add(m);
  else opened.delete(m);
  rebuild();
  const after = parts.get(`m${m}`)?.placed;
  if (before && after) {
    view.x += (before.x - after.x) * view.scale;
    view.y += (before.y - after.y) * view.scale;
    showView();
  }
}

// Open whatever is around a box, and bring it into the window.
function bringToLight(i) {
  const closed = [];
  for (let m = boxes[i].above; m !== -1; m = modules[m].above) if (!isOpen(m)) closed.push(m);
  if (closed.length) {
    closed.forEach((m) => opened.add(m));
    rebuild();
  }
  reveal(`n${i}`);
}

// The keyboard goes from item to item by where they are.

let focused = null;

function focusOn(item) {
  parts.get(focused)?.group.setAttribute("tabindex", -1);
  for (const { group } of parts.values()) if (group.getAttribute("tabindex") === "0") group.setAttribute("tabindex", -1);
  focused = item;
  const { group } = parts.get(item);
  group.setAttribute("tabindex", 0);
  group.focus({ preventScroll: true });
  reveal(item);
}

const DIRECTIONS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };

function neighbour(item, [dx, dy]) {
  const centre = ({ placed }) => [placed.x + placed.width / 2, placed.y + placed.height / 2];
  const [x, y] = centre(parts.get(item));
  let best = null;
  let least = Infinity;
  for (const [other, built] of parts) {
    const [ox, oy] = centre(built);
    const ahead = (ox - x) * dx + (oy - y) * dy;
    const aside = Math.abs((ox - x) * dy + (oy - y) * dx);
    if (other === item || ahead < 4) continue;
    const distance = ahead + 2.5 * aside;
    if (distance < least) [best, least] = [other, distance];
  }
  return best;
}

function choose(item) {
  state.selected = item;
  for (const [other, { group }] of parts) group.classList.toggle("selected", other === item);
  showNode();
}

function listenToDrawing() {
  const drawing = $("drawing");
  const itemAt = (event) => event.target.closest?.("[data-item]")?.dataset.item ?? null;
  let drag = null;

  drawing.addEventListener("wheel", (event) => {
    event.preventDefault();
    const { left, top } = drawing.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), event.clientX - left, event.clientY - top);
  }, { passive: false });

  drawing.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const item = itemAt(event);
    const leaf = item && !isModule(item) && isDraggable(numberOf(item)) ? numberOf(item) : null;
    drag = { item, leaf, x: event.clientX, y: event.clientY, moved: false, from: leaf === null ? 0 : run.data[leaf], view: { ...view } };
    drawing.setPointerCapture(event.pointerId);
  });
  drawing.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
    if (!drag.moved && Math.hypot(dx, dy) < 4) return;
    drag.moved = true;
    if (drag.leaf !== null) {
      parts.get(drag.item).group.classList.add("dragged");
      setLeaf(drag.leaf, Number((drag.from + dx * Math.max(1, Math.abs(drag.from)) * 0.01).toPrecision(6)));
    } else {
      drawing.classList.add("dragging");
      view.x = drag.view.x + dx;
      view.y = drag.view.y + dy;
      showView();
    }
  });
  const release = () => {
    if (!drag) return;
    const { item, moved } = drag;
    drag = null;
    drawing.classList.remove("dragging");
    if (item === null || !parts.has(item)) return;
    parts.get(item).group.classList.remove("dragged");
    if (moved) return;
    activate(item);
  };
  drawing.addEventListener("pointerup", release);
  drawing.addEventListener("pointercancel", () => (drag = null));

  drawing.addEventListener("keydown", (event) => {
    const item = itemAt(event);
    if (item === null || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in DIRECTIONS) {
      const next = neighbour(item, DIRECTIONS[event.key]);
      if (next !== null) focusOn(next);
    } else if (event.key === "Enter" || event.key === " ") {
      activate(item);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  });
  drawing.addEventListener("focusin", (event) => {
    const item = itemAt(event);
    if (item !== null) focused = item;
  });
}

// A click or Enter: a box is shown in the panel, a module opens or closes.
function activate(item) {
  choose(item);
  if (isModule(item)) toggle(numberOf(item));
  if (parts.has(item)) focusOn(item);
}

function drawLegend() {
  const { decades } = content.palette;
  const sizes = state.largest ? [...Array(decades + 1).keys()].map((k) => state.largest / 10 ** k) : [];
  const steps = content.signed ? [...sizes.map((x) => -x), ...sizes.slice().reverse()] : sizes.slice().reverse();
  const shades = steps.map((x) => {
    const short = Math.abs(x) < 0.01 ? x.toExponential(0) : show(Number(x.toPrecision(2)));
    const cell = make("span", {}, minus(short));
    cell.style.background = colours(x, state.largest)[0];
    return cell;
  });
  const meaning = content.signed ? "gradient" : "norm of the gradient";
  const seen = (mark) => [...parts.values()].some(({ group }) => group.classList.contains(mark));
  const notes = [["missing", "dashed: no gradient"], ["vanished", "dotted: vanished"], ["exploded", "thick: exploded, NaN or infinite"], ["draggable", "underlined: can be dragged"]]
    .filter(([mark]) => seen(mark)).map(([, note]) => note);
  const row = make("div", { class: "shades" }, ...shades);
  $("legend").replaceChildren(...(steps.length ? [row, make("div", {}, `${meaning}; a shade is a factor of 10`)] : []), make("div", {}, notes.join(" · ")));
  $("legend").setAttribute("aria-label", `Legend: colour is the ${meaning} on a logarithmic scale. ${notes.join(", ")}.`);
}
