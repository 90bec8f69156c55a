// A network as a diagram through which one sees the drawing pass, at each frame that the pen draws: feature maps as
// pictures, rows of numbers as strips, the ten answers at the end, and what spoke most for the winner as lines. Point at a
// number, and the sum behind it is written out.

import { cornerOf, layoutOf, middleOf, numberAt, ABOVE, GAP, HEIGHT } from "./layout.js";
import { titleOf, sumOf } from "./sum.js";
import { coordinatesOf, shapeAt, valuesAt, waysTo, windowAt } from "./trace.js";

const WAYS = 6; // the strongest, of each layer
const ORANGE = "232, 131, 58";
const BLUE = "79, 116, 238";
const HINT =
  "Point at a map or a strip, and the sum behind one of its numbers is written out here. Black is zero, and blue below " +
  "it; white is as far as the layer's numbers go for test images, but for one in a thousand. Lines are the strongest " +
  "ways to the answer: orange spoke for it, blue against it.";
const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

const stops = new WeakMap(); // by the place on the page: Streamlit calls again where a component stays

/** Streamlit calls this when the component appears, and again when another run is looked into. */
export default function ({ parentElement, data }) {
  stops.get(parentElement)?.();
  const frame = parentElement.querySelector(".scrolls"); // parentElement is a shadow root
  const canvas = parentElement.querySelector("canvas");
  const told = parentElement.querySelector(".told");
  let shown = null;
  let layout = null;
  let pointed = null;

  const show = () => {
    if (!shown) return;
    if (pointed && !layout.at.has(pointed.place)) pointed = null;
    paint(canvas, shown, layout, pointed);
    canvas.setAttribute("aria-label", inWords(shown, layout, pointed));
    told.replaceChildren(...(pointed ? sumOf(shown, layout, pointed) : [HINT]));
  };
  const take = ({ detail }) => {
    if (detail.run !== data.run) return;
    const width = frame.clientWidth;
    const isSame = detail.layers === shown?.layers || (shown && shapesOf(detail.layers) === shapesOf(shown.layers));
    if (!isSame || layout.within !== width) layout = { ...layoutOf(detail.layers, width), within: width };
    shown = detail;
    show();
  };
  const point = (event) => {
    const box = canvas.getBoundingClientRect();
    pointed = layout && numberAt(layout, event.clientX - box.left, event.clientY - box.top);
    show();
  };
  const leave = (event) => {
    if (event.pointerType === "touch") return; // a finger that is lifted still points
    pointed = null;
    show();
  };
  const press = (event) => {
    const next = layout && event.key === "Escape" ? null : movedBy(event.key, pointed, layout);
    if (next === undefined) return;
    event.preventDefault();
    pointed = next;
    show();
  };
  const listeners = { pointermove: point, pointerdown: point, pointerleave: leave, keydown: press };
  for (const [name, listener] of Object.entries(listeners)) canvas.addEventListener(name, listener);
  document.addEventListener("cnnlab:values", take);
  const ask = () => document.dispatchEvent(new CustomEvent("cnnlab:ask"));
  const resized = new ResizeObserver(ask);
  resized.observe(frame);
  ask();
  const stop = () => {
    resized.disconnect();
    document.removeEventListener("cnnlab:values", take);
    for (const [name, listener] of Object.entries(listeners)) canvas.removeEventListener(name, listener);
  };
  stops.set(parentElement, stop);
  return stop;
}

const shapesOf = (layers) => JSON.stringify(layers.map(({ op, inputs, shape }) => [op, inputs, shape]));

/** Return the number to which a key leads: within a map by arrows, from map to map by page; undefined for other keys. */
function movedBy(key, pointed, { parts }) {
  const part = pointed && parts.find(({ place }) => place === pointed.place);
  const mapsOf = (each) => Array.from({ length: each.count ?? 1 }, (_, map) => ({ part: each, map }));
  const all = parts.slice(1).flatMap(mapsOf);
  const size = ({ kind, shape, cells }) => (kind === "maps" ? shape.slice(1) : [cells, 1]);
  if (!(key in STEPS) && key !== "PageDown" && key !== "PageUp") return undefined;
  const [map, row, column] = part ? coordinatesOf([0, ...size(part)], pointed.index) : [];
  if (part && key in STEPS) {
    const [rows, columns] = size(part);
    const [down, across] = STEPS[key];
    const [y, x] = [Math.min(Math.max(row + down, 0), rows - 1), Math.min(Math.max(column + across, 0), columns - 1)];
    return { place: part.place, index: (map * rows + y) * columns + x };
  }
  const now = part ? all.findIndex((each) => each.part === part && each.map === map) : -1;
  const next = all[Math.min(Math.max(now + (key === "PageUp" ? -1 : 1), 0), all.length - 1)];
  const [rows, columns] = size(next.part);
  const middle = Math.floor(rows / 2) * columns + Math.floor(columns / 2);
  return { place: next.part.place, index: next.map * rows * columns + middle };
}

