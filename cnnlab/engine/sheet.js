// A sheet of small pictures of one size. A click, or a key, chooses one of them and a pixel in it.

const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
const keys = new WeakMap(); // by the place on the page: Streamlit calls again where a component stays

/**
 * Streamlit calls this when the component appears, and again with other pictures. The data: `pictures`, each with an
 * address and a caption; the label of each, read out; how wide one is, in rem; its rows and columns; and what is chosen,
 * [picture, row, column].
 */
export default function ({ parentElement, data, setTriggerValue }) {
  const sheet = parentElement.querySelector(".sheet");
  const { pictures, label, rows, columns, chosen, width, marks_pixels: marksPixels } = data;
  sheet.setAttribute("aria-label", label);
  sheet.style.setProperty("--width", `${width}rem`);
  while (sheet.children.length > pictures.length) sheet.lastChild.remove();
  while (sheet.children.length < pictures.length) sheet.append(tile());
  let latest = chosen; // also what the server has not answered yet
  const choose = (next) => {
    latest = next;
    setTriggerValue("chosen", next);
  };
  pictures.forEach(({ address, caption }, place) => {
    const button = sheet.children[place];
    const [picture, mark, told] = button.querySelectorAll("img, i, span");
    if (picture.src !== address) picture.src = address;
    told.textContent = caption;
    const isChosen = place === chosen[0];
    button.setAttribute("aria-pressed", isChosen);
    button.setAttribute("aria-label", [label, place + 1, caption].filter(Boolean).join(" "));
    const isStop = pictures[chosen[0]] ? isChosen : place === 0;
    button.tabIndex = isStop ? 0 : -1; // one stop for the whole sheet: the arrows do the rest
    mark.hidden = !isChosen || !marksPixels;
    Object.assign(mark.style, {
      left: `${(100 * chosen[2]) / columns}%`,
      top: `${(100 * chosen[1]) / rows}%`,
      width: `${100 / columns}%`,
      height: `${100 / rows}%`,
    });
    button.onclick = (event) => {
      if (!event.detail) return choose([place, chosen[1], chosen[2]]); // by a key, or without a pointer
      const box = picture.getBoundingClientRect();
      const at = (distance, length, count) => Math.min(count - 1, Math.max(0, Math.floor((distance / length) * count)));
      const row = at(event.clientY - box.top, box.height, rows);
      choose([place, row, at(event.clientX - box.left, box.width, columns)]);
    };
  });
  if (keys.has(parentElement)) sheet.removeEventListener("keydown", keys.get(parentElement));
  const press = (event) => {
    const next = nextTo(latest, STEPS[event.key], sheet, { rows, columns, marksPixels });
    if (!next) return;
    event.preventDefault();
    sheet.children[next[0]].focus();
    choose(next);
  };
  keys.set(parentElement, press);
  sheet.addEventListener("keydown", press);
}

function tile() {
  const button = Object.assign(document.createElement("button"), { type: "button" });
  const frame = document.createElement("div");
  frame.append(Object.assign(document.createElement("img"), { alt: "" }), document.createElement("i"));
  button.append(frame, document.createElement("span"));
  return button;
}

/** Return what an arrow leads to: the pixel beside the one that is chosen, or the picture beside it. */
function nextTo([place, row, column], step, sheet, { rows, columns, marksPixels }) {
  if (!step) return null;
  if (marksPixels) {
    const [y, x] = [row + step[0], column + step[1]];
    if (y >= 0 && x >= 0 && y < rows && x < columns) return [place, y, x];
  }
  const perRow = [...sheet.children].filter((each) => each.offsetTop === sheet.firstChild.offsetTop).length;
  const next = place + step[0] * perRow + step[1];
  return next >= 0 && next < sheet.children.length ? [next, row, column] : null;
}
