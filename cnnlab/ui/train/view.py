"""One run: what can be done with it, and its progress, live while it trains."""

import html
import time
from functools import partial

import streamlit as st

from cnnlab.comparison.labels import rate_name, recipe_in_words
from cnnlab.comparison.outcomes import collapse_of
from cnnlab.runs.folder import UnreadableRun
from cnnlab.runs.log import Status
from cnnlab.runs.names import MAX_NAME_LENGTH, MAX_NOTE_LENGTH
from cnnlab.runs.queue import wish_learning_rate
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import delete_run
from cnnlab.training.recipe import SETTINGS
from cnnlab.ui.frame.actions import attempt
from cnnlab.ui.frame.live import live
from cnnlab.ui.frame.session import Key
from cnnlab.ui.frame.wording import as_text
from cnnlab.ui.train.downloads import downloads
from cnnlab.ui.train.list import note_line, status_badge
from cnnlab.ui.train.progress import progress_view, result_sentence
from cnnlab.ui.train.recipe_form import take_recipe
from cnnlab.workers.scheduler import scheduler

_REFRESH_SECONDS = 0.5
_LAST_WORDS_SECONDS = 30
_NOTE_HELP = "Stands below the run wherever it is listed. Notes and stars stay in this lab: archives leave them out."


def run_view(run: Run) -> None:
    """Show a run with its actions, live while it trains."""
    status, has_weights = run.status, run.weights_path.exists()
    with st.container(horizontal=True, vertical_alignment="center", key="run_header"):
        st.subheader(as_text(run.name), anchor=False, width="content")
        status_badge(status, "stopping" if status.is_active and run.stop_requested else None)
        _actions(run, status)
    st.caption(" · ".join([run.title, *recipe_in_words(run)]))
    note_line(run.note)
    st.html(f'<p class="unseen" role="status">{html.escape(run.name)}: {status.value}</p>')
    if damage := run.damage():
        st.error(as_text(str(damage)))
    try:
        reason = run.history().reason
    except UnreadableRun:
        return  # without its log, there is nothing to show
    _ending(run, status)
    live(
        partial(progress_view, run),
        shown=(status, has_weights, run.learning_rates, reason),
        now=lambda: (run.status, run.weights_path.exists(), run.learning_rates, run.history().reason),
        seconds=_REFRESH_SECONDS,
        is_live=status.is_active or (status is Status.INTERRUPTED and reason is None and _has_just_ended(run)),
        address={"run": run.id},
    )


def _has_just_ended(run: Run) -> bool:
    """Return whether a run was cut off so lately that the scheduler may still say why."""
    return time.time() - run.log_path.stat().st_mtime < _LAST_WORDS_SECONDS


def _actions(run: Run, status: Status) -> None:
    if run.can_resume and not run.is_reference:
        st.button(
            "Resume",
            icon=":material/play_arrow:",
            on_click=attempt,
            args=(scheduler().start, run),
            help="Goes on where it stopped, as if it had never stopped.",
        )
    if status is Status.RUNNING and not run.damage() and run.history().takes_wishes:
        with st.popover("Rate", icon=":material/speed:", help="Change the learning rate while it trains"):
            _learning_rate_field(run)
    with st.popover("Download", icon=":material/download:"):
        downloads(run)
    if run.is_reference:
        return
    is_starred = run.is_starred
    st.button(
        "Starred" if is_starred else "Star",
        icon=":material/star:",
        on_click=attempt,
        args=(run.star, not is_starred),
        help="Takes the star away." if is_starred else "Runs with a star come first among all runs, and in choices.",
    )
    with st.popover("Edit", icon=":material/edit:", help="Its name, and a note on it"):
        # Each field belongs to what it began with: what is changed elsewhere meanwhile is shown anew, not overwritten.
        name, note = run.name, run.note
        keys = f"name_{run.id}_{name}", f"note_{run.id}_{note}"
        st.text_input("Name", name, max_chars=MAX_NAME_LENGTH, key=keys[0])
        st.text_input("Note", note, max_chars=MAX_NOTE_LENGTH, key=keys[1], help=_NOTE_HELP)
        st.button("Save", key=f"save_{run.id}", on_click=attempt, args=(_save, run, keys, (name, note)))
    if st.button(
        "Delete",
        icon=":material/delete:",
        disabled=status is Status.RUNNING,
        help="Stop the run first." if status is Status.RUNNING else None,
    ):
        _confirm_delete(run, run.name)


