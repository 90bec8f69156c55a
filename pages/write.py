"""Write a network in one of its two forms, and see the other written, each line's shape and cost, and each mistake."""

from cnnlab.workers.child import start_first_worker

start_first_worker()  # before what takes a while to import

from functools import partial

import streamlit as st

from cnnlab.models.reading.network import CannotRead
from cnnlab.networks.shelf import damaged_networks, kept_networks
from cnnlab.ui.frame.actions import show_error
from cnnlab.ui.frame.page import begin_page
from cnnlab.ui.frame.session import Key
from cnnlab.ui.frame.tabs import show_tabs
from cnnlab.ui.frame.wording import as_text
from cnnlab.ui.learners.whose import listed
from cnnlab.ui.lessons.panel import lesson_panel
from cnnlab.ui.write.editor import editor, mark_lines
from cnnlab.ui.write.examples import EXAMPLES
from cnnlab.ui.write.findings import (
    graph_view,
    lines_view,
    mistakes_view,
    other_form,
    totals_view,
    understood_of,
)
from cnnlab.ui.write.own import delete_popover, keep_and_train, sizes_popover
from cnnlab.ui.write.proof import proof_in_a_line, proof_view
from cnnlab.ui.write.tutorial import tutorials_two, what_a_list_cannot_say
from cnnlab.wording import plural


def start_from() -> None:
    """Put a network into the editor: one to start from, or one of one's own."""
    if chosen := st.session_state[Key.STARTED_FROM]:
        st.session_state[Key.SOURCE] = sources()[chosen]
        if chosen not in EXAMPLES:
            st.session_state[Key.NETWORK_NAME] = own[chosen].name


def sources() -> dict[str, str]:
    return {**{title: kept.source for title, kept in own.items()}, **EXAMPLES}


begin_page("Write")
own = {kept.title: kept for kept in listed(kept_networks())}
st.session_state.setdefault(Key.SOURCE, next(iter(EXAMPLES.values())))
lesson_panel("write")  # with the source before it is changed
proof_in_a_line()
with st.container(horizontal=True, vertical_alignment="bottom"):
    st.selectbox(
        "Start from",
        list(sources()),
        index=None,
        key=Key.STARTED_FROM,
        on_change=start_from,
        placeholder="An example, or one of your own",
        width=280,
    )
    training = st.container(horizontal=True, vertical_alignment="bottom", width="content")
    told = st.container(width="content")
show_error()
if damaged := damaged_networks():
    st.warning(as_text(f"{plural(len(damaged), 'network')} of your own cannot be read: {damaged[0]}."))
typed_column, written_column = st.columns(2, gap="medium")
with typed_column:
    source = editor()
    with st.container(horizontal=True):
        sizes = st.container(width="content")
        if chosen := own.get(st.session_state[Key.STARTED_FROM]):
            delete_popover(chosen)
try:
    understood = understood_of(source)
except CannotRead as error:
    mark_lines([error.line])
    with written_column:
        st.error(as_text(str(error)))
    understood = None
if understood:
    mark_lines({mistake.line for mistake in understood.mistakes})
    with told:
        totals_view(source, understood)
    with written_column:
        other_form(source, understood)
        mistakes_view(understood.mistakes, source)
    with training:
        name = keep_and_train(source, understood)
    with sizes:
        sizes_popover(name, source, understood)

show_tabs(
    {
        "Line by line": partial(lines_view, understood) if understood else lambda: None,
        "Graph": partial(graph_view, source, understood) if understood else lambda: None,
        "The tutorial's two": tutorials_two,
        "What a list cannot say": what_a_list_cannot_say,
        "The proof": proof_view,
    },
    key=Key.WRITE_PART,
)
