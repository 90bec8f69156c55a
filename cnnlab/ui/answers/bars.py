"""The networks' predictions for a drawing as bars, and the steps of its preparation.

Plain HTML: it arrives with the stroke that it answers, and a chart library would be most of the wait.
"""

import html
from collections.abc import Sequence, Set
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np
import streamlit as st

from cnnlab.comparison.labels import labels_of
from cnnlab.drawing.preparation import Preparation, moved, shrink
from cnnlab.errors import LabError
from cnnlab.inference.answers import Answer, answers_of
from cnnlab.inference.networks import Moment
from cnnlab.runs.run import Run
from cnnlab.ui.answers.doubts import UNLIKE, finding_it_unlike, several_in_words
from cnnlab.ui.frame.page import theme_color
from cnnlab.ui.frame.pictures import picture_address
from cnnlab.ui.frame.torch_thread import ask
from cnnlab.ui.frame.wording import as_text

if TYPE_CHECKING:  # it imports SciPy, which is for photos alone
    from cnnlab.drawing.photos import PictureSteps

_EMPTY = "Nothing drawn yet"
_SMOOTH = ("Photo", "Light", "Kept", "Drawn", "Cropped")  # steps with more pixels than are shown

_STYLE = """
<style>
.answers { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 15.5rem), 1fr)); gap: .75rem; }
.answer { border: 1px solid rgba(128, 136, 152, .3); border-radius: .6rem; padding: .6rem .8rem .5rem; }
.answer header { font-size: .85rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; opacity: .8; }
.answer .named { display: flex; align-items: baseline; gap: .5rem; height: 2.6rem; line-height: 2.6rem; }
.answer .named b { font-size: 2.1rem; font-weight: 700; }
.answer .named.none { opacity: .75; }
.answer { position: relative; }
.answer .unlike { position: absolute; top: 2.75rem; right: .8rem; font-size: .8rem; padding: 0 .5rem;
  border: 1px solid currentColor; border-radius: .6rem; }
.answer .unlike:empty { display: none; }
.doubt { margin: .5rem 0 0; min-height: 1.4em; line-height: 1.4; font-size: .875rem; }
.answer .bars { display: grid; grid-template-columns: repeat(10, 1fr); gap: 3px; text-align: center; }
.answer .bars div { height: 3.6rem; display: flex; align-items: end; border-bottom: 1px solid rgba(128, 136, 152, .5); }
.answer .bars i { flex: 1; background: rgba(128, 136, 152, .55); border-radius: 2px 2px 0 0; }
.answer .bars .most i { background: var(--bar); }
.answer .bars span { font-size: .75rem; opacity: .75; font-variant-numeric: tabular-nums; }
.answer .bars span.most { font-weight: 700; opacity: 1; }
.answer .shrunk { font-size: .8rem; opacity: .75; padding-top: .25rem; line-height: 1.3; min-height: 1.35rem; }
.steps { display: flex; flex-wrap: wrap; gap: .75rem 1rem; padding-top: .25rem; }
.steps figure { margin: 0; width: 7.4rem; }
.steps .frame { width: 4.4rem; height: 4.4rem; background: #fff; border: 1px solid rgba(128, 136, 152, .4);
  border-radius: .35rem; display: flex; align-items: center; justify-content: center; overflow: hidden; }
.steps img { max-width: 100%; max-height: 100%; width: 100%; height: 100%; object-fit: contain;
  image-rendering: pixelated; }
.steps img.smooth { image-rendering: auto; }
.steps figcaption { font-size: .8rem; line-height: 1.3; padding-top: .3rem; }
.steps figcaption small { display: block; opacity: .7; font-size: .72rem;
  white-space: nowrap; }
@media (max-width: 640px) {
  .doubt { min-height: 2.8em; }
  .steps figure { width: 6rem; }
  .steps figcaption small { white-space: normal; }
}
.steps .apart { border-left: 1px solid rgba(128, 136, 152, .4); padding-left: 1rem; width: 8.4rem; }
</style>
"""


def answers_view(runs: Sequence[Run], prepared: Preparation | None, move: tuple[int, int] = (0, 0)) -> None:
    """Show the answer of each run as bars over the ten digits, in places that stay where they are.

    Below them is room for what is to be said against the answers: of the drawing, wherever it was moved.

    Parameters
    ----------
    move
        How far the drawing is moved before the networks see it, in pixels to the right and down.
    """
    answers: dict[str, list[Answer]] = {}
    refusals: dict[str, str] = {}
    # What a network is asked about: the drawing as prepared, and as plainly shrunk.
    images = np.stack([moved(prepared.centred, *move), shrink(prepared.drawn)]) if prepared else None
    for run in runs:
        try:
            if images is not None:
                answers[run.id] = ask(answers_of, run, images)
        except LabError as error:
            refusals[run.id] = str(error)
    labels = {run.id: label for run, label in zip(runs, labels_of(runs), strict=True)}
    place = st.empty()

    def show(unlike: Set[str] = frozenset(), doubt: str = "") -> None:
        cards = [
            _card(run, labels[run.id], answers.get(run.id), refusals.get(run.id, _EMPTY), is_unlike=run.id in unlike)
            for run in runs
        ]
        read = [
            f"{labels[run_id]}: {each[0].digit}, {_percent(each[0].confidence)}." for run_id, each in answers.items()
        ]
        # While the pen moves, the page takes the doubt back: another drawing is another text, which is put anew.
        drawn = crc32(prepared.drawn.tobytes()) if prepared else 0
        place.html(
            f'{_STYLE}<div class="answers" data-drawn="{drawn}" style="--bar: {theme_color("primaryColor")}">'
            f'{"".join(cards)}</div><p class="doubt">{html.escape(doubt)}</p>'
            # For those who do not see it.
            f'<p class="unseen" role="status">{html.escape(" ".join([*read, doubt]))}</p>'
        )

    if not prepared:
        show()
    elif several := several_in_words(prepared):
        show(doubt=several)
    else:
        # While a run trains, its network is another one each second.
        asked = [run for run in runs if run.id in answers and not run.status.is_active]
        try:
            for unlike in finding_it_unlike(asked, prepared):
                show(unlike, UNLIKE if unlike else "")
        except LabError as error:
            show(doubt=f"Whether it is a digit at all cannot be told. {error}")


