// Answers while the pen moves: reads what is on the canvas at each frame, prepares it, lets each network answer, and
// writes the answers into the cards that the server has made. When the pen is lifted the server answers too, with the
// same numbers; without this module it is the only one that does.

import { softmax, unpacked } from "./engine.js";
import { moved, prepare, shrink } from "./preparation.js";

const CANVAS_SIDE = 280;
const FRAME = ".st-key-canvas_frame";
const SHOWN_SIDE = 140; // of the small pictures, in pixels: enough for a screen with two for each
const TIDY_MILLISECONDS = 500; // a cleared canvas is a new one

let stop = () => {};

/** Streamlit calls this when the component appears, and again with each new weights. */
export default function ({ data }) {
  stop();
  const networks = unpacked(data);
  const reader = Object.assign(document.createElement("canvas"), { width: CANVAS_SIDE, height: CANVAS_SIDE });
  const paper = reader.getContext("2d", { willReadFrequently: true });
  let isDrawing = false;
  let frame = 0;
  let answered = 0; // how much ink there was
  let moveAnswered = [0, 0];

  const answer = () => {
    frame = 0;
    const ink = inkOn(paper);
    const before = answered;
    answered = sumOf(ink);
    // That a drawing is unlike a digit, only the server says, of what was there when the pen was lifted.
    if (isDrawing && answered !== before) {
      for (const told of document.querySelectorAll(".answer .unlike, .doubt")) told.textContent = "";
    }
    const steps = prepare(ink, CANVAS_SIDE);
    moveAnswered = moveNow();
    const seen = steps && moved(steps.centred, ...moveAnswered);
    const shrunk = steps && shrink(steps.drawn, CANVAS_SIDE);
    for (const { run, layers, network } of networks) {
      const values = steps && network(seen);
      const shares = steps && softmax(values.at(-1));
      for (const card of document.querySelectorAll(`.answer[data-run="${CSS.escape(run)}"]`)) {
        write(card, steps && [shares, softmax(network(shrunk).at(-1))]);
      }
      // For the diagram, which shows one of the runs.
      const detail = steps
        ? { run, layers, values, shares, image: seen }
        : { run, layers, values: layers.map(emptyOf), shares: Array(10).fill(0), image: new Float32Array(784) };
      document.dispatchEvent(new CustomEvent("cnnlab:values", { detail }));
    }
    if (steps && isDrawing) showDrawn(paper.canvas, steps.box); // afterwards the server shows them, sharper
    showSteps({ Fitted: steps?.fitted, Centred: steps?.centred, Moved: seen, "Plain shrink": shrunk });
  };
  const soon = () => (frame ||= requestAnimationFrame(answer));
  const begin = (event) => {
    isDrawing = event.composedPath().some((each) => each.matches?.(FRAME));
    if (isDrawing) soon();
  };
  const move = () => isDrawing && soon();
  const end = () => {
    if (isDrawing) soon();
    isDrawing = false;
  };
  const listeners = { pointerdown: begin, pointermove: move, pointerup: end, pointercancel: end };
  for (const [name, listener] of Object.entries(listeners)) document.addEventListener(name, listener, true);
  document.addEventListener("cnnlab:ask", soon);
  if (canvasesOf(document.querySelector(FRAME)).length) soon(); // newer weights answer to what is drawn
  tidy();
  const tidying = setInterval(() => {
    tidy();
    // While the server takes a stroke, the canvas is empty for a moment; and what it puts there moves no pen.
    const isOther = sumOf(inkOn(paper)) !== answered || String(moveNow()) !== String(moveAnswered);
    if (!isDrawing && isOther) soon();
  }, TIDY_MILLISECONDS);
  stop = () => {
    clearInterval(tidying);
    cancelAnimationFrame(frame);
    document.removeEventListener("cnnlab:ask", soon);
    for (const [name, listener] of Object.entries(listeners)) document.removeEventListener(name, listener, true);
  };
  return () => stop();
}

/** Take the canvas's own tools, which are not seen, out of everybody's way, and give it a name that can be read out. */
function tidy() {
  for (const root of rootsIn(document.querySelector(FRAME))) {
    for (const tools of root.querySelectorAll(".dc-toolbar")) tools.inert = true;
    for (const canvas of root.querySelectorAll("canvas.upper-canvas")) {
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", "Canvas: draw a digit here");
    }
  }
}

