"""Answers while the pen moves: the chosen runs' networks, in the browser."""

import json
from collections.abc import Sequence
from contextlib import suppress

import streamlit as st
from torch import Tensor

from cnnlab.engine.export import Exported, export
from cnnlab.engine.scripts import joined
from cnnlab.errors import LabError
from cnnlab.inference.networks import network_now
from cnnlab.inference.test_set import images_of
from cnnlab.runs.run import Run
from cnnlab.ui.frame.torch_thread import ask

_MOST_KEPT = 64
_EXAMPLES = 32  # test images that say which of a layer's numbers are white


_component = st.components.v2.component("cnnlab_pen", html="<span></span>", js=joined("engine", "preparation", "pen"))


def live_pen(runs: Sequence[Run], *, with_scales: bool = False) -> list[str]:
    """Let the networks of runs answer while the pen moves, in the cards that `answers_view` shows.

    Parameters
    ----------
    with_scales
        Whether a diagram is shown, which needs to know how far the numbers of each layer go.

    Returns
    -------
    list of str
        Why some of them answer only when the pen is lifted.
    """
    given = examples() if with_scales else None
    exported, refusals = [], []
    for run in runs:
        try:
            exported.append((run.id, ask(_exported, run, given)))
        except LabError as error:
            refusals.append(f"{run.name}: {error}")
    _component(key="pen", data=packed(exported), height=1)
    return refusals


def examples() -> Tensor | None:
    """Return the test images that say how far the numbers of each layer go; None where there are none."""
    with suppress(LabError):  # the diagram is there without them, and darker
        return images_of("mnist")[0][:_EXAMPLES]
    return None


def packed(networks: Sequence[tuple[str, Exported]]) -> bytes:
    """Return networks, each with its run's identifier, as `pen.js` unpacks them."""
    header, start = [], 0
    for run_id, network in networks:
        count = len(network.weights) // 4
        header.append({"id": run_id, "layers": network.layers, "start": start, "count": count})
        start += count
    text = json.dumps(header).encode()
    return len(text).to_bytes(4, "little") + text + b"".join(network.weights for _, network in networks)


def _exported(run: Run, examples: Tensor | None) -> Exported:
    network = network_now(run)
    key = (run.source, network.fingerprint, examples is not None)
    if key not in _kept:
        _kept[key] = export(network.module, examples)
        while len(_kept) > _MOST_KEPT:
            del _kept[next(iter(_kept))]
    return _kept[key]


_kept: dict[tuple[str, str, bool], Exported] = {}
