"""Keeping drawings as my digits, and how well the networks read them."""

from collections.abc import Sequence
from contextlib import suppress
from time import monotonic, sleep

import pandas as pd
import streamlit as st
import torch

from cnnlab.comparison.labels import labels_of
from cnnlab.drawing.my_digits import MyDigits, add, delete_all, keep, my_digits_path, parse, take_back
from cnnlab.drawing.strokes import CANVAS_SIDE
from cnnlab.errors import LabError
from cnnlab.inference.answers import right_of
from cnnlab.runs.run import Run
from cnnlab.ui.draw.canvas import clear_canvas, drawing_now
from cnnlab.ui.draw.fine_tuning import ENOUGH_TO_TELL, held_out
from cnnlab.ui.frame.actions import attempt, show_error, succeeds
from cnnlab.ui.frame.download import download_button
from cnnlab.ui.frame.pictures import digit_gallery
from cnnlab.ui.frame.session import Key
from cnnlab.ui.frame.torch_thread import ask
from cnnlab.ui.frame.wording import as_text
from cnnlab.ui.learners.who import learner
from cnnlab.wording import percent, plural

_DIGITS = range(10)
_TIMES = 3
_ROUND = [digit for _ in range(_TIMES) for digit in _DIGITS]
_SHOWN = 60
# The canvas sends a stroke 0.2 s after its end: a digit is kept when one that ended just before has arrived.
_WAIT_SECONDS = 0.35


def accuracies_on(digits: MyDigits, runs: Sequence[Run]) -> list[float | None]:
    """Return the share of the digits that each run answers right, from 0 to 1; None where it cannot answer."""
    shares: list[float | None] = []
    for run in runs:
        try:
            shares.append(ask(right_of, run, digits) / len(digits) if digits else None)
        except LabError:
            shares.append(None)
    return shares


def unseen_by(runs: Sequence[Run], digits: MyDigits) -> MyDigits:
    """Return those of my digits that none of some runs was trained on: fair to all of them."""
    for run in runs:
        with suppress(LabError):  # its own page says what is wrong with it
            digits = held_out(run, digits)
    return digits


def asked_digit() -> None:
    """Show which digit the round asks for, if there is one."""
    above = st.empty()  # always there, so that the canvas below it stays the same element of the page
    if (place := st.session_state.get(Key.ROUND)) is not None:
        text = f"**Draw a {_ROUND[place]}** · {place + 1} of {len(_ROUND)}"
        above.progress(place / len(_ROUND), text=text, width=CANVAS_SIDE)


def is_round() -> bool:
    """Return whether a round asks for the digits in turn."""
    return Key.ROUND in st.session_state


def keep_choices(can_keep: bool, is_on_picture: bool = False) -> None:
    """Let the person say what was meant; in a round, which knows, only that it is drawn."""
    if Key.TO_KEEP in st.session_state:
        _keep_when_all_has_arrived()
    if st.session_state.pop(Key.MY_DIGITS_CHANGED, False):
        st.rerun()  # the table of accuracies stands in another part of the page
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        if (place := st.session_state.get(Key.ROUND)) is not None:
            st.button(
                "Keep it, next",
                type="primary",
                on_click=_keep,
                args=(_ROUND[place],),
                disabled=not can_keep,
                shortcut="Enter",
            )
            st.button("Stop", on_click=_stop_round, help="Ends the round. What was kept stays.")
        else:
            st.pills(
                "It was a …",
                _DIGITS,
                key=Key.MEANT,
                on_change=_keep_as_meant,
                disabled=not can_keep,
                wrap=True,
                help="Keeps the drawing, with what you meant, among *my digits*.",
            )
            if is_on_picture:
                st.caption("Only strokes on empty paper are kept: *Clear* takes the picture away.")
        if kept := st.session_state.get(Key.KEPT):
            st.button(f"Take back the {kept[-1].digit}", icon=":material/undo:", on_click=_take_back)
    show_error(Key.MY_DIGITS_ERROR)


def my_digits_view(runs: Sequence[Run], digits: MyDigits) -> None:
    """Show how well runs read the digits that were kept, and what can be done with them."""
    st.header("My digits", anchor=False)
    if digits:
        st.write(
            f"{plural(len(digits), 'digit')} that you drew and said the meaning of: a test set in your own hand, "
            "beside that of MNIST."
        )
        unseen = unseen_by(runs, digits)
        st.table(_accuracy_table(unseen, runs), hide_index=True)
        if len(unseen) < len(digits):
            st.caption(f"Asked are the {len(unseen):,} of them that none of these runs was trained on.")
    else:
        st.write(
            "Say what a drawing was, and it is kept here: a test set in your own hand. A round asks for each digit "
            f"{_TIMES} times, and takes a minute or two."
        )
    if digits.damaged:
        st.warning(f"{plural(digits.damaged, 'line')} of {my_digits_path(learner())} cannot be read, and is left out.")
    if digits.newer:
        st.info(f"{plural(digits.newer, 'digit')} of a newer version of the lab cannot be read here, and is kept.")
    with st.container(horizontal=True):
        st.button(
            "Draw each digit three times",
            icon=":material/draw:",
            on_click=_start_round,
            disabled=is_round(),
        )
        download_button(
            "Download",
            my_digits_path(learner()).read_bytes,
            file_name="my-digits.jsonl",
            mime="application/jsonl",
            icon=":material/download:",
            disabled=not digits,
        )
        with st.popover("Upload", icon=":material/upload:"):
            st.file_uploader("A file of digits as downloaded here", ["jsonl"], key=_upload_key(), max_upload_size=20)
            st.button("Add them", on_click=_add_uploaded, disabled=st.session_state.get(_upload_key()) is None)
        if st.button("Delete", icon=":material/delete:", disabled=not (digits or digits.damaged or digits.newer)):
            _confirm_delete(len(digits))
    if told := st.session_state.pop(Key.MY_DIGITS_TOLD, None):
        st.success(told)
    show_error(Key.MY_DIGITS_FILE_ERROR)
    if digits:
        with st.expander("See them"):
            newest = slice(None, -_SHOWN - 1, -1)
            images = torch.from_numpy(digits.images[newest].copy()).unsqueeze(1)
            digit_gallery(images, [[str(each.digit)] for each in digits.digits[newest]])
            if len(digits) > _SHOWN:
                st.caption(f"The newest {_SHOWN}.")


