// A network as a diagram through which one sees the drawing pass, at each frame that the pen draws: feature maps as
// pictures, rows of numbers as strips, the ten answers at the end, and what spoke most for the winner as lines. Point at a
// map, and the sum behind one of its numbers is written out.

const HEIGHT = 236;
const GAP = 26;
const STRIP = 13;
const MOST_MAPS = 16;
const LEAST_SIDE = 40;
const LINES = 5; // the strongest that lead to a number
const ACTIVATIONS = new Set(["relu", "leaky_relu", "gelu", "gelu_tanh", "silu", "tanh", "sigmoid"]);
const ORANGE = [232, 131, 58];
const BLUE = [79, 116, 238];

/** Streamlit calls this when the component appears, and again when another run is looked into. */
export default function ({ parentElement, data }) {
  const frame = parentElement.querySelector(".scrolls"); // parentElement is a shadow root
  const canvas = parentElement.querySelector("canvas");
  const told = parentElement.querySelector("pre");
  const scales = new Map(); // of each layer, the largest value so far: colours do not jump while one draws
  let shown = null;
  let pointed = null;

  const draw = ({ detail }) => {
    if (detail.run !== data.run) return;
    shown = { ...detail, parts: partsOf(detail.layers, detail.values, frame.clientWidth) };
    paint(canvas, shown, scales, pointed);
    canvas.setAttribute("aria-label", inWords(shown));
    told.textContent = pointed ? sumAt(shown, pointed) : HINT;
  };
  const point = (event) => {
    const box = canvas.getBoundingClientRect();
    pointed = shown && placeAt(shown, event.clientX - box.left, event.clientY - box.top);
    if (shown) paint(canvas, shown, scales, pointed);
    told.textContent = pointed ? sumAt(shown, pointed) : HINT;
  };
  const ask = () => document.dispatchEvent(new CustomEvent("cnnlab:ask"));
  const leave = () => point({ clientX: -1e4, clientY: -1e4 });
  document.addEventListener("cnnlab:values", draw);
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerdown", point);
  canvas.addEventListener("pointerleave", leave);
  const resized = new ResizeObserver(ask);
  resized.observe(frame);
  ask();
  return () => {
    resized.disconnect();
    document.removeEventListener("cnnlab:values", draw);
    canvas.removeEventListener("pointermove", point);
    canvas.removeEventListener("pointerdown", point);
    canvas.removeEventListener("pointerleave", leave);
  };
}

const HINT = "Point at a map: the sum behind one of its numbers is written out here.";

/** Return what is drawn, and where: the image, each layer's maps or strip, the answers. */
function partsOf(layers, values, width) {
  const parts = [{ place: -1, shape: [1, 28, 28], name: "image" }];
  layers.forEach((layer, place) => {
    const next = layers[place + 1];
    const isActivatedNext = next && ACTIVATIONS.has(next.op) && next.inputs[0] === place;
    if (layer.op === "reshape" || isActivatedNext) return;
    parts.push({ place, shape: layer.shape, name: layer.name });
  });
  for (const part of parts) {
    const [count, rows, columns] = part.shape;
    if (part.shape.length === 3 && rows * columns > 1) {
      part.count = Math.min(count, MOST_MAPS);
      part.across = part.count > 8 ? 4 : part.count > 3 ? 2 : 1;
      const down = Math.ceil(part.count / part.across);
      part.side = Math.min(count === 1 ? 84 : 64, Math.floor((HEIGHT - 3 * (down - 1)) / down));
      part.width = part.across * (part.side + 3) - 3;
    } else {
      part.cells = part.shape.reduce((one, other) => one * other, 1);
      part.width = STRIP;
    }
  }
  parts.at(-1).width = 74;
  // Too wide for the window: as many maps, smaller ones, and at last the rest is reached by scrolling.
  const total = () => parts.reduce((sum, part) => sum + part.width + GAP, -GAP);
  const tooWide = total() / Math.max(width, 320);
  if (tooWide > 1) {
    for (const part of parts.filter((each) => each.side)) {
      part.side = Math.max(LEAST_SIDE, Math.floor(part.side / tooWide));
      part.width = part.across * (part.side + 3) - 3;
    }
  }
  let x = 0;
  for (const part of parts) {
    part.x = x;
    x += part.width + GAP;
  }
  return Object.assign(parts, { width: x - GAP });
}

const valuesOf = ({ image, values }, place) => (place < 0 ? image : values[place]);

