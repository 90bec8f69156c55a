// Where each layer of a network stands in the diagram: columns from the image to the answers, by how many layers lie
// before each, and layers beside each other, on two branches, one above the other. It depends on the network and on the
// width of the window alone: while one draws, nothing moves.

export const HEIGHT = 232; // of a column
export const ABOVE = 16; // where ways lead past a column
export const BELOW = 32; // two lines of text
export const GAP = 30;
const [APART, STRIP, ANSWERS] = [3, 13, 84];
const [MOST_MAPS, IMAGE, LARGEST, LEAST] = [16, 72, 92, 26];
const ENOUGH = 46; // maps stand in as few columns as they can while they are as large as this
const CAPTION = 32; // between two branches
const SINGLE = new Set(["scale", "group_norm", "relu", "leaky_relu", "gelu", "gelu_tanh", "silu", "tanh", "sigmoid"]);

/** Return what is shown of a network, each with its place, and the lines between them. */
export function layoutOf(layers, width) {
  const isShown = shownOf(layers);
  const parts = [partOf(-1, layers)];
  layers.forEach((_, place) => isShown(place) && parts.push(partOf(place, layers)));
  const at = new Map(parts.map((part) => [part.place, part]));
  for (const part of parts.slice(1)) {
    part.before = originsOf(layers, part.place, isShown).map((place) => at.get(place));
    part.depth = 1 + Math.max(...part.before.map((each) => each.depth));
  }
  const columns = [];
  for (const part of parts) (columns[part.depth] ??= []).push(part);
  const room = Math.max(width, 320) - GAP * (columns.length - 1);
  const fitsWith = (largest) => {
    for (const column of columns) for (const part of column) measure(part, HEIGHT / column.length, largest);
    return columns.reduce((sum, column) => sum + widthOf(column), 0) <= room;
  };
  // The largest maps with which all fits beside each other; where none do, the rest is reached by scrolling.
  let largest = LARGEST;
  while (!fitsWith(largest) && largest > LEAST) largest--;
  let x = 0;
  for (const column of columns) {
    const room = HEIGHT / column.length;
    column.forEach((part, row) => {
      part.x = x + (widthOf(column) - part.width) / 2;
      part.y = ABOVE + row * room + (room - part.height) / 2;
    });
    x += widthOf(column) + GAP;
  }
  return { parts, at, isShown, width: x - GAP, height: ABOVE + HEIGHT + BELOW };
}

const widthOf = (column) => Math.max(...column.map((part) => part.width));

/** Return which layers are shown. One whose numbers are only changed one by one, by a ReLU, stands there as changed. */
function shownOf(layers) {
  const takers = layers.map((_, place) => layers.filter((layer) => layer.inputs.includes(place)));
  const isHidden = layers.map((layer, place) => {
    const [only, ...others] = takers[place];
    if (only && !others.length && SINGLE.has(only.op)) return true;
    return layer.op === "reshape" && place < layers.length - 1 && !flattens(layers, layer);
  });
  return (place) => place < 0 || !isHidden[place];
}

/** Return whether a layer makes one long row of maps: else another shape changes nothing that is seen. */
function flattens(layers, { inputs: [from], shape }) {
  const given = from < 0 ? [1, 28, 28] : layers[from].shape;
  return shape.length === 1 && given.length === 3 && given[1] * given[2] > 1;
}

function originsOf(layers, place, isShown) {
  return layers[place].inputs.flatMap((each) => (isShown(each) ? [each] : originsOf(layers, each, isShown)));
}

function partOf(place, layers) {
  const shape = place < 0 ? [1, 28, 28] : layers[place].shape;
  const hasMaps = shape.length === 3 && shape[1] * shape[2] > 1;
  const part = { place, shape, name: place < 0 ? "image" : nameOf(layers, place), depth: 0, before: [] };
  if (place === layers.length - 1) return { ...part, kind: "answers", cells: 10 };
  if (hasMaps) return { ...part, kind: "maps", count: Math.min(shape[0], MOST_MAPS) };
  return { ...part, kind: "strip", cells: shape.reduce((one, other) => one * other, 1) };
}

/** Return a layer's name, after that of the layer whose numbers it changes. */
function nameOf(layers, place) {
  const { op, name, inputs } = layers[place];
  const own = /^[\d.]+$/.test(name) ? op : name.replace(/_\d+$/, ""); // in a list, layers have numbers
  return SINGLE.has(op) && inputs[0] >= 0 ? `${nameOf(layers, inputs[0])} → ${own}` : own;
}

function measure(part, height, most) {
  const largest = part.place < 0 ? Math.max(most, IMAGE) : most;
  const free = height - (height < HEIGHT ? CAPTION : 0);
  if (part.kind !== "maps") {
    Object.assign(part, { width: part.kind === "answers" ? ANSWERS : STRIP, height: free });
    return;
  }
  const [, rows, columns] = part.shape;
  let [across, down, side] = [0, 0, 0];
  do {
    across++;
    down = Math.ceil(part.count / across);
    side = Math.min(largest, Math.floor((free - APART * (down - 1)) / down));
  } while (side < Math.min(largest, ENOUGH) && across < part.count);
  const pixel = side / Math.max(rows, columns);
  Object.assign(part, { across, pixel, tile: [columns * pixel, rows * pixel] });
  part.width = across * (part.tile[0] + APART) - APART;
  part.height = down * (part.tile[1] + APART) - APART;
}

/** Return the upper left corner of a map. */
export const cornerOf = (part, map) => [
  part.x + (map % part.across) * (part.tile[0] + APART),
  part.y + Math.floor(map / part.across) * (part.tile[1] + APART),
];

/** Return the middle of a number in a part; none, if it stands in a map that is not shown. */
export function middleOf(part, index) {
  if (part.kind !== "maps") return [part.x + part.width / 2, part.y + ((index + 0.5) * part.height) / part.cells];
  const [, rows, columns] = part.shape;
  const map = Math.floor(index / (rows * columns));
  if (map >= part.count) return null;
  const [x, y] = cornerOf(part, map);
  const within = index % (rows * columns);
  return [x + ((within % columns) + 0.5) * part.pixel, y + (Math.floor(within / columns) + 0.5) * part.pixel];
}

/** Return the number at a point of the diagram, as { place, index }; none, where there is none. */
export function numberAt({ parts }, x, y) {
  for (const part of parts) {
    if (part.place < 0 || x < part.x || y < part.y || x >= part.x + part.width || y >= part.y + part.height) continue;
    if (part.kind !== "maps") {
      return { place: part.place, index: Math.floor(((y - part.y) * part.cells) / part.height) };
    }
    const [, rows, columns] = part.shape;
    for (let map = 0; map < part.count; map++) {
      const [left, top] = cornerOf(part, map);
      const [column, row] = [Math.floor((x - left) / part.pixel), Math.floor((y - top) / part.pixel)];
      if (row < 0 || column < 0 || row >= rows || column >= columns) continue;
      return { place: part.place, index: (map * rows + row) * columns + column };
    }
  }
  return null;
}
