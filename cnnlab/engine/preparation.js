// A drawing as MNIST's authors would have prepared it: the same steps as cnnlab/drawing/preparation.py, which is the
// truth and says why. Ink is a Float32Array, row by row, from 0, empty, to 1, full.

const IMAGE_SIDE = 28;
const FITTED = 20;
const FAINT = 0.1;
const CENTRE = 15;

/** Return the steps from the ink of a square canvas to the network's input, or null if nothing is drawn, or a dot. */
export function prepare(ink, side) {
  const drawn = ofTheMost(ink);
  const box = drawn && boundingBox(drawn, side, side, FAINT);
  if (!box) return null;
  const cropped = cut(drawn, side, box);
  const [height, width] = [box.bottom - box.top, box.right - box.left];
  if (isDot(cropped, height, width, side)) return null;
  const fitted = resample(cropped, height, width, FITTED);
  const most = fitted.reduce((one, other) => Math.max(one, other), 0);
  for (let i = 0; i < fitted.length; i++) fitted[i] /= most;
  return { drawn, cropped, box, fitted, centred: centre(fitted) };
}

/** Shrink a whole canvas to 28 by 28 and do nothing else. */
export function shrink(drawn, side) {
  return resample(drawn, side, side, IMAGE_SIDE);
}

/** Move an image of 28 by 28 by whole pixels; what leaves it is lost, and what comes in is empty. */
export function moved(image, right, down) {
  const result = new Float32Array(image.length);
  for (let y = Math.max(0, down); y < Math.min(IMAGE_SIDE, IMAGE_SIDE + down); y++) {
    for (let x = Math.max(0, right); x < Math.min(IMAGE_SIDE, IMAGE_SIDE + right); x++) {
      result[y * IMAGE_SIDE + x] = image[(y - down) * IMAGE_SIDE + x - right];
    }
  }
  return result;
}

function ofTheMost(ink) {
  let most = 0;
  for (const each of ink) most = Math.max(most, each);
  return most >= FAINT ? ink.map((each) => each / most) : null;
}

function boundingBox(ink, height, width, least) {
  let [top, bottom, left, right] = [height, -1, width, -1];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (ink[y * width + x] >= least) {
        top = Math.min(top, y);
        bottom = Math.max(bottom, y);
        left = Math.min(left, x);
        right = Math.max(right, x);
      }
    }
  }
  return bottom < 0 ? null : { top, bottom: bottom + 1, left, right: right + 1 };
}

function cut(ink, side, { top, bottom, left, right }) {
  const cropped = new Float32Array((bottom - top) * (right - left));
  for (let y = top; y < bottom; y++) {
    cropped.set(ink.subarray(y * side + left, y * side + right), (y - top) * (right - left));
  }
  return cropped;
}

function isDot(cropped, height, width, side) {
  const solid = cropped.map((each) => (each > 0.5 ? 1 : 0));
  const box = boundingBox(solid, height, width, 1);
  const [rows, columns] = [box.bottom - box.top, box.right - box.left];
  const filled = cut(solid, width, box).reduce((one, other) => one + other, 0) / (rows * columns);
  const [long, short] = [Math.max(rows, columns), Math.min(rows, columns)];
  return long < side / 6 && long < 1.5 * short && filled > 0.55;
}

/** Resample the square around an image; each new pixel is the mean over exactly the area that it covers. */
function resample(image, height, width, side) {
  const square = Math.max(height, width);
  const [down, across] = [shares(height, square, side), shares(width, square, side)];
  const rows = new Float32Array(side * width);
  down.forEach((parts, row) => {
    for (const [y, share] of parts) {
      for (let x = 0; x < width; x++) rows[row * width + x] += share * image[y * width + x];
    }
  });
  const resampled = new Float32Array(side * side);
  for (let row = 0; row < side; row++) {
    across.forEach((parts, column) => {
      let sum = 0;
      for (const [x, share] of parts) sum += share * rows[row * width + x];
      resampled[row * side + column] = sum;
    });
  }
  return resampled;
}

/** Return, for each new pixel along one axis, which old ones it covers, and how much of it each makes up. */
function shares(length, square, side) {
  const ratio = square / side;
  const margin = Math.trunc((square - length) / 2 / ratio) * ratio;
  return Array.from({ length: side }, (_, pixel) => {
    const [start, end] = [pixel * ratio - margin, (pixel + 1) * ratio - margin];
    const parts = [];
    for (let old = Math.max(0, Math.floor(start)); old < Math.min(length, end); old++) {
      const overlap = Math.min(end, old + 1) - Math.max(start, old);
      if (overlap > 0) parts.push([old, overlap / ratio]);
    }
    return parts;
  });
}

/** Put the centre of mass at the centre of 28 by 28, moving by whole pixels. */
function centre(fitted) {
  let [mass, down, across] = [0, 0, 0];
  for (let y = 0; y < FITTED; y++) {
    for (let x = 0; x < FITTED; x++) {
      const ink = fitted[y * FITTED + x];
      mass += ink;
      down += ink * (y + 0.5);
      across += ink * (x + 0.5);
    }
  }
  const offset = (sum) => Math.min(Math.max(Math.trunc(CENTRE - sum / mass), 0), IMAGE_SIDE - FITTED);
  const [top, left] = [offset(down), offset(across)];
  const centred = new Float32Array(IMAGE_SIDE * IMAGE_SIDE);
  for (let y = 0; y < FITTED; y++) {
    centred.set(fitted.subarray(y * FITTED, (y + 1) * FITTED), (top + y) * IMAGE_SIDE + left);
  }
  return centred;
}