def _learning_rate_field(run: Run) -> None:
    """Let somebody set the learning rate with which the run goes on."""
    now = next(reversed(run.learning_rates.values()), run.config.learning_rate)
    setting = SETTINGS["learning_rate"]
    rate = st.number_input(
        f"{rate_name(run).capitalize()} from the next step on",
        value=now,
        step=0.0005,
        format="%g",
        key=f"rate_{run.id}",
    )
    if setting.allows(rate):
        st.button("Set it", on_click=attempt, args=(wish_learning_rate, run, rate), disabled=rate == now)
    else:
        st.error(f"The learning rate is {rate!r}; allowed is {setting.allowed}.")
    st.caption("The log names the step from which it holds. Resuming, and the training script, repeat it to the bit.")


def _beside(run: Run) -> str:
    """Return the identifier of the shipped run of the other definition, to compare a run with."""
    return "reference-module" if run.model == "sequential" else "reference-sequential"


def _save(run: Run, keys: tuple[str, str], shown: tuple[str, str]) -> None:
    """Save what differs from what was shown."""
    for save, key, before in zip((run.rename, run.take_note), keys, shown, strict=True):
        if (typed := st.session_state[key]) != before:
            save(typed)


def _delete(run: Run) -> None:
    attempt(delete_run, run)
    if Key.RUN_ERROR not in st.session_state:
        st.query_params.pop("run", None)


@st.dialog("Delete this run?")
def _confirm_delete(run: Run, name: str) -> None:
    st.write(f"**{as_text(name)}**, its losses and its weights will be gone for good.")
    with st.container(horizontal=True):
        is_deleted = st.button("Delete for good", type="primary", on_click=_delete, args=(run,))
        is_kept = st.button("Keep it")
    if is_deleted or is_kept:
        st.rerun()


def _ending(run: Run, status: Status) -> None:
    """Say why a run ended before its last epoch, and what to do."""
    reason = run.history().reason
    match status:
        case Status.FINISHED if collapse := collapse_of(run):
            st.warning(as_text(collapse.sentence()))
        case Status.FINISHED if sentence := result_sentence(run):
            st.markdown(sentence)
            with st.container(horizontal=True):
                st.page_link("pages/draw.py", label="Draw on it", icon=":material/draw:", query_params={"runs": run.id})
                st.page_link(
                    "pages/compare.py",
                    label="Compare it",
                    icon=":material/compare_arrows:",
                    query_params={"runs": ",".join(dict.fromkeys([run.id, _beside(run)]))},
                )
                st.page_link(
                    "pages/inspect.py", label="Inspect it", icon=":material/search:", query_params={"run": run.id}
                )
                if run.fine_tuning is None:
                    st.button(
                        "Again with one change",
                        icon=":material/replay:",
                        type="tertiary",
                        on_click=attempt,
                        args=(take_recipe, run),
                        help="Fills the fields with this run's network and recipe.",
                    )
        case Status.FAILED:
            st.error(as_text(reason or "It failed."))
        case Status.INTERRUPTED:
            ended = reason or "The process that trained it ended unexpectedly."
            st.warning(f"{as_text(ended)} Resume goes on from the last checkpoint.")
            if lines := run.error_lines():
                st.code("\n".join(lines), language=None)
        case Status.STOPPED if not run.history().starts:
            st.info("Taken out of the queue before it began. Resume queues it again.")
