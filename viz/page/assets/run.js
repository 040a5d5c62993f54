// The numbers of a run: those that Python sent, or new ones from the ops' formulas once a leaf is
// dragged; and what is known of them at each step.

const content = JSON.parse(document.getElementById("content").textContent);
const { boxes, arrows, order, rules, modules, insides } = content;

const exact = (x) => (x === null || x === undefined ? null : Number(x)); // "NaN" and "Infinity" too

// Four significant digits, as Python's pictures show them.
function show(x) {
  if (x === null || x === undefined) return "none";
  if (Number.isNaN(x)) return "NaN";
  if (!Number.isFinite(x)) return x > 0 ? "inf" : "-inf";
  if (x === 0) return "0";
  const [digits, exponent] = x.toExponential(3).split("e");
  const power = Number(exponent);
  if (power >= -4 && power < 5) return String(Number(x.toPrecision(Math.max(4, power + 1))));
  return `${Number(digits)}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
}

const minus = (text) => text.replace(/(^|[\s(])-(?=[\d.in∂])/g, "$1−"); // a real minus sign
const clipped = (text, most = 26) => (text.length > most ? text.slice(0, most - 1) + "…" : text);
const nameOf = (i) => clipped(boxes[i].name);
const rootName = clipped(boxes[content.root].name);
const partial = (i) => `∂${rootName}/∂${nameOf(i)}`;

const results = order.filter((i) => boxes[i].rule !== undefined);
const forwardStep = new Map(results.map((i, k) => [i, k + 1]));
// Step 0: nothing is computed; then one per result; then the seed; then one per backward step.
const seedStep = results.length + 1;
const lastStep = content.seed === null ? results.length : seedStep + content.backward.length;
const backwardStep = new Map(content.backward.map((step, k) => [step.box, seedStep + 1 + k]));

const tails = (i) => boxes[i].arrows.map((arrow) => arrows[arrow][0]);
// Which of a result's arrows is the operand at a position: an absent operand has none.
const arrowOf = (i, position) => boxes[i].arrows[boxes[i].operands.indexOf(position)];

const sent = {
  data: boxes.map((box) => exact(box.data)),
  seed: exact(content.seed),
  backward: content.backward.map((step) => ({
    box: step.box,
    shares: step.shares.map((each) => ({ ...each, share: exact(each.share), total: exact(each.total) })),
  })),
};
let run = sent;

// The forward and the backward pass on numbers, in the engine's order.
function recompute(data) {
  data = data.slice();
  for (const i of results) data[i] = RULES[boxes[i].rule].forward(...tails(i).map((t) => data[t]));
  const totals = new Map([[content.root, sent.seed]]);
  const backward = [];
  for (const i of results.slice().reverse()) {
    if (!totals.has(i)) continue;
    const g = totals.get(i);
    const inputs = tails(i);
    const shares = [];
    RULES[boxes[i].rule].backward.forEach((rule, position) => {
      const to = inputs[position];
      if (rule === null || !boxes[to].requires_grad) return;
      const share = rule(g, data[i], ...inputs.map((t) => data[t]));
      totals.set(to, totals.has(to) ? totals.get(to) + share : share);
      shares.push({ position, to, share, total: totals.get(to) });
    });
    backward.push({ box: i, shares });
  }
  return { data, seed: sent.seed, backward };
}

// What is known of each box after a step: its gradient so far, from how many shares, and whether
// nothing will be added to it any more.
function gradientsAt(step) {
  if (remembered.run !== run) remembered = { run, at: new Map() };
  if (!remembered.at.has(step)) {
    if (remembered.at.size > 8) remembered.at.clear();
    remembered.at.set(step, addUp(step));
  }
  return remembered.at.get(step);
}

let remembered = { run: null, at: new Map() }; // a step is asked for several times over

function addUp(step) {
  const found = new Map();
  if (content.seed === null || step < seedStep) return found;
  found.set(content.root, { total: run.seed, shares: [] });
  for (const each of run.backward.slice(0, step - seedStep)) {
    for (const share of each.shares) {
      const before = found.get(share.to);
      const shares = before ? before.shares : [];
      shares.push({ from: each.box, ...share });
      found.set(share.to, { total: share.total, shares });
    }
  }
  return found;
}

// A gradient when all is done; a hook may have changed what the shares add up to.
const finalGradient = (i, found) =>
  run === sent && boxes[i].grad !== undefined ? exact(boxes[i].grad) : found.has(i) ? found.get(i).total : null;

const isKnown = (i, step) => !forwardStep.has(i) || forwardStep.get(i) <= step;

// A formula's pieces with its slots filled: by names, or by numbers.
function filled(parts, fill) {
  return parts
    .map((part) => {
      if (typeof part === "string") return part;
      const [slot, parenthesised] = part;
      const text = fill(slot);
      return parenthesised && text.startsWith("-") ? `(${text})` : text;
    })
    .join("");
}

// The line "∂L/∂a += ∂L/∂y · b = 0.5 · -3 = -1.5" of one share, as [names, numbers, result].
function shareLine(i, share) {
  const rule = rules[boxes[i].rule];
  const parts = rule.backward[share.position].parts;
  const inputs = tails(i);
  const operand = (slot) => inputs[boxes[i].operands.indexOf(rule.operands.indexOf(slot))];
  const g = gradientOf(i);
  const names = parts
    ? filled(parts, (slot) => (slot === "g" ? partial(i) : slot === "y" ? nameOf(i) : nameOf(operand(slot))))
    : `${rule.name}’s rule by ${rule.operands[share.position]}, given ${partial(i)}`;
  let numbers = null;
  if (parts && content.signed) {
    numbers = filled(parts, (slot) => show(slot === "g" ? g : slot === "y" ? run.data[i] : run.data[operand(slot)]));
  }
  return [names, numbers, show(share.share)];
}

// g of a backward step: all the shares that reached the node before.
function gradientOf(i) {
  const found = gradientsAt(backwardStep.get(i) - 1);
  return found.has(i) ? found.get(i).total : null;
}

const INFIX = new Set(["+", "-", "×", "/", "**"]);

// The line "y = a × b = 2 × -3 = -6" of a forward step, as [names, numbers, result].
function forwardLine(i) {
  const rule = rules[boxes[i].rule];
  const options = rule.attrs.map(([name, value]) => `${name}=${clipped(value, 18)}`);
  const inputs = tails(i);
  const write = (texts) =>
    INFIX.has(rule.symbol) && texts.length === 2
      ? texts.map((text, k) => (k && text.startsWith("-") ? `(${text})` : text)).join(` ${rule.symbol} `)
      : `${rule.name}(${[...texts, ...options].join(", ")})`;
  const numbers = content.signed ? write(inputs.map((t) => show(run.data[t]))) : null;
  const result = content.signed ? show(run.data[i]) : `shape (${boxes[i].tensor.shape.join(", ")})`;
  return [write(inputs.map(nameOf)), numbers, result];
}
