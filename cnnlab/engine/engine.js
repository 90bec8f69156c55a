// Runs a trained network in the browser: the layers that `export.py` has written, one after the other, on one image.
// Values are Float32Arrays in PyTorch's order (channel, row, column); sums are taken in double precision.

/** Return a network: a function from an image to the values of all layers, the last of which are the logits. */
export function networkOf(layers, weights) {
  const parts = withWeights(layers, weights).map((layer) => {
    const compute = LAYERS[layer.op];
    if (!compute) throw new Error(`The engine knows no layer ${layer.op}.`);
    return { ...layer, compute };
  });
  const shapeOf = (place) => (place < 0 ? [1, 28, 28] : parts[place].shape);
  return (image) => {
    const values = [];
    for (const part of parts) {
      const given = part.inputs.map((place) => (place < 0 ? image : values[place]));
      const result = new Float32Array(part.shape.reduce((one, other) => one * other, 1));
      values.push(part.compute(part, given, part.inputs.map(shapeOf), result) ?? result);
    }
    return values;
  };
}

/** Return layers with their weights in the place of where these are. */
export function withWeights(layers, weights) {
  const taken = (place) => place && weights.subarray(place[0], place[0] + place[1]);
  return layers.map((layer) => ({ ...layer, weight: taken(layer.weight), bias: taken(layer.bias) }));
}

/** Return each run's network and its layers with their weights. The data are a header in JSON, its length, and floats. */
export function unpacked(data) {
  const bytes = new Uint8Array(data);
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const runs = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  const floats = new Float32Array(bytes.slice(4 + length).buffer);
  return runs.map(({ id, layers, start, count }) => {
    const weights = floats.subarray(start, start + count);
    return { run: id, layers: withWeights(layers, weights), network: networkOf(layers, weights) };
  });
}

/** Return the probabilities that belong to logits. */
export function softmax(logits) {
  const most = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - most));
  const sum = powers.reduce((one, other) => one + other, 0);
  return powers.map((power) => power / sum);
}

function conv2d({ weight, bias, kernel, stride, padding, dilation, groups, shape }, [x], [[channels, height, width]], out) {
  const [filters, rows, columns] = shape;
  const [kernelRows, kernelColumns] = kernel;
  const perGroup = channels / groups;
  let place = 0;
  for (let filter = 0; filter < filters; filter++) {
    const firstChannel = Math.floor(filter / (filters / groups)) * perGroup;
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        let sum = bias ? bias[filter] : 0;
        let at = filter * perGroup * kernelRows * kernelColumns;
        for (let channel = firstChannel; channel < firstChannel + perGroup; channel++) {
          for (let i = 0; i < kernelRows; i++) {
            const y = row * stride[0] - padding[0] + i * dilation[0];
            if (y < 0 || y >= height) {
              at += kernelColumns;
              continue;
            }
            const line = (channel * height + y) * width;
            for (let j = 0; j < kernelColumns; j++, at++) {
              const across = column * stride[1] - padding[1] + j * dilation[1];
              if (across >= 0 && across < width) sum += weight[at] * x[line + across];
            }
          }
        }
        out[place++] = sum;
      }
    }
  }
}

function linear({ weight, bias, shape }, [x], [given], out) {
  const size = given[given.length - 1];
  const outputs = shape[shape.length - 1];
  for (let place = 0; place < out.length; place++) {
    const output = place % outputs;
    const start = ((place - output) / outputs) * size;
    let sum = bias ? bias[output] : 0;
    for (let i = 0, at = output * size; i < size; i++, at++) sum += weight[at] * x[start + i];
    out[place] = sum;
  }
}

/** Scale and shift each channel: what a batch normalization does in evaluation. */
function scale({ weight, bias, shape }, [x], _, out) {
  const size = out.length / shape[0];
  for (let i = 0; i < out.length; i++) {
    const channel = Math.floor(i / size);
    out[i] = x[i] * weight[channel] + bias[channel];
  }
}

function groupNorm({ weight, bias, shape, groups, eps }, [x], _, out) {
  const size = out.length / groups;
  const perChannel = out.length / shape[0];
  for (let start = 0; start < out.length; start += size) {
    let sum = 0;
    let squares = 0;
    for (let i = start; i < start + size; i++) sum += x[i];
    const mean = sum / size;
    for (let i = start; i < start + size; i++) squares += (x[i] - mean) ** 2;
    const deviation = Math.sqrt(squares / size + eps);
    for (let i = start; i < start + size; i++) {
      const channel = Math.floor(i / perChannel);
      out[i] = ((x[i] - mean) / deviation) * (weight ? weight[channel] : 1) + (bias ? bias[channel] : 0);
    }
  }
}