function paint(canvas, shown, layout, pointed) {
  const ratio = window.devicePixelRatio || 1;
  const [wide, high] = [Math.ceil(layout.width * ratio), Math.ceil(layout.height * ratio)];
  if (canvas.width !== wide || canvas.height !== high) {
    Object.assign(canvas, { width: wide, height: high });
    Object.assign(canvas.style, { width: `${layout.width}px`, height: `${layout.height}px` });
  }
  const paper = canvas.getContext("2d");
  const ink = getComputedStyle(canvas).color;
  paper.setTransform(ratio, 0, 0, ratio, 0, 0);
  paper.clearRect(0, 0, layout.width, layout.height);
  paper.imageSmoothingEnabled = false;
  paintEdges(paper, layout, ink);
  for (const part of layout.parts) {
    if (part.kind === "answers") paintAnswers(paper, part, shown, ink);
    else if (part.kind === "strip") paintStrip(paper, part, shown);
    else paintMaps(paper, part, shown);
    paintCaption(paper, part, ink);
  }
  const start = pointed ?? { place: shown.layers.length - 1, index: winnerOf(shown) };
  paintWays(paper, layout, waysTo(shown, start, layout.isShown, WAYS));
  if (pointed) paintPointed(paper, shown, layout, pointed);
}

/** Show how the layers are joined: faint lines, and arcs past the columns between. */
function paintEdges(paper, { parts }, ink) {
  Object.assign(paper, { strokeStyle: ink, globalAlpha: 0.25, lineWidth: 1.5 });
  for (const part of parts) {
    for (const before of part.before) {
      const [from, to] = [
        [before.x + before.width, before.y + before.height / 2],
        [part.x, part.y + part.height / 2],
      ];
      paper.beginPath();
      if (part.depth - before.depth > 1) {
        paper.moveTo(from[0] + 4, before.y + 6);
        paper.bezierCurveTo(from[0] + 24, 2, from[0] + 24, 5, from[0] + 50, 5);
        paper.lineTo(to[0] - 50, 5);
        paper.bezierCurveTo(to[0] - 24, 5, to[0] - 24, 2, to[0] - 4, part.y + 6);
      } else {
        paper.moveTo(from[0] + 4, from[1]);
        paper.bezierCurveTo(from[0] + 16, from[1], to[0] - 16, to[1], to[0] - 4, to[1]);
      }
      paper.stroke();
    }
  }
  paper.globalAlpha = 1;
}

const pictures = new WeakMap();

/** Return a picture of all maps below each other, and its pixels, each one number. They are kept with their part. */
function pictureOf(part, rows, columns) {
  if (!pictures.has(part)) {
    const canvas = new OffscreenCanvas(columns, rows);
    const image = new ImageData(columns, rows);
    pictures.set(part, { canvas, image, pixels: new Uint32Array(image.data.buffer), pen: canvas.getContext("2d") });
  }
  return pictures.get(part);
}

/** The colour of each share of a layer's scale, as one number: black is zero, white the most; below zero it is blue. */
const COLORS = Uint32Array.from({ length: 511 }, (_, place) => {
  const share = (place - 255) / 255;
  const [red, green, blue] = share < 0 ? BLUE.split(",").map((part) => -share * part) : Array(3).fill(255 * share);
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
});

function fill({ pixels, image, pen, canvas }, values, scale) {
  for (let i = 0; i < pixels.length; i++) {
    pixels[i] = COLORS[255 + Math.max(-255, Math.min(255, Math.round((255 * values[i]) / scale)))];
  }
  pen.putImageData(image, 0, 0);
  return canvas;
}

const scaleOf = (shown, place) => (place < 0 ? 1 : shown.layers[place].scale || 1);

function paintMaps(paper, part, shown) {
  const [, rows, columns] = part.shape;
  const [values, scale] = [valuesAt(shown, part.place), scaleOf(shown, part.place)];
  const picture = fill(pictureOf(part, rows * part.count, columns), values, scale);
  for (let map = 0; map < part.count; map++) {
    paper.drawImage(picture, 0, map * rows, columns, rows, ...cornerOf(part, map), ...part.tile);
  }
}

function paintStrip(paper, part, shown) {
  const picture = fill(pictureOf(part, part.cells, 1), valuesAt(shown, part.place), scaleOf(shown, part.place));
  paper.imageSmoothingEnabled = part.cells > part.height; // else some would not be seen at all
  paper.drawImage(picture, part.x, part.y, part.width, part.height);
  paper.imageSmoothingEnabled = false;
}

function paintAnswers(paper, part, shown, ink) {
  const most = winnerOf(shown);
  const cell = part.height / 10;
  shown.shares.forEach((share, digit) => {
    const isMost = digit === most && share > 0;
    paper.fillStyle = ink;
    paper.font = isMost ? "bold 15px sans-serif" : "12px sans-serif";
    paper.textAlign = "left";
    paper.fillText(digit, part.x + 2, part.y + digit * cell + cell / 2 + 5);
    paper.fillStyle = `rgb(${isMost ? ORANGE : "128, 136, 152"})`;
    paper.fillRect(part.x + 16, part.y + digit * cell + 5, Math.max(1, (part.width - 18) * share), cell - 10);
  });
}