function paint(canvas, shown, scales, pointed) {
  const ratio = window.devicePixelRatio || 1;
  const { parts } = shown;
  const [wide, high] = [Math.ceil(parts.width * ratio), Math.ceil((HEIGHT + 18) * ratio)];
  if (canvas.width !== wide || canvas.height !== high) {
    Object.assign(canvas, { width: wide, height: high });
    Object.assign(canvas.style, { width: `${parts.width}px`, height: `${HEIGHT + 18}px` });
  }
  const paper = canvas.getContext("2d");
  const ink = getComputedStyle(canvas).color;
  paper.setTransform(ratio, 0, 0, ratio, 0, 0);
  paper.clearRect(0, 0, parts.width, HEIGHT + 18);
  paper.imageSmoothingEnabled = false;
  paper.font = "11px sans-serif";
  paintLines(paper, shown);
  for (const part of parts) {
    const values = valuesOf(shown, part.place);
    let most = scales.get(part.place) ?? 1e-6;
    for (const value of values) most = Math.max(most, Math.abs(value));
    scales.set(part.place, most);
    if (part === parts.at(-1)) paintAnswers(paper, part, shown, ink);
    else if (part.cells) paintStrip(paper, part, values, most);
    else paintMaps(paper, part, values, part.place < 0 ? 1 : most);
    paper.fillStyle = ink;
    paper.globalAlpha = 0.75;
    paper.fillText(part.place < 0 ? "image" : part.shape.join("×"), part.x, HEIGHT + 14);
    paper.globalAlpha = 1;
  }
  if (pointed) {
    const { part, map, row, column } = pointed;
    const [x, y] = cornerOf(part, map);
    const pixel = part.side / part.shape[2];
    paper.strokeStyle = `rgb(${ORANGE})`;
    paper.lineWidth = 2;
    paper.strokeRect(x + column * pixel, y + row * pixel, Math.max(pixel, 3), Math.max(pixel, 3));
  }
}

const cornerOf = (part, map) => [
  part.x + (map % part.across) * (part.side + 3),
  Math.floor(map / part.across) * (part.side + 3),
];

function paintMaps(paper, part, values, most) {
  const [, rows, columns] = part.shape;
  const picture = new OffscreenCanvas(columns, rows);
  const pen = picture.getContext("2d");
  for (let map = 0; map < part.count; map++) {
    const pixels = new ImageData(columns, rows);
    for (let i = 0; i < rows * columns; i++) {
      const share = values[map * rows * columns + i] / most;
      pixels.data.set([...colorOf(share), 255], 4 * i);
    }
    pen.putImageData(pixels, 0, 0);
    paper.drawImage(picture, ...cornerOf(part, map), part.side, part.side);
  }
}

/** Black is zero, white the most; below zero, which only some activations give, blue. */
function colorOf(share) {
  if (share >= 0) return [255 * share, 255 * share, 255 * share];
  return BLUE.map((part) => -share * part);
}

function paintStrip(paper, part, values, most) {
  const cell = HEIGHT / part.cells;
  for (let i = 0; i < part.cells; i++) {
    paper.fillStyle = `rgb(${colorOf(values[i] / most)})`;
    paper.fillRect(part.x, i * cell, STRIP, cell + 0.5);
  }
}

function paintAnswers(paper, part, shown, ink) {
  const most = winnerOf(shown);
  const cell = HEIGHT / 10;
  shown.shares.forEach((share, digit) => {
    paper.fillStyle = ink;
    paper.font = digit === most ? "bold 14px sans-serif" : "12px sans-serif";
    paper.fillText(digit, part.x, digit * cell + cell / 2 + 5);
    paper.fillStyle = `rgb(${digit === most ? BLUE : [128, 136, 152]})`;
    paper.fillRect(part.x + 14, digit * cell + 5, 60 * share, cell - 10);
  });
  paper.font = "11px sans-serif";
}

const winnerOf = ({ shares }) => shares.indexOf(Math.max(...shares));

/** Draw the strongest ways to the winner, from strip to strip: a value times its weight, orange for it, blue against. */
function paintLines(paper, shown) {
  const { parts, layers } = shown;
  let targets = [[winnerOf(shown), 1]];
  for (let at = parts.length - 1; at > 0; at--) {
    const [part, before] = [parts[at], parts[at - 1]];
    const linear = linearBehind(layers, part.place);
    if (!linear || !before.cells || !valuesOf(shown, before.place)) break;
    const given = valuesOf(shown, before.place);
    const ways = targets.flatMap(([target, sign]) => {
      const row = linear.weight.subarray(target * given.length, (target + 1) * given.length);
      const shares = Array.from(row, (weight, i) => [i, sign * weight * given[i], target]);
      return shares.sort((one, other) => Math.abs(other[1]) - Math.abs(one[1])).slice(0, LINES);
    });
    const most = Math.max(...ways.map(([, share]) => Math.abs(share)), 1e-6);
    for (const [from, share, to] of ways) {
      paper.strokeStyle = `rgb(${share > 0 ? ORANGE : BLUE})`;
      paper.globalAlpha = 0.15 + 0.75 * (Math.abs(share) / most);
      paper.lineWidth = 0.5 + 1.5 * (Math.abs(share) / most);
      paper.beginPath();
      paper.moveTo(before.x + STRIP, ((from + 0.5) * HEIGHT) / before.cells);
      paper.lineTo(part.x, ((to + 0.5) * HEIGHT) / (part.cells ?? 10));
      paper.stroke();
    }
    paper.globalAlpha = 1;
    targets = ways.filter(([, share]) => share !== 0).slice(0, LINES).map(([from, share]) => [from, Math.sign(share)]);
  }
}

