// One image on its way through a network, for the diagram: the image and the weights stay as the server has sent them.

import { softmax, unpacked } from "./engine.js";

const PIXELS = 784;

let stop = () => {};

/** Streamlit calls this when the component appears, and again with another image or other weights. */
export default function ({ data }) {
  stop();
  const [{ run, layers, network }] = unpacked(data);
  const image = new Float32Array(new Uint8Array(data).slice(-4 * PIXELS).buffer);
  const values = network(image);
  const detail = { run, layers, values, shares: softmax(values.at(-1)), image };
  const tell = () => document.dispatchEvent(new CustomEvent("cnnlab:values", { detail }));
  document.addEventListener("cnnlab:ask", tell); // the diagram does, when it appears or its room changes
  tell();
  stop = () => document.removeEventListener("cnnlab:ask", tell);
  return () => stop();
}
