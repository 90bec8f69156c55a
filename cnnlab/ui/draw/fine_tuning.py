"""Fine-tuning a network on my digits, and what that came to."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from cnnlab.comparison.labels import labels_of
from cnnlab.comparison.statistics import compare_answers, share_in_words
from cnnlab.drawing.my_digits import MyDigit, MyDigits
from cnnlab.errors import LabError
from cnnlab.fine_tuning.recipe import LEAST_DIGITS, parted
from cnnlab.inference.answers import answers_of
from cnnlab.inference.networks import Moment
from cnnlab.inference.test_set import TestSet, predictions_of
from cnnlab.runs.log import Status
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import create_fine_tuned_run
from cnnlab.ui.answers.gallery import true_digits
from cnnlab.ui.frame.actions import attempt, show_error
from cnnlab.ui.frame.live import live
from cnnlab.ui.frame.session import Key
from cnnlab.ui.frame.torch_thread import ask
from cnnlab.ui.frame.wording import as_text
from cnnlab.ui.learners.who import learner
from cnnlab.ui.train.progress import progress_line
from cnnlab.wording import percent, plural
from cnnlab.workers.scheduler import scheduler

_REFRESH_SECONDS = 0.5
ENOUGH_TO_TELL = 30


def held_out(run: Run, digits: MyDigits) -> MyDigits:
    """Return those of my digits that a run was not trained on."""
    start = run.load_start()
    return digits.without(start.own_digits) if start else digits


def fine_tuning_view(
    runs: Sequence[Run], digits: MyDigits, address: Mapping[str, str], then: Callable[[Run], None]
) -> None:
    """Let one of the runs that answer learn my digits; of those that did, show what that came to.

    Parameters
    ----------
    address
        The query parameters of what the page shows.
    then
        Called with a new run.
    """
    st.subheader("Fine-tune on my digits", anchor=False)
    _start_button([run for run in runs if run.fine_tuning is None], digits, then)
    show_error(Key.FINE_TUNING_ERROR)
    for run in runs:
        if run.fine_tuning:
            status = run.status
            live(
                partial(_progress, run) if status.is_active else partial(_result, run, digits),
                shown=status,
                now=partial(getattr, run, "status"),
                seconds=_REFRESH_SECONDS,
                is_live=status.is_active,
                address=address,
            )


def _start_button(runs: Sequence[Run], digits: MyDigits, then: Callable[[Run], None]) -> None:
    to_train_on, kept_back = parted(digits.digits)
    st.write(
        "A network goes on training for a few seconds and becomes a new run: once over MNIST's images and digits that "
        "other people drew, so that it forgets neither, with yours among them again and again. Every other of your "
        "ones, twos and so on is held out: on these one sees whether it helped."
    )
    can_start = bool(runs and kept_back) and len(to_train_on) >= LEAST_DIGITS
    with st.container(horizontal=True, vertical_alignment="bottom"):
        labels = dict(zip((run.id for run in runs), labels_of(runs), strict=True))
        run_id = st.selectbox("Network", list(labels), format_func=labels.__getitem__, key="fine_tuned", width=300)
        st.button(
            "Fine-tune",
            icon=":material/model_training:",
            disabled=not can_start,
            on_click=attempt,
            args=(_fine_tune, next((run for run in runs if run.id == run_id), None), to_train_on, then),
            kwargs={"error_key": Key.FINE_TUNING_ERROR},
        )
    if len(to_train_on) < LEAST_DIGITS:
        st.caption(f"It takes {LEAST_DIGITS} digits to train on; here are {len(to_train_on)}.")
    else:
        st.caption(f"{plural(len(to_train_on), 'digit')} to train on, {len(kept_back):,} held out.")
    if not runs:
        st.caption("Choose a network above that is not fine-tuned already.")


def _fine_tune(run: Run, to_train_on: Sequence[MyDigit], then: Callable[[Run], None]) -> None:
    made = create_fine_tuned_run(run, to_train_on, made_by=learner())
    scheduler().start(made)
    then(made)


def _progress(run: Run) -> None:
    status, history = run.status, run.history()
    st.progress(min(1.0, history.step / run.total_steps), text=progress_line(run, status, history))
    st.button("Stop", icon=":material/stop:", key=f"stop_{run.id}", on_click=attempt, args=(scheduler().stop, run))


def _result(run: Run, digits: MyDigits) -> None:
    """Show how well a run read before it was fine-tuned, and how well it does now."""
    st.markdown(f"**{as_text(run.name)}**")
    if run.status is not Status.FINISHED:
        st.caption("It did not train to its end: *Train* says why.")
        return
    unseen = held_out(run, digits)
    answers = [_answers(run, unseen, moment) for moment in ("start", "newest")]
    st.table(_table(run, unseen, answers), hide_index=True)
    before, after = answers
    if len(unseen) < ENOUGH_TO_TELL:
        st.warning(
            f"{plural(len(unseen), 'held-out digit')} are too few to tell whether it helped: of fewer than "
            f"{ENOUGH_TO_TELL}, a single one is over three points. Draw more: they are held out, too."
        )
    elif before is not None and after is not None:
        verdict = compare_answers(unseen.labels, after, before)
        st.markdown(f"On your held-out digits, {verdict.sentence('the fine-tuned network', 'the one before')}")
    st.page_link(
        "pages/train.py", label="How it trained", icon=":material/trending_down:", query_params={"run": run.id}
    )


def _answers(run: Run, digits: MyDigits, moment: Moment) -> np.ndarray | None:
    """Return what a run answers to digits, shape (N,); None where it cannot."""
    try:
        return np.array([each.digit for each in ask(answers_of, run, digits.images, moment)], np.int64)
    except LabError:
        return None


def _table(run: Run, digits: MyDigits, answers: Sequence[np.ndarray | None]) -> pd.DataFrame:
    moments: tuple[tuple[str, Moment], ...] = (("Before", "start"), ("After", "newest"))
    return pd.DataFrame(
        {
            "": when,
            "My held-out digits": _share(found, digits),
            "MNIST's test images": _accuracy(run, "mnist", moment),
            "Drawn by people": _accuracy(run, "pen", moment),
        }
        for (when, moment), found in zip(moments, answers, strict=True)
    )


def _accuracy(run: Run, test_set: TestSet, moment: Moment) -> str:
    try:
        answers = ask(predictions_of, run, test_set, moment).answers
    except LabError:
        return "–"
    return percent(float((answers == true_digits(test_set)).mean()))


def _share(answers: np.ndarray | None, digits: MyDigits) -> str:
    if answers is None or not len(digits):
        return "–"
    right = int((answers == digits.labels).sum())
    return f"{right:,} of {len(digits):,}: {share_in_words(right, len(digits))}"