/** Return the linear layer that gives a layer its values, itself or before its activation; none, if there is another. */
function linearBehind(layers, place) {
  const layer = layers[place];
  if (layer?.op === "linear") return layer;
  return ACTIVATIONS.has(layer?.op) && layers[layer.inputs[0]]?.op === "linear" ? layers[layer.inputs[0]] : null;
}

function placeAt({ parts }, x, y) {
  for (const part of parts) {
    if (!part.side || part.place < 0) continue;
    for (let map = 0; map < part.count; map++) {
      const [left, top] = cornerOf(part, map);
      if (x < left || y < top || x >= left + part.side || y >= top + part.side) continue;
      const [, rows, columns] = part.shape;
      return {
        part,
        map,
        row: Math.floor(((y - top) * rows) / part.side),
        column: Math.floor(((x - left) * columns) / part.side),
      };
    }
  }
  return null;
}

const written = (number) => number.toFixed(2).replace("-", "−").padStart(6);
const shapeOf = (shown, place) => (place < 0 ? [1, 28, 28] : shown.layers[place].shape);

/** Write out how a number of a map came about: patch × filter + bias, what the activation made of it, or the pool's pick. */
function sumAt(shown, { part, map, row, column }) {
  const [, rows, columns] = part.shape;
  const value = valuesOf(shown, part.place)[(map * rows + row) * columns + column];
  const layer = shown.layers[part.place];
  const head = `${part.name}: map ${map + 1}, row ${row + 1}, column ${column + 1}`;
  if (layer.op === "max_pool2d" || layer.op === "avg_pool2d") {
    const given = patchOf(shown, layer, map, row, column);
    return `${head}\n${gridOf(given)}\nThe ${layer.op === "max_pool2d" ? "largest" : "mean"} of these is ${written(value).trim()}.`;
  }
  const convolution = ACTIVATIONS.has(layer.op) ? shown.layers[layer.inputs[0]] : layer;
  if (convolution.op !== "conv2d" || convolution.groups !== 1) return `${head}\n${written(value).trim()}`;
  const channels = shapeOf(shown, convolution.inputs[0])[0];
  const [kernelRows, kernelColumns] = convolution.kernel;
  const size = kernelRows * kernelColumns;
  const sums = Array.from({ length: channels }, (_, channel) => {
    const patch = patchOf(shown, convolution, channel, row, column);
    const start = (map * channels + channel) * size;
    const filter = convolution.weight.subarray(start, start + size);
    const products = patch.flat().map((each, i) => each * filter[i]);
    return { channel, patch, filter, sum: products.reduce((one, other) => one + other, 0) };
  });
  const strongest = sums.reduce((one, other) => (Math.abs(other.sum) > Math.abs(one.sum) ? other : one));
  const filterRows = strongest.patch.map((_, i) =>
    Array.from(strongest.filter.subarray(i * kernelColumns, (i + 1) * kernelColumns)),
  );
  const middle = Math.floor(kernelRows / 2);
  const lines = strongest.patch.map((given, i) => {
    const sides = `${given.map(written).join("")}  ${i === middle ? "×" : " "} ${filterRows[i].map(written).join("")}`;
    return i === middle ? `${sides}  = ${written(strongest.sum).trim()}` : sides;
  });
  const bias = convolution.bias ? convolution.bias[map] : 0;
  const total = sums.reduce((sum, each) => sum + each.sum, bias);
  const others =
    channels > 1
      ? `\nThis is map ${strongest.channel + 1} of the ${channels} before; all together they give ${written(total - bias).trim()}.`
      : "";
  const after = layer === convolution ? "" : `; ${layer.op} makes it ${written(value).trim()}`;
  return `${head}\n${lines.join("\n")}${others}\nWith the bias ${written(bias).trim()} that is ${written(total).trim()}${after}.`;
}

/** Return the numbers of a map that a filter or a pool looks at, in rows; outside the map there is zero. */
function patchOf(shown, layer, channel, row, column) {
  const given = valuesOf(shown, layer.inputs[0]);
  const [, height, width] = shapeOf(shown, layer.inputs[0]);
  const dilation = layer.dilation ?? [1, 1];
  return Array.from({ length: layer.kernel[0] }, (_, i) =>
    Array.from({ length: layer.kernel[1] }, (__, j) => {
      const y = row * layer.stride[0] - layer.padding[0] + i * dilation[0];
      const x = column * layer.stride[1] - layer.padding[1] + j * dilation[1];
      return y < 0 || x < 0 || y >= height || x >= width ? 0 : given[(channel * height + y) * width + x];
    }),
  );
}

const gridOf = (rows) => rows.map((row) => row.map(written).join("")).join("\n");

function inWords(shown) {
  const digit = winnerOf(shown);
  return `The drawing on its way through the network: ${shown.parts.length - 2} layers of maps and numbers, then ${digit}, ${(100 * shown.shares[digit]).toFixed(1)} %`;
}
