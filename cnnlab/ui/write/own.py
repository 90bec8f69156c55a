"""The networks of one's own: kept and trained, compared in several sizes, deleted."""

import streamlit as st

from cnnlab.errors import LabError
from cnnlab.models.reading.understanding import Understood
from cnnlab.models.variants import convolutions_of, with_filters
from cnnlab.networks.shelf import LONGEST_NAME, Kept, delete_network, keep_network
from cnnlab.runs.shelf import all_runs
from cnnlab.ui.frame.actions import succeeds
from cnnlab.ui.frame.session import Key
from cnnlab.ui.frame.wording import as_text
from cnnlab.ui.learners.who import learner
from cnnlab.ui.sweep.plan_form import try_networks
from cnnlab.ui.train.recipe_form import choose_network
from cnnlab.wording import plural

_SIZES = (4, 8, 16, 32, 64)
_FIRST_SIZES = (8, 16, 32)


def keep_and_train(source: str, understood: Understood) -> str:
    """Show a field for a name and a button that keeps the network and turns to Train with it; return the name."""
    name: str = st.text_input(
        "Name", "My network", key=Key.NETWORK_NAME, persist_state="session", max_chars=40, width=200
    )
    pressed = st.button(
        "Train it",
        type="primary",
        icon=":material/model_training:",
        disabled=not understood.can_train,
        help="Keeps it under this name, a new version for each change, and turns to Train.",
    )
    if pressed:
        try:
            choose_network(keep_network(name, source, learner()).name)
        except LabError as error:
            st.error(as_text(str(error)))
            return name
        st.switch_page("pages/train.py")
    return name


def sizes_popover(name: str, source: str, understood: Understood) -> None:
    """Show a button that unfolds a choice of sizes for a convolution, if the network has any and can be trained."""
    if understood.can_train and (convolutions := convolutions_of(understood.network)):
        with st.popover("Compare sizes", icon=":material/grid_on:"):
            layer = st.selectbox(
                "Convolution",
                list(convolutions),
                format_func=lambda each: (
                    f"{each}, line {convolutions[each].line}: "
                    f"{plural(convolutions[each].arguments['out_channels'], 'filter')}"
                ),
                key="sized_layer",
                filter_mode=None,
            )
            _compare_sizes(name, source, layer, convolutions[layer].path)


def _compare_sizes(name: str, source: str, layer: str, path: str) -> None:
    """Show the numbers of filters to compare, and a button that keeps a network with each and turns to Sweep."""
    sizes = st.pills("Filters", _SIZES, selection_mode="multi", default=_FIRST_SIZES, key="sizes")
    st.caption("Each becomes a network of your own, and the layers after it are made to fit.")
    if st.button("Compare them in a sweep", type="primary", disabled=not sizes):
        try:
            sources = {size: with_filters(source, path, size) for size in sorted(sizes)}
            kept = [keep_network(_name_of(name, layer, size), each, learner()) for size, each in sources.items()]
        except LabError as error:
            st.error(as_text(str(error)))
            return
        try_networks([each.name for each in kept])
        st.switch_page("pages/sweep.py")


def _name_of(name: str, layer: str, size: int) -> str:
    """Return what a network is called that has a number of filters in a layer: My network (conv1: 8 filters)."""
    told = f" ({layer[:16]}: {plural(size, 'filter')})"
    return f"{name.strip()[: LONGEST_NAME - len(told)]}{told}"


def delete_popover(kept: Kept) -> None:
    """Show a button that deletes a version of a network when it is pressed twice."""
    with st.popover(f"Delete {as_text(kept.title)}", icon=":material/delete:", key="delete_network"):
        count = sum(run.model == kept.title and run.source == kept.source for run in all_runs())
        runs = ""
        if count:
            runs = f" {plural(count, 'run')} trained it: a run has a source of its own, and goes on as it is."
        st.write(f"**{as_text(kept.title)}** will be gone from all lists.{runs} The editor keeps its text.")
        st.button("Delete it for good", type="primary", on_click=_delete, args=(kept,))


def _delete(kept: Kept) -> None:
    if succeeds(delete_network, kept):
        st.session_state[Key.STARTED_FROM] = None
