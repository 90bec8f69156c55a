"""The proof that two forms are one network, the tutorial's or one's own, live while it is found."""

from collections.abc import Sequence
from functools import partial

import pandas as pd
import streamlit as st

from cnnlab.charts.network import equivalence_chart
from cnnlab.errors import LabError
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.proof.equivalence import (
    DECLARED_BACKWARDS,
    SEED,
    STEPS,
    CarriedOver,
    Finding,
    Finished,
    TrainedBoth,
    sentence_of,
)
from cnnlab.proof.process import Progress, Proof
from cnnlab.ui.frame.live import live
from cnnlab.ui.frame.session import Key
from cnnlab.ui.frame.wording import as_text

_SEQUENTIAL, _MODULE = (DEFINITIONS[name] for name in ("sequential", "module"))
_REFRESH_SECONDS = 0.5
# The places of the findings are as high from the start as the sentences need, so that nothing moves when they come.
_STYLE = """
<style>
.st-key-finding_1, .st-key-finding_2 { min-height: 14rem; }
.st-key-finding_3 { min-height: 19rem; }
@media (min-width: 641px) and (max-width: 1100px) { [class*="st-key-finding_"] { min-height: 28rem; } }
</style>
"""


def proof_in_a_line() -> None:
    """Say in a line whether the tutorial's two definitions are proved to be one network, and why its tables differ."""
    found = next((each for each in Proof().progress().findings if isinstance(each, CarriedOver)), None)
    proved = (
        f"The tutorial's two forms are one network, proved here: largest difference {found.largest_difference:g}."
        if found
        else "The tutorial's two forms are one network: see *The proof*."
    )
    st.caption(
        f"Type in one of the two forms, and the lab writes the other. {proved} Its two tables of losses differ "
        "by the seed alone."
    )


def pair_proof(typed: str, written: str, known: str) -> None:
    """Say what is known of two sources, with a button that has more of it proved, and then what was found."""
    pair = (typed, written)
    proof = Proof(pair=pair)
    progress = proof.progress()
    if not progress.is_finished and st.session_state.get(Key.PAIR_TO_PROVE) != pair:
        st.caption(known)
        st.button(
            f"Train both for {STEPS} steps",
            icon=":material/balance:",
            on_click=st.session_state.__setitem__,
            args=(Key.PAIR_TO_PROVE, pair),
            help="From the same weights, with the tutorial's recipe, in a process of its own; and the logits are "
            "compared on all test images. It takes some seconds.",
        )
        return
    live(
        partial(_pair_so_far, proof, known),
        shown=progress.has_ended,
        now=lambda: proof.progress().has_ended,
        seconds=_REFRESH_SECONDS,
        is_live=not progress.has_ended,
    )


def _pair_so_far(proof: Proof, known: str) -> None:
    """Show what is found of a pair; its proof is started if nobody has, and once no other is being made."""
    try:
        if not proof.progress().has_begun:
            proof.start()
    except LabError as error:
        st.error(as_text(str(error)))
        return
    progress = proof.progress()
    told = [as_text(sentence_of(each)) for each in progress.findings if not isinstance(each, Finished)]
    if progress.is_running and not progress.is_finished:
        told += [f"Training both for {STEPS} steps …"] if told else [known, "Being computed …"]
    st.caption("  \n".join(told or [known]))
    if progress.failure:
        st.error(as_text(str(progress.failure)))
        if st.button("Prove it again", icon=":material/replay:", key="pair_again"):
            _start_again(proof)


def proof_view() -> None:
    """Show the proof, which is made while one looks if nobody has made it."""
    st.html(_STYLE)
    st.write(
        "Read side by side, the two look the same. That they are is shown on this machine: it trains both, and "
        "compares the numbers to the last bit."
    )
    proof = Proof()
    has_ended = proof.progress().has_ended
    live(
        partial(_so_far, proof),
        shown=has_ended,
        now=lambda: proof.progress().has_ended,
        seconds=_REFRESH_SECONDS,
        is_live=not has_ended,
    )
    st.write(
        "**Why do the tutorial's two tables differ, then?** After ten epochs they say "
        f"{_SEQUENTIAL.tutorial_losses[-1]} for nn.Sequential and {_MODULE.tutorial_losses[-1]} for nn.Module. It is "
        "the seed, not the definition: each was trained once, from random first weights of its own, on images in a "
        "random order of its own."
    )


def _so_far(proof: Proof) -> None:
    """Show what is found, in places that stay where they are; the proof is started if nobody has."""
    try:
        progress = proof.progress()
        if not progress.has_begun:
            proof.start()
            progress = proof.progress()
    except LabError as error:
        st.error(as_text(str(error)))
        return
    findings = progress.findings
    carried = [each for each in findings if isinstance(each, CarriedOver)]
    trained = [each for each in findings if isinstance(each, TrainedBoth)]
    first, second, third = st.columns(3, border=True)
    with first:
        _finding(
            1,
            "Same weights, same answers",
            "The weights of one are carried into the other, matched by the order in which the layers compute. Logits "
            "are the ten numbers that a network answers with.",
            carried,
        )
    with second:
        _finding(
            2,
            "Same seed, same losses",
            f"Both draw their first weights from seed {SEED}, and are trained on the same images in the same order.",
            trained[:1],
        )
    with third:
        _finding(
            3,
            "Another order, other losses",
            "PyTorch draws random numbers as the layers are declared. Here nn.Module declares the same ones backwards.",
            trained[1:3],
        )
    titles = [_SEQUENTIAL.title, _MODULE.title, DECLARED_BACKWARDS.title]
    st.altair_chart(equivalence_chart(trained, titles, STEPS), key="equivalence_chart")
    _footer(proof, progress)
    with st.expander("Which weight is which"):
        for each in carried:
            st.write("Found from how the two compute, by the place of each layer and the shapes of its weights:")
            st.table(pd.DataFrame(each.names.items(), columns=[each.first, each.second]), hide_index=True)


def _finding(number: int, title: str, how: str, findings: Sequence[Finding]) -> None:
    with st.container(key=f"finding_{number}"):
        st.markdown(f"**{title}**")
        st.caption(how)
        st.write("\n\n".join(as_text(sentence_of(each)) for each in findings) or ":gray[Being computed …]")


def _footer(proof: Proof, progress: Progress) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        again = st.button("Prove it again", icon=":material/replay:", disabled=not progress.has_ended)
        for last in progress.findings[-1:]:
            if isinstance(last, Finished):
                st.caption(as_text(sentence_of(last)))
    if progress.failure:
        st.error(as_text(str(progress.failure)))
    if again:
        _start_again(proof)


def _start_again(proof: Proof) -> None:
    try:
        proof.start()
    except LabError as error:
        st.error(as_text(str(error)))
        return
    st.rerun()
