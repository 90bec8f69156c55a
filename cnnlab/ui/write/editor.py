"""The editor: a plain text area that tells the page what is typed while one types, with the lines' numbers."""

from collections.abc import Collection

import streamlit as st

from cnnlab.models.reading.source import MOST_CHARACTERS
from cnnlab.ui.frame.page import run_script
from cnnlab.ui.frame.session import Key

HEIGHT = 440
# Streamlit sends a text area's text at Ctrl+Enter, or when it is left. Here it is sent a moment after the last key.
_WAIT = 250  # milliseconds
_STYLE = """
<style>
.st-key-source textarea, .numbers { font: .82rem/1.25rem "Source Code Pro", monospace; }
.st-key-source textarea { white-space: pre; overflow-x: auto; padding: .5rem .5rem .5rem 2.9rem; tab-size: 4; }
.numbers { position: absolute; left: 0; top: 0; bottom: 0; width: 2.4rem; overflow: hidden; pointer-events: none;
  text-align: right; padding: .5rem .4rem; box-sizing: border-box; opacity: .8; }
.numbers b { color: #fff; background: #c62f3b; border-radius: .25rem; padding: 0 .2rem; }
.st-key-written code { font-size: .82rem; line-height: 1.25rem; }
</style>
"""
_SCRIPT = """
(function numbered(waited = 0) {
  const area = document.querySelector(".st-key-source textarea");
  // Streamlit is still loading it, or has not put the text into it.
  if (!area || (!area.value && waited < 120)) return requestAnimationFrame(() => numbered(waited + 1));
  const marked = new Set(%(marked)s);
  if (!area.numbers) {
    area.spellcheck = false;
    area.numbers = document.createElement("div");
    area.numbers.className = "numbers";
    area.numbers.ariaHidden = "true";
    area.parentElement.style.position = "relative";
    area.parentElement.append(area.numbers);
    area.addEventListener("scroll", () => { area.numbers.scrollTop = area.scrollTop; });
    area.addEventListener("input", () => {
      area.number();
      clearTimeout(area.waiting);
      area.waiting = setTimeout(() => area.dispatchEvent(
        new KeyboardEvent("keydown", { key: "Enter", ctrlKey: true, bubbles: true })), %(wait)d);
    });
  }
  area.number = () => {
    area.numbered = area.value;
    const count = area.value.split("\\n").length;
    area.numbers.replaceChildren(...Array.from({ length: count }, (_, place) => {
      const line = document.createElement("div");
      const number = document.createElement(marked.has(place + 1) ? "b" : "span");
      number.textContent = place + 1;
      line.append(number);
      return line;
    }));
    area.numbers.scrollTop = area.scrollTop;
  };
  area.number();
  // A text that the page puts there, an example or what mends a mistake, tells of no input.
  clearInterval(area.watching);
  area.watching = setInterval(() => {
    if (!area.isConnected) clearInterval(area.watching);
    else if (area.value !== area.numbered) area.number();
  }, 200);
})();
"""


def editor() -> str:
    """Show the editor, and return what stands in it."""
    st.html(_STYLE)
    text: str = st.text_area(
        "Your network",
        key=Key.SOURCE,
        persist_state="session",
        height=HEIGHT,
        max_chars=MOST_CHARACTERS,
        help="An nn.Sequential, or a class with __init__ and forward. It is read, and never executed.",
    )
    return text


def mark_lines(lines: Collection[int]) -> None:
    """Number the editor's lines, and mark those with a mistake."""
    run_script(_SCRIPT % {"marked": sorted(lines), "wait": _WAIT})