function paintCaption(paper, part, ink) {
  Object.assign(paper, { fillStyle: ink, textAlign: part.place < 0 || part.kind === "maps" ? "left" : "center" });
  const x = paper.textAlign === "left" ? part.x : part.x + part.width / 2;
  const y = (part.height < HEIGHT / 2 ? part.y + part.height : ABOVE + HEIGHT) + 13;
  paper.font = "11px sans-serif";
  const few = part.count < part.shape[0] ? `, the first ${part.count}` : "";
  const lines = part.kind === "answers" ? ["answer"] : [part.shape.join("×") + few];
  if (part.place >= 0 && part.kind === "maps") lines.unshift(shortened(paper, part.name, part.width + GAP - 6));
  lines.forEach((line, i) => {
    paper.globalAlpha = i ? 0.65 : 0.85;
    paper.fillText(line, x, y + 13 * i);
  });
  paper.globalAlpha = 1;
}

function shortened(paper, text, width) {
  let short = text;
  while (short.length > 3 && paper.measureText(short).width > width) short = `${short.replace(/…$/, "").slice(0, -1)}…`;
  return short;
}

const winnerOf = ({ shares }) => shares.indexOf(Math.max(...shares));

function paintWays(paper, layout, ways) {
  const most = new Map(); // of each layer, the strongest way that begins there
  for (const { from, share } of ways) most.set(from.place, Math.max(most.get(from.place) ?? 0, Math.abs(share)));
  for (const { from, to, share } of ways) {
    const [start, end] = [middleOf(layout.at.get(from.place), from.index), middleOf(layout.at.get(to.place), to.index)];
    if (!start || !end) continue; // in a map that is not shown
    const strength = Math.abs(share) / most.get(from.place);
    const color = `rgb(${share > 0 ? ORANGE : BLUE})`;
    Object.assign(paper, { strokeStyle: color, fillStyle: color });
    Object.assign(paper, { globalAlpha: 0.25 + 0.65 * strength, lineWidth: 0.6 + 1.2 * strength });
    paper.beginPath();
    paper.moveTo(...start);
    const middle = (start[0] + end[0]) / 2;
    paper.bezierCurveTo(middle, start[1], middle, end[1], ...end);
    paper.stroke();
    paper.beginPath();
    paper.arc(...start, 1.2 + strength, 0, 7);
    paper.fill();
  }
  paper.globalAlpha = 1;
}

/** Frame the number that is pointed at, and in the maps before, the patch that it was made of. */
function paintPointed(paper, shown, layout, { place, index }) {
  Object.assign(paper, { strokeStyle: `rgb(${ORANGE})`, lineWidth: 2 });
  const part = layout.at.get(place);
  const middle = middleOf(part, index);
  if (!middle) return;
  const side = part.kind === "maps" ? [part.pixel, part.pixel] : [part.width, Math.max(part.height / part.cells, 2)];
  const [wide, high] = side.map((each) => Math.max(each, 3));
  paper.strokeRect(middle[0] - wide / 2, middle[1] - high / 2, wide, high);
  let layer = shown.layers[place];
  while (!layout.isShown(layer.inputs[0])) layer = shown.layers[layer.inputs[0]];
  const before = layout.at.get(layer.inputs[0]);
  if (before.kind !== "maps" || !(layer.kernel || layer.op.startsWith("adaptive"))) return;
  const [map, row, column] = coordinatesOf(layer.shape, index);
  const inside = windowAt(layer, shapeAt(shown, before.place), row, column).flat().filter((at) => at >= 0);
  const columns = before.shape[2];
  const [top, bottom] = [inside[0], inside.at(-1)].map((at) => Math.floor(at / columns));
  const [left, right] = [inside[0] % columns, inside.at(-1) % columns];
  for (let each = 0; each < before.count; each++) {
    if (layer.op !== "conv2d" && each !== map) continue; // a pool looks at one map
    const [x, y] = cornerOf(before, each);
    const { pixel } = before;
    paper.strokeRect(x + left * pixel, y + top * pixel, (right - left + 1) * pixel, (bottom - top + 1) * pixel);
  }
}

function inWords(shown, layout, pointed) {
  const digit = winnerOf(shown);
  if (!shown.shares[digit]) return "The network; nothing is drawn yet";
  const answer = `${digit}, ${(100 * shown.shares[digit]).toFixed(1)} %`;
  const where = pointed ? `. Pointed at: ${titleOf(shown, layout, pointed.place, pointed.index)}` : "";
  return `The drawing on its way through ${layout.parts.length - 1} layers of maps and numbers, then ${answer}${where}`;
}
