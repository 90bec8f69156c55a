// The sum behind a number of the diagram, written out: the patch times the filter, map by map, and the bias; what the
// layers after it made of that; and what the pool that comes next takes.

import { channelsOf, coordinatesOf, partsOf, shapeAt, valuesAt, windowAt } from "./trace.js";

const MOST_PATCHES = 3; // of the maps that had most to say
const MOST_PRODUCTS = 6;
const WRITTEN_SIDE = 5; // larger patches are shown without their numbers

/** Return elements that write out how a number came about. */
export function sumOf(shown, layout, { place, index }) {
  const chain = [place];
  while (!layout.isShown(shown.layers[chain[0]].inputs[0])) chain.unshift(shown.layers[chain[0]].inputs[0]);
  const [first, ...after] = chain;
  const { pictures, steps } = termsOf(shown, layout, first, index);
  for (const each of after) {
    steps.push(`${nameOfOp(shown.layers[each].op)} → ${written(valuesAt(shown, each)[index])}`);
  }
  return [
    element("div", "head", `${titleOf(shown, layout, place, index)} is ${written(valuesAt(shown, place)[index])}`),
    element("div", "terms", ...pictures, element("div", "steps", ...steps.map((step) => element("div", "", step)))),
    element("div", "next", ...takersOf(shown, place, index)),
  ];
}

/** Say in words which number of a part it is. */
export function titleOf(shown, layout, place, index) {
  const { kind, name, shape } = layout.at.get(place);
  if (kind !== "maps") return `${name}, number ${index + (kind === "answers" ? 0 : 1)}`;
  const [map, row, column] = coordinatesOf(shape, index);
  return `${name}, map ${map + 1}, row ${row + 1}, column ${column + 1}`;
}

/** Return how a layer came to a number: in pictures, and in steps of which each is a line. */
function termsOf(shown, layout, place, index) {
  const layer = shown.layers[place];
  const value = written(valuesAt(shown, place)[index]);
  switch (layer.op) {
    case "conv2d":
      return termsOfFilter(shown, layer, place, index);
    case "linear":
      return termsOfProducts(shown, layer, place, index);
    case "max_pool2d":
    case "adaptive_max_pool2d":
      return { pictures: [poolOf(shown, layer, index)], steps: [`the largest is ${value}`] };
    case "avg_pool2d":
    case "adaptive_avg_pool2d":
      return { pictures: [poolOf(shown, layer, index)], steps: [`the mean is ${value}`] };
    case "add":
      return { pictures: [], steps: [layer.inputs.map((each) => written(valuesAt(shown, each)[index])).join(" + ")] };
    case "cat":
    case "reshape":
      return { pictures: [], steps: [`as it was: ${whereFrom(shown, layout, place, index)}`] };
    default: {
      const [part] = partsOf(shown, place, index);
      return { pictures: [], steps: [`${nameOfOp(layer.op)} makes it of ${part ? written(part.share) : "the edge"}`] };
    }
  }
}

function termsOfFilter(shown, layer, place, index) {
  const [from] = layer.inputs;
  const [channels, height, width] = shapeAt(shown, from);
  const [filter, row, column] = coordinatesOf(layer.shape, index);
  const under = windowAt(layer, [channels, height, width], row, column);
  const { first, last, start } = channelsOf(layer, channels, filter);
  const size = under.flat().length;
  const given = valuesAt(shown, from);
  const patches = [];
  for (let channel = first; channel < last; channel++) {
    const patch = under.map((line) => line.map((at) => (at < 0 ? 0 : given[channel * height * width + at])));
    const at = start + (channel - first) * size;
    const slice = under.map((line, i) => [...layer.weight.subarray(at + i * line.length, at + (i + 1) * line.length)]);
    const sum = patch.flat().reduce((total, each, i) => total + each * layer.weight[at + i], 0);
    patches.push({ channel, patch, slice, sum });
  }
  patches.sort((one, other) => Math.abs(other.sum) - Math.abs(one.sum));
  const most = largestOf(given);
  const strongest = largestOf(layer.weight);
  const pictures = patches.slice(0, MOST_PATCHES).map(({ channel, patch, slice, sum }) => {
    const product = [gridOf(patch, most, "grey"), "×", gridOf(slice, strongest, "signed"), `= ${written(sum)}`];
    const told = from < 0 ? "image × filter" : `map ${channel + 1} × its slice of the filter`;
    return element("figure", "", element("div", "product", ...product), element("figcaption", "", told));
  });
  const rest = patches.slice(MOST_PATCHES);
  const steps = rest.length ? [`${rest.length} more maps ${signed(totalOf(rest))}`] : [];
  return { pictures, steps: [...steps, ...endOfSum(shown, layer, filter, place, index)] };
}