def _accuracy_table(digits: MyDigits, runs: Sequence[Run]) -> pd.DataFrame:
    rows = []
    for run, label, share in zip(runs, labels_of(runs), accuracies_on(digits, runs), strict=True):
        epoch = run.last_epoch()
        rows.append(
            {
                "Run": as_text(label),
                "MNIST's test images": percent(epoch.test_accuracy) if epoch else "–",
                "My digits": _share_in_words(share, len(digits)),
            }
        )
    return pd.DataFrame(rows)


def _share_in_words(share: float | None, count: int) -> str:
    if share is None:
        return "–"
    told = f"{round(share * count):,} of {count:,}"
    return told if count < ENOUGH_TO_TELL else f"{percent(share)} ({told})"  # 0 of 1 is no share that says anything


def _keep_as_meant() -> None:
    digit = st.session_state[Key.MEANT]
    st.session_state[Key.MEANT] = None
    if digit is not None:
        _keep(digit)


def _keep(digit: int) -> None:
    st.session_state[Key.TO_KEEP] = (digit, monotonic() + _WAIT_SECONDS)


def _keep_when_all_has_arrived() -> None:
    digit, when = st.session_state[Key.TO_KEEP]
    if monotonic() < when:
        sleep(when - monotonic())
        st.empty()  # if a stroke has come meanwhile, the page starts again here
        st.rerun()
    del st.session_state[Key.TO_KEEP]
    drawing = drawing_now()
    if drawing.picture:
        return

    def keep_and_note() -> None:
        if kept := keep(digit, drawing.strokes, learner()):
            st.session_state.setdefault(Key.KEPT, []).append(kept)

    if not succeeds(keep_and_note, error_key=Key.MY_DIGITS_ERROR):
        return
    clear_canvas()
    st.session_state[Key.MY_DIGITS_CHANGED] = True
    if (place := st.session_state.get(Key.ROUND)) is not None:
        st.session_state[Key.ROUND] = place + 1
        if place + 1 == len(_ROUND):
            _stop_round()


def _take_back() -> None:
    if not (kept := st.session_state.get(Key.KEPT)):
        return
    if succeeds(take_back, kept[-1], learner(), error_key=Key.MY_DIGITS_ERROR):
        st.session_state[Key.MY_DIGITS_CHANGED] = True
        kept.pop()
        if place := st.session_state.get(Key.ROUND):
            st.session_state[Key.ROUND] = place - 1


def _start_round() -> None:
    clear_canvas()
    st.session_state[Key.ROUND] = 0
    st.session_state[Key.TURN_TO_CANVAS] = True
    st.session_state[Key.KEPT] = []


def _stop_round() -> None:
    st.session_state.pop(Key.ROUND, None)
    st.session_state[Key.MY_DIGITS_CHANGED] = True  # the button that starts a round stands in another part of the page


def _upload_key() -> str:
    """Return the uploader's key: with another one, it is empty again."""
    return f"my_digits_upload_{st.session_state.get(Key.MY_DIGITS_UPLOADS, 0)}"


def _add_uploaded() -> None:
    def read_and_add() -> None:
        new = add(parse(st.session_state[_upload_key()].getvalue()), learner())
        st.session_state[Key.MY_DIGITS_TOLD] = f"{plural(new, 'new digit')} added."
        st.session_state[Key.MY_DIGITS_UPLOADS] = st.session_state.get(Key.MY_DIGITS_UPLOADS, 0) + 1
        st.session_state[Key.KEPT] = []

    attempt(read_and_add, error_key=Key.MY_DIGITS_FILE_ERROR)


@st.dialog("Delete my digits?")
def _confirm_delete(count: int) -> None:
    st.write(f"{plural(count, 'digit')} will be gone for good. Download them first if you may want them again.")
    with st.container(horizontal=True):
        is_deleted = st.button("Delete for good", type="primary", on_click=_delete)
        is_kept = st.button("Keep them")
    if is_deleted or is_kept:
        st.rerun()


def _delete() -> None:
    if succeeds(delete_all, learner(), error_key=Key.MY_DIGITS_FILE_ERROR):
        st.session_state[Key.KEPT] = []
