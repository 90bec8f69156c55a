"""The landing page: what the lab is, what trains now, and where to go."""

from contextlib import suppress

import streamlit as st

from cnnlab.runs.folder import NoSuchRun
from cnnlab.runs.shelf import all_runs, reference_runs
from cnnlab.ui.frame.live import live
from cnnlab.ui.frame.page import begin_page
from cnnlab.ui.train.list import run_links

NEWEST_SHOWN = 6
REFRESH_SECONDS = 1.0


def runs_now_and_newest() -> None:
    active, ended = [], []
    for run in all_runs():
        with suppress(NoSuchRun):  # deleted from another tab just now
            (active if run.status.is_active else ended).append(run)
    now, newest = st.columns(2, gap="large")
    with now:
        st.subheader("Training now", anchor=False)
        run_links(active)
        if not active:
            st.caption("Nothing trains at the moment.")
    with newest:
        st.subheader("Newest results", anchor=False)
        run_links(ended[:NEWEST_SHOWN] or reference_runs())


begin_page("Home")

st.title("CNN Lab", anchor=False)
st.write(
    "A convolutional network of 29,322 numbers learns to read handwritten digits on this machine. Here it is written "
    "in the two ways that PyTorch offers, as `nn.Sequential` and as an `nn.Module`, and trained by one short loop. "
    "Start a run, watch its losses arrive beside those of the tutorial it comes from, lay the curves of several over "
    "each other, and see where they err."
)
with st.container(horizontal=True):
    if st.button("Train a network", type="primary", icon=":material/play_arrow:"):
        st.switch_page("pages/train.py")
    if st.button("See how it is written", icon=":material/schema:"):
        st.switch_page("pages/models.py")
    if st.button("Compare runs", icon=":material/compare_arrows:"):
        st.switch_page("pages/compare.py")
live(runs_now_and_newest, shown=None, now=lambda: None, seconds=REFRESH_SECONDS)
