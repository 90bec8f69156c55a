"""Answers while the pen moves: the chosen runs' networks, in the browser."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

import cnnlab.engine
from cnnlab.engine.export import Exported, export
from cnnlab.errors import LabError
from cnnlab.inference.networks import newest_network_of
from cnnlab.runs.run import Run
from cnnlab.ui.frame.torch_thread import ask

_FOLDER = Path(cnnlab.engine.__file__).parent
_MOST_KEPT = 64


def _source() -> str:
    """Return the engine's modules as one, which is what Streamlit takes."""
    texts = [(_FOLDER / name).read_text(encoding="utf-8") for name in ("engine.js", "preparation.js", "pen.js")]
    texts[:2] = [re.sub(r"^export ", "", text, flags=re.MULTILINE) for text in texts[:2]]
    texts[2] = re.sub(r"^import .*\n", "", texts[2], flags=re.MULTILINE)
    return "\n".join(texts)


_component = st.components.v2.component("cnnlab_pen", html="<span></span>", js=_source())


def live_pen(runs: Sequence[Run]) -> list[str]:
    """Let the networks of runs answer while the pen moves, in the cards that `answers_view` shows.

    Returns
    -------
    list of str
        Why some of them answer only when the pen is lifted.
    """
    exported, refusals = [], []
    for run in runs:
        try:
            exported.append((run.id, ask(_exported, run)))
        except LabError as error:
            refusals.append(f"{run.name}: {error}")
    _component(key="pen", data=packed(exported), height=1)
    return refusals


def packed(networks: Sequence[tuple[str, Exported]]) -> bytes:
    """Return networks, each with its run's identifier, as `pen.js` unpacks them."""
    header, start = [], 0
    for run_id, network in networks:
        count = len(network.weights) // 4
        header.append({"id": run_id, "layers": network.layers, "start": start, "count": count})
        start += count
    text = json.dumps(header).encode()
    return len(text).to_bytes(4, "little") + text + b"".join(network.weights for _, network in networks)


def _exported(run: Run) -> Exported:
    network = newest_network_of(run)
    key = (run.source, network.fingerprint)
    if key not in _kept:
        _kept[key] = export(network.module)
        while len(_kept) > _MOST_KEPT:
            del _kept[next(iter(_kept))]
    return _kept[key]


_kept: dict[tuple[str, str], Exported] = {}
