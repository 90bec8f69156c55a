"""A run that this version of the lab cannot read: what is known of it, and what can be done with it."""

import streamlit as st

from cnnlab.runs.folder import BlockedRun, UnreadableRun
from cnnlab.runs.shelf import delete_unreadable_run
from cnnlab.runs.transfer.archive import files_as_they_are
from cnnlab.ui.frame.actions import attempt
from cnnlab.ui.frame.download import download_button
from cnnlab.ui.frame.session import Key
from cnnlab.ui.frame.wording import as_text


def unreadable_run_view(error: UnreadableRun) -> None:
    """Say why a run cannot be read, and let the person take its files along or delete it."""
    (st.info if error.is_sound else st.error)(as_text(str(error)))
    if isinstance(error, BlockedRun):
        return
    with st.container(horizontal=True):
        download_button(
            "Export its files (zip)",
            lambda: files_as_they_are(error.run_id),
            file_name=f"{error.run_id}.zip",
            mime="application/zip",
            icon=":material/download:",
            help="All files of the run as they are, also those that cannot be read here.",
        )
        if st.button("Delete", icon=":material/delete:"):
            _confirm_delete(error.run_id)


def _delete(run_id: str) -> None:
    attempt(delete_unreadable_run, run_id)
    if Key.RUN_ERROR not in st.session_state:
        st.query_params.pop("run", None)


@st.dialog("Delete this run?")
def _confirm_delete(run_id: str) -> None:
    st.write(f"All files of {as_text(run_id)} will be gone for good.")
    with st.container(horizontal=True):
        is_deleted = st.button("Delete for good", type="primary", on_click=_delete, args=(run_id,))
        is_kept = st.button("Keep it")
    if is_deleted or is_kept:
        st.rerun()
