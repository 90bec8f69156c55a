// What a number within a network was made of: the numbers before it, each with its weight. From these come the ways that
// lead to an answer, and the sums that the diagram writes out.

/** Return the values that a layer gave; place -1 is the image. `shown` has layers, values, and the image. */
export const valuesAt = ({ image, values }, place) => (place < 0 ? image : values[place]);
export const shapeAt = ({ layers }, place) => (place < 0 ? [1, 28, 28] : layers[place].shape);

/** Return where in a map a window lies: a place for each of its rows and columns, or -1 in the padding around the map. */
export function windowAt(layer, [, height, width], row, column) {
  if (!layer.kernel) {
    const [, rows, columns] = layer.shape;
    const [top, left] = [Math.floor((row * height) / rows), Math.floor((column * width) / columns)];
    const [bottom, right] = [Math.ceil(((row + 1) * height) / rows), Math.ceil(((column + 1) * width) / columns)];
    return inRows(bottom - top, right - left, (i, j) => (top + i) * width + left + j);
  }
  const [downwards, across] = layer.dilation ?? [1, 1];
  return inRows(...layer.kernel, (i, j) => {
    const y = row * layer.stride[0] - layer.padding[0] + i * downwards;
    const x = column * layer.stride[1] - layer.padding[1] + j * across;
    return y < 0 || x < 0 || y >= height || x >= width ? -1 : y * width + x;
  });
}

const inRows = (rows, columns, valueAt) =>
  Array.from({ length: rows }, (_, i) => Array.from({ length: columns }, (__, j) => valueAt(i, j)));

/** Return map, row and column of a number in a layer's maps. */
export function coordinatesOf([, rows, columns], index) {
  const within = index % (rows * columns);
  return [Math.floor(index / (rows * columns)), Math.floor(within / columns), within % columns];
}

/** Return the channels before that a filter looks at, and where its weights for the first of them begin. */
export function channelsOf(layer, channels, filter) {
  const perGroup = channels / layer.groups;
  const first = Math.floor(filter / (layer.shape[0] / layer.groups)) * perGroup;
  return { first, last: first + perGroup, start: filter * perGroup * layer.kernel[0] * layer.kernel[1] };
}

/** Return what a number was made of: where each part stands, and the share that it has, its value times its weight. */
export function partsOf(shown, place, index) {
  const layer = shown.layers[place];
  const [from] = layer.inputs;
  const [given, shape] = [valuesAt(shown, from), shapeAt(shown, from)];
  const part = (at, weight = 1) => ({ place: from, index: at, share: given[at] * weight });
  switch (layer.op) {
    case "conv2d":
      return partsOfFilter(layer, shape, index, part);
    case "linear": {
      const size = shape.at(-1);
      const output = index % layer.shape.at(-1);
      const start = ((index - output) / layer.shape.at(-1)) * size;
      return Array.from({ length: size }, (_, i) => part(start + i, layer.weight[output * size + i]));
    }
    case "max_pool2d":
    case "adaptive_max_pool2d": {
      const under = placesUnder(layer, shape, index);
      return [part(under.reduce((one, other) => (given[other] > given[one] ? other : one)))];
    }
    case "avg_pool2d":
    case "adaptive_avg_pool2d": {
      const under = placesUnder(layer, shape, index);
      return under.map((at) => part(at, 1 / under.length));
    }
    case "add":
      return layer.inputs.map((each) => ({ place: each, index, share: valuesAt(shown, each)[index] }));
    case "cat":
      return [partOfJoined(shown, layer, index)];
    case "pad": {
      const [map, row, column] = coordinatesOf(layer.shape, index);
      const [y, x] = [row - layer.padding[0], column - layer.padding[1]];
      const isInside = y >= 0 && x >= 0 && y < shape[1] && x < shape[2];
      return isInside ? [part((map * shape[1] + y) * shape[2] + x)] : [];
    }
    default: // one number becomes one: an activation, a normalization, another shape
      return [part(index)];
  }
}

function partsOfFilter(layer, shape, index, part) {
  const [filter, row, column] = coordinatesOf(layer.shape, index);
  const under = windowAt(layer, shape, row, column).flat();
  const { first, last, start } = channelsOf(layer, shape[0], filter);
  const parts = [];
  for (let channel = first; channel < last; channel++) {
    under.forEach((at, i) => {
      const weight = layer.weight[start + (channel - first) * under.length + i];
      if (at >= 0) parts.push(part(channel * shape[1] * shape[2] + at, weight));
    });
  }
  return parts;
}

function placesUnder(layer, shape, index) {
  const [map, row, column] = coordinatesOf(layer.shape, index);
  const inside = windowAt(layer, shape, row, column).flat().filter((at) => at >= 0);
  return inside.map((at) => map * shape[1] * shape[2] + at);
}

function partOfJoined(shown, { inputs }, index) {
  let within = index;
  for (const each of inputs) {
    const values = valuesAt(shown, each);
    if (within < values.length) return { place: each, index: within, share: values[within] };
    within -= values.length;
  }
  throw new RangeError(`There is no number ${index}.`);
}

/**
 * Return the strongest ways that lead to a number, from what is shown to what is shown. A number hands its own share on
 * to what it was made of, in proportion; of each layer the `most` strongest go on. Below zero, they speak against it.
 */
export function waysTo(shown, start, isShown, most) {
  const ways = [];
  const reached = new Map([[start.place, new Map([[start.index, { share: 1, to: start }]])]]);
  for (let place = start.place; place >= -1; place--) {
    const found = [...(reached.get(place) ?? [])];
    found.sort(([, one], [, other]) => Math.abs(other.share) - Math.abs(one.share));
    for (const [index, { share, to }] of found.slice(0, most)) {
      const here = isShown(place) ? { place, index } : to;
      if (here !== to && place < start.place) ways.push({ from: here, to, share });
      if (place < 0) continue;
      const parts = partsOf(shown, place, index);
      const total = parts.reduce((sum, part) => sum + Math.abs(part.share), 0);
      for (const part of parts) if (part.share) handOn(reached, part, (share * part.share) / total, here);
    }
  }
  return ways;
}

function handOn(reached, { place, index }, share, to) {
  if (!reached.has(place)) reached.set(place, new Map());
  const there = reached.get(place).get(index);
  const isStronger = !there || Math.abs(share) > Math.abs(there.share);
  reached.get(place).set(index, { share: share + (there?.share ?? 0), to: isStronger ? to : there.to });
}