/** Fold each window of a map into one number, as `fold` does with its rows and columns. */
function overWindows(shape, [channels, height, width], out, windowAt, fold) {
  const [, rows, columns] = shape;
  let place = 0;
  for (let channel = 0; channel < channels; channel++) {
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        out[place++] = fold(channel * height * width, windowAt(row, column));
      }
    }
  }
}

function maxPool2d({ kernel, stride, padding, dilation, shape }, [x], [given], out) {
  const [, height, width] = given;
  const windowAt = (row, column) => [row * stride[0] - padding[0], column * stride[1] - padding[1]];
  overWindows(shape, given, out, windowAt, (start, [top, left]) => {
    let most = -Infinity;
    for (let i = 0; i < kernel[0]; i++) {
      const y = top + i * dilation[0];
      if (y < 0 || y >= height) continue;
      for (let j = 0; j < kernel[1]; j++) {
        const across = left + j * dilation[1];
        if (across >= 0 && across < width) most = Math.max(most, x[start + y * width + across]);
      }
    }
    return most;
  });
}

function avgPool2d({ kernel, stride, padding, pads, shape }, [x], [given], out) {
  const [, height, width] = given;
  const windowAt = (row, column) => [row * stride[0] - padding[0], column * stride[1] - padding[1]];
  overWindows(shape, given, out, windowAt, (start, [top, left]) => {
    const inside = [Math.max(top, 0), Math.min(top + kernel[0], height), Math.max(left, 0), Math.min(left + kernel[1], width)];
    const [mean, count] = meanWithin(x, start, width, ...inside);
    return pads ? (mean * count) / (kernel[0] * kernel[1]) : mean;
  });
}

const adaptiveWindows = ([, rows, columns], [, height, width]) => (row, column) => [
  Math.floor((row * height) / rows),
  Math.ceil(((row + 1) * height) / rows),
  Math.floor((column * width) / columns),
  Math.ceil(((column + 1) * width) / columns),
];

function adaptiveAvgPool2d({ shape }, [x], [given], out) {
  overWindows(shape, given, out, adaptiveWindows(shape, given), (start, edges) => meanWithin(x, start, given[2], ...edges)[0]);
}

function adaptiveMaxPool2d({ shape }, [x], [given], out) {
  overWindows(shape, given, out, adaptiveWindows(shape, given), (start, [top, bottom, left, right]) => {
    let most = -Infinity;
    for (let y = top; y < bottom; y++) {
      for (let across = left; across < right; across++) most = Math.max(most, x[start + y * given[2] + across]);
    }
    return most;
  });
}

function meanWithin(x, start, width, top, bottom, left, right) {
  let sum = 0;
  for (let y = top; y < bottom; y++) {
    for (let across = left; across < right; across++) sum += x[start + y * width + across];
  }
  const count = (bottom - top) * (right - left);
  return [sum / count, count];
}

function pad({ padding, shape }, [x], [[channels, height, width]], out) {
  for (let channel = 0; channel < channels; channel++) {
    for (let y = 0; y < height; y++) {
      const line = (channel * height + y) * width;
      out.set(x.subarray(line, line + width), (channel * shape[1] + y + padding[0]) * shape[2] + padding[1]);
    }
  }
}

function add(_, [one, other], __, out) {
  for (let i = 0; i < out.length; i++) out[i] = one[i] + other[i];
}

function cat(_, given, __, out) {
  let place = 0;
  for (const each of given) {
    out.set(each, place);
    place += each.length;
  }
}

const each = (change) => (layer, [x], _, out) => {
  for (let i = 0; i < out.length; i++) out[i] = change(x[i], layer);
};

// Abramowitz and Stegun, Handbook of Mathematical Functions (1964), formula 7.1.26: within 1.5e-7.
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const sum = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - sum * Math.exp(-x * x));
}

const LAYERS = {
  conv2d,
  linear,
  scale,
  group_norm: groupNorm,
  max_pool2d: maxPool2d,
  avg_pool2d: avgPool2d,
  adaptive_avg_pool2d: adaptiveAvgPool2d,
  adaptive_max_pool2d: adaptiveMaxPool2d,
  pad,
  add,
  cat,
  reshape: (_, [x]) => x,
  relu: each((x) => Math.max(x, 0)),
  leaky_relu: each((x, { slope }) => (x < 0 ? slope * x : x)),
  gelu: each((x) => (x / 2) * (1 + erf(x / Math.SQRT2))),
  gelu_tanh: each((x) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))),
  silu: each((x) => x / (1 + Math.exp(-x))),
  tanh: each((x) => Math.tanh(x)),
  sigmoid: each((x) => 1 / (1 + Math.exp(-x))),
};