def answer_view(run: Run, image: np.ndarray, moment: Moment = "now") -> None:
    """Show what a run answers to an image, shape (28, 28), that needs no preparation."""
    label = f"{run.name}, after step {moment:,}" if isinstance(moment, int) else run.name
    try:
        card = _card(run, label, ask(answers_of, run, image[None], moment))
    except LabError as error:
        st.error(as_text(str(error)))
        return
    st.html(f'{_STYLE}<div class="answers" style="--bar: {theme_color("primaryColor")}">{card}</div>')


def steps_view(
    prepared: Preparation | None, picture: "PictureSteps | None" = None, move: tuple[int, int] = (0, 0)
) -> None:
    """Show the steps from the drawing to the network's input as small pictures, after those from a photo to its ink.

    While the pen moves, the page reads off them how far the drawing is moved.
    """
    empty = np.zeros((1, 1), np.float32)
    shown = (
        *_photo_steps(picture),
        ("Drawn", "280\u00a0×\u00a0280 pixels", prepared.drawn if prepared else empty),
        ("Cropped", "the box around the ink", prepared.cropped if prepared else empty),
        ("Fitted", "into 20\u00a0×\u00a020", prepared.fitted if prepared else empty),
        ("Centred", "by its mass" if any(move) else "what the networks see", prepared.centred if prepared else empty),
        *([("Moved", move_in_words(*move), moved(prepared.centred, *move))] if prepared and any(move) else []),
        ("Plain shrink", "without these steps", shrink(prepared.drawn) if prepared else empty),
    )
    figures = [
        f'<figure{" class=apart" if title == "Plain shrink" else ""}><div class="frame">'
        f'<img src="{picture_address(1 - picture.clip(0, 1))}" alt="{title}"'
        f"{' class=smooth' if title in _SMOOTH else ''}></div>"
        f"<figcaption>{title}<small>{told}</small></figcaption></figure>"
        for title, told, picture in shown
    ]
    right, down = move
    st.html(f'<div class="steps" data-right="{right}" data-down="{down}">{"".join(figures)}</div>')


def move_in_words(right: int, down: int) -> str:
    """Return how far a drawing is moved: "4 px right, 1 px up"; nothing where it is in the centre."""
    across, along = "right" if right > 0 else "left", "down" if down > 0 else "up"
    parts = [f"{abs(way)}\u00a0px {name}" for way, name in ((right, across), (down, along)) if way]
    return ", ".join(parts)


def _photo_steps(picture: "PictureSteps | None") -> list[tuple[str, str, np.ndarray]]:
    if picture is None or picture.seen is None or picture.light is None or picture.kept is None:
        return []
    shown = (
        ("Photo", "in grey", 1 - picture.seen),
        ("Light", "without thin strokes", 1 - picture.light),
        ("Kept", "darker, and of the digit", picture.kept),
    )
    return [(title, told, step[::3, ::3]) for title, told, step in shown]  # sent again with each stroke


def _card(
    run: Run,
    label: str,
    answers: Sequence[Answer] | None,
    instead: str = _EMPTY,
    *,
    is_unlike: bool = False,
) -> str:
    if answers:
        answer, *shrunk = answers
        named = f'<div class="named"><b>{answer.digit}</b>{_percent(answer.confidence)}</div>'
        told = [f"After a plain shrink: {each.digit}, {_percent(each.confidence)}" for each in shrunk]
        below = "".join(told) or "&nbsp;"
        probabilities, most = answer.probabilities, answer.digit
        read_out = f"{answer.digit}, {_percent(answer.confidence)}{', unlike a digit' if is_unlike else ''}"
    else:
        named, below = f'<div class="named none">{html.escape(instead)}</div>', "&nbsp;"
        probabilities, most, read_out = np.zeros(10), None, instead
    bars = "".join(
        f'<div title="{digit}: {_percent(share)}"{" class=most" if digit == most else ""}>'
        f'<i style="height:{share:.1%}"></i></div>'
        for digit, share in enumerate(probabilities)
    )
    # The grid has two rows: bars, and the digits below them.
    digits = "".join(f"<span{' class=most' if digit == most else ''}>{digit}</span>" for digit in range(10))
    return (
        f'<section class="answer" data-run="{run.id}" data-digit="{"" if most is None else most}">'
        f'<header title="{html.escape(label)}">{html.escape(label)}</header>{named}'
        f'<div class="unlike">{"unlike a digit" if is_unlike else ""}</div>'
        f'<div class="bars" role="img" aria-label="{html.escape(read_out)}">{bars}{digits}</div>'
        f'<div class="shrunk">{below}</div></section>'
    )


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"