function termsOfProducts(shown, layer, place, index) {
  const [from] = layer.inputs;
  const output = index % layer.shape.at(-1);
  const parts = partsOf(shown, place, index).map((part, i, all) => ({
    ...part,
    weight: layer.weight[output * all.length + i],
    sum: part.share,
  }));
  parts.sort((one, other) => Math.abs(other.sum) - Math.abs(one.sum));
  const lines = parts.slice(0, MOST_PRODUCTS).map(({ index: at, weight, sum }) => {
    const given = written(valuesAt(shown, from)[at]);
    return element("div", "", `number ${at + 1}: ${given} × ${written(weight)} = ${written(sum)}`);
  });
  const rest = parts.slice(MOST_PRODUCTS);
  const steps = rest.length ? [`${rest.length} more numbers ${signed(totalOf(rest))}`] : [];
  const pictures = [element("div", "products", ...lines)];
  return { pictures, steps: [...steps, ...endOfSum(shown, layer, output, place, index)] };
}

function endOfSum(shown, { bias }, output, place, index) {
  return [`bias ${signed(bias ? bias[output] : 0)}`, `together ${written(valuesAt(shown, place)[index])}`];
}

/** Say which number one stands for that is handed on as it is. */
function whereFrom(shown, layout, place, index) {
  const [part] = partsOf(shown, place, index);
  return part && layout.isShown(part.place) ? titleOf(shown, layout, part.place, part.index) : "of the layer before";
}

const totalOf = (terms) => terms.reduce((total, { sum }) => total + sum, 0);

function poolOf(shown, layer, index) {
  const [from] = layer.inputs;
  const [map, row, column] = coordinatesOf(layer.shape, index);
  const shape = shapeAt(shown, from);
  const start = map * shape[1] * shape[2];
  const values = windowAt(layer, shape, row, column).map((line) =>
    line.map((at) => (at < 0 ? NaN : valuesAt(shown, from)[start + at])),
  );
  const inside = values.flat().filter((value) => !Number.isNaN(value));
  const marked = layer.op.includes("max") ? Math.max(...inside) : null;
  return gridOf(values, largestOf(valuesAt(shown, from)), "grey", marked);
}

/** Say what a pool that looks at a number makes of it. */
function takersOf(shown, place, index) {
  return shown.layers.flatMap((layer, taker) => {
    if (layer.op !== "max_pool2d" || layer.inputs[0] !== place) return [];
    const shape = shapeAt(shown, place);
    const [map, row, column] = coordinatesOf(shape, index);
    const at = [row, column].map((each, axis) => Math.floor((each + layer.padding[axis]) / layer.stride[axis]));
    if (at[0] >= layer.shape[1] || at[1] >= layer.shape[2]) return ["The pool leaves this edge out."];
    const pooled = (map * layer.shape[1] + at[0]) * layer.shape[2] + at[1];
    const [winner] = partsOf(shown, taker, pooled);
    const most = valuesAt(shown, taker)[pooled];
    const isTaken = winner.index === index || most === valuesAt(shown, place)[index];
    const told = isTaken ? "takes this one" : `takes ${written(most)} beside it`;
    return [nameOfOp(layer.op), poolOf(shown, layer, pooled), told];
  });
}

function gridOf(rows, most, kind, marked = null) {
  const isWritten = rows[0].length <= WRITTEN_SIDE;
  const cells = rows.flat().map((value) => {
    const cell = element("i", value === marked ? "marked" : "", isWritten && !Number.isNaN(value) ? written(value) : "");
    const share = Math.min(Math.abs(value) / most, 1);
    if (kind === "grey" && value >= 0) {
      cell.style.background = `rgb(${Array(3).fill(255 * share)})`;
      cell.style.color = share > 0.55 ? "#000" : "#fff";
    } else {
      cell.style.background = `color-mix(in srgb, ${value < 0 ? "#4f74ee" : "#e8833a"} ${100 * share}%, transparent)`;
    }
    return cell;
  });
  const size = rows[0].length <= 3 ? "" : isWritten ? " tight" : " small";
  const grid = element("div", `grid${size}`, ...cells);
  grid.style.gridTemplateColumns = `repeat(${rows[0].length}, auto)`;
  return grid;
}

const largestOf = (values) => values.reduce((most, each) => Math.max(most, Math.abs(each)), 1e-6);
const written = (number) => number.toFixed(2).replace(/^-(?=0\.00$)/, "").replace("-", "−");
const signed = (number) => (number < 0 ? "" : "+") + written(number);
const nameOfOp = (op) => op.replace(/2d$/, "").replaceAll("_", " ").replace("relu", "ReLU");

function element(name, className, ...children) {
  const made = Object.assign(document.createElement(name), { className });
  made.append(...children); // text stays text
  return made;
}
