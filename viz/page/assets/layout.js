// Where everything is while some modules are open. A module's inside was laid out with the modules
// in it closed; one that is open needs more room, and gets it by stretching the axes of what is
// around it. Stretching is monotone along both axes, so nothing that was apart comes to overlap.

const HEADER = 20; // pixels, for the title of an open module
const opened = new Set(); // numbers of modules

const isOpen = (m) => m === -1 || opened.has(m); // -1: the whole graph
const insideOf = (m) => insides[m + 1];
const isModule = (item) => item[0] === "m";
const isPort = (item) => item[0] === "i" || item[0] === "o";
const numberOf = (item) => Number(item.slice(1));
const isOpenModule = (item) => isModule(item) && isOpen(numberOf(item));

// x → ∫ of the largest stretch at each place from 0 to x, for intervals [from, to, stretch].
function stretched(intervals) {
  const ends = [...new Set(intervals.flatMap(([from, to]) => [from, to]))].sort((a, b) => a - b);
  const pieces = []; // [from, to, stretch, where it begins afterwards]
  let shift = 0;
  for (let k = 0; k + 1 < ends.length; k += 1) {
    const [from, to] = [ends[k], ends[k + 1]];
    const most = Math.max(1, ...intervals.filter((each) => each[0] <= from && to <= each[1]).map((each) => each[2]));
    if (most > 1) {
      pieces.push([from, to, most, from + shift]);
      shift += (to - from) * (most - 1);
    }
  }
  return (x) => {
    let before = 0;
    for (const [from, to, stretch, begins] of pieces) {
      if (x < from) break;
      if (x <= to) return begins + (x - from) * stretch;
      before = begins + (to - from) * stretch - to;
    }
    return x + before;
  };
}

// The size of a module, open or closed, and how its inside is stretched.
function measure(m) {
  const inside = insideOf(m);
  const children = new Map();
  const across = [];
  const down = [];
  for (const [item, [x, y]] of Object.entries(inside.places)) {
    if (!isOpenModule(item)) continue;
    const child = numberOf(item);
    const found = measure(child);
    const [width, height] = modules[child].size;
    children.set(child, found);
    across.push([x - width / 2, x + width / 2, Math.max(1, found.width / width)]);
    down.push([y - height / 2, y + height / 2, Math.max(1, found.height / height)]);
  }
  const [warpX, warpY] = [stretched(across), stretched(down)];
  const top = m === -1 ? 0 : HEADER;
  return { children, warpX, warpY, top, width: warpX(inside.size[0]), height: warpY(inside.size[1]) + top };
}

// Everything in sight: items {item, x, y, width, height} from their top left corner, and routes
// {points, arrows, ends}, outer ones first.
function arrange() {
  const items = [];
  const routes = [];
  const ports = new Map(); // "3:in:n5" → where that port of module 3 is
  const borders = []; // ends of routes at open modules, to be joined to their ports

  function place(m, found, left, top) {
    const inside = insideOf(m);
    const x = (at) => left + found.warpX(at);
    const y = (at) => top + found.top + found.warpY(at);
    for (const [item, [centreX, centreY]] of Object.entries(inside.places)) {
      const child = numberOf(item);
      if (isPort(item)) {
        ports.set(`${m}:${item}`, [x(centreX), y(centreY)]);
      } else if (isOpenModule(item)) {
        const [width, height] = modules[child].size;
        const [l, t] = [x(centreX - width / 2), y(centreY - height / 2)];
        const [w, h] = [x(centreX + width / 2) - l, y(centreY + height / 2) - t];
        items.push({ item, x: l, y: t, width: w, height: h });
        const within = found.children.get(child);
        place(child, within, l + (w - within.width) / 2, t + (h - within.height) / 2);
      } else {
        const [width, height] = (isModule(item) ? modules : boxes)[child].size;
        items.push({ item, x: x(centreX) - width / 2, y: y(centreY) - height / 2, width, height });
      }
    }
    for (const [tail, head, along, flat] of inside.routes) {
      const points = [];
      for (let k = 0; k < flat.length; k += 2) points.push([x(flat[k]), y(flat[k + 1])]);
      // What is not opened keeps its size where the axes are stretched: go up to its border.
      for (const [item, end, next] of [[tail, 0, 1], [head, points.length - 1, points.length - 2]]) {
        if (isOpenModule(item)) continue;
        const [centreX, centreY] = inside.places[item];
        const [atX, atY] = points[end];
        points[end] = isPort(item)
          ? [x(centreX), y(centreY)]
          : [x(centreX) + flat[2 * end] - centreX, y(centreY) + flat[2 * end + 1] - centreY];
        points[next] = [points[next][0] + points[end][0] - atX, points[next][1] + points[end][1] - atY];
      }
      routes.push({ points, arrows: along, arrives: !isPort(head) && !isOpenModule(head) });
      for (const [end, item, side] of [[points[0], tail, "out"], [points[points.length - 1], head, "in"]]) {
        if (isOpenModule(item)) borders.push({ end, child: numberOf(item), side, arrows: along });
      }
    }
  }

  const whole = measure(-1);
  place(-1, whole, 0, 0);
  for (const { end, child, side, arrows: along } of borders) {
    const bySource = new Map();
    for (const arrow of along) {
      const port = `${child}:${side}:n${arrows[arrow][0]}`;
      if (!bySource.has(port)) bySource.set(port, []);
      bySource.get(port).push(arrow);
    }
    for (const [port, some] of bySource) {
      const at = ports.get(port);
      const [from, to] = side === "in" ? [end, at] : [at, end];
      const middle = [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2];
      const bends = content.direction === "LR" ? [[middle[0], from[1]], [middle[0], to[1]]] : [[from[0], middle[1]], [to[0], middle[1]]];
      routes.push({ points: [from, ...bends, to], arrows: some, arrives: false });
    }
  }
  return { items, routes, width: whole.width, height: whole.height };
}

// Open modules from the outside in, until more would be in sight than `most`.
function openAtFirst(most) {
  opened.clear();
  let inSight = Object.keys(insideOf(-1).places).length;
  let level = [...modules.keys()].filter((m) => modules[m].parent === "");
  while (level.length) {
    const next = [];
    for (const m of level) {
      const more = Object.keys(insideOf(m).places).length - 1;
      if (inSight + more > most) continue;
      inSight += more;
      opened.add(m);
      next.push(...[...modules.keys()].filter((child) => modules[child].parent === modules[m].path));
    }
    level = next;
  }
}