/** Return how far the server shows the drawing moved, in pixels to the right and down. */
function moveNow() {
  const { right = 0, down = 0 } = document.querySelector(".steps")?.dataset ?? {};
  return [Number(right), Number(down)];
}

const emptyOf = ({ shape }) => new Float32Array(shape.reduce((one, other) => one * other, 1));

/** Return the canvases that lie on each other in a frame: what lies below, the finished strokes, the one being drawn. */
function canvasesOf(frame) {
  return rootsIn(frame).flatMap((root) => [...root.querySelectorAll("canvas")]);
}

/** Return an element, if it is there, and the shadow roots below it. */
function rootsIn(element) {
  if (!element) return [];
  return [element, ...[...element.querySelectorAll("*")].map((each) => each.shadowRoot).filter(Boolean)];
}

function inkOn(paper) {
  paper.fillStyle = "#fff";
  paper.fillRect(0, 0, CANVAS_SIDE, CANVAS_SIDE);
  for (const canvas of canvasesOf(document.querySelector(FRAME))) {
    if (canvas.width && canvas.height) paper.drawImage(canvas, 0, 0, CANVAS_SIDE, CANVAS_SIDE);
  }
  const { data } = paper.getImageData(0, 0, CANVAS_SIDE, CANVAS_SIDE);
  return Float32Array.from({ length: CANVAS_SIDE * CANVAS_SIDE }, (_, place) => 1 - data[4 * place] / 255);
}

const sumOf = (numbers) => numbers.reduce((one, other) => one + other, 0);
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const mostOf = (shares) => shares.indexOf(Math.max(...shares));

function write(card, answers) {
  const [shares, ofShrunk] = answers ?? [Array(10).fill(0), null];
  const digit = answers ? mostOf(shares) : "";
  card.dataset.digit = digit;
  const named = card.querySelector(".named");
  named.classList.toggle("none", !answers);
  named.textContent = answers ? percent(shares[digit]) : "Nothing drawn yet";
  if (answers) named.prepend(Object.assign(document.createElement("b"), { textContent: digit }));
  const bars = card.querySelector(".bars");
  bars.setAttribute("aria-label", answers ? `${digit}, ${percent(shares[digit])}` : "Nothing drawn yet");
  bars.querySelectorAll("i").forEach((bar, place) => (bar.style.height = `${100 * shares[place]}%`));
  bars.querySelectorAll("div, span").forEach((each, place) => each.classList.toggle("most", place % 10 === digit));
  card.querySelector(".shrunk").textContent = ofShrunk
    ? `After a plain shrink: ${mostOf(ofShrunk)}, ${percent(Math.max(...ofShrunk))}`
    : "\u00a0";
}

/** Show what is drawn, and the box around it, as small as they are seen. */
function showDrawn(drawn, { top, bottom, left, right }) {
  const boxes = { Drawn: [0, 0, CANVAS_SIDE, CANVAS_SIDE], Cropped: [left, top, right - left, bottom - top] };
  for (const [title, box] of Object.entries(boxes)) {
    const picture = document.querySelector(`.steps img[alt="${title}"]`);
    if (!picture) continue;
    const scale = SHOWN_SIDE / Math.max(box[2], box[3]);
    const size = { width: Math.ceil(scale * box[2]), height: Math.ceil(scale * box[3]) };
    const small = Object.assign(document.createElement("canvas"), size);
    small.getContext("2d").drawImage(drawn, ...box, 0, 0, small.width, small.height);
    picture.src = small.toDataURL();
  }
}

function showSteps(pictures) {
  for (const [title, ink] of Object.entries(pictures)) {
    const picture = document.querySelector(`.steps img[alt="${title}"]`);
    if (!picture || !ink) continue;
    const side = Math.sqrt(ink.length);
    const drawn = Object.assign(document.createElement("canvas"), { width: side, height: side });
    const pixels = new ImageData(side, side);
    ink.forEach((share, place) => pixels.data.set([...Array(3).fill(255 * (1 - share)), 255], 4 * place));
    drawn.getContext("2d").putImageData(pixels, 0, 0);
    picture.src = drawn.toDataURL();
  }
}
