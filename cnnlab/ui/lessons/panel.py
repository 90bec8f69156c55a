"""The lesson that is on, in a narrow panel beside the page on which it is done."""

from collections.abc import Callable
from itertools import pairwise

import streamlit as st

from cnnlab.errors import LabError
from cnnlab.lessons.checks import CHECKS, Check, Situation
from cnnlab.lessons.figures import FIGURES, NOT_YET, figure_in_words
from cnnlab.lessons.lesson import Kind, Lesson, Step
from cnnlab.lessons.notebook import LONGEST_SENTENCE, Notebook
from cnnlab.lessons.reading import PREDICTED, figures_in, filled
from cnnlab.lessons.shelf import all_lessons
from cnnlab.runs.folder import NoSuchRun
from cnnlab.ui.frame.actions import attempt, show_error
from cnnlab.ui.frame.session import Key
from cnnlab.ui.frame.torch_thread import ask
from cnnlab.ui.frame.wording import as_text
from cnnlab.ui.learners.who import notebook
from cnnlab.ui.lessons.situation import begin_lesson, leave_lesson, situation_in
from cnnlab.ui.sweep.plan_form import fill_form

_LOOK_SECONDS = 1.0  # while the lab waits for something to be done
DONE = "done"
_ICONS = {
    Kind.READ: ":material/menu_book:",
    Kind.PREDICT: ":material/psychology:",
    Kind.DO: ":material/touch_app:",
    Kind.EXPLAIN: ":material/edit:",
    Kind.ASK: ":material/help:",
}
_PAGES = {
    page: "app.py" if page == "home" else f"pages/{page}.py"
    for page in ("home", "write", "step", "train", "compare", "draw", "inspect", "sweep")
}


# Of a number that is predicted.
_MOST = 1e9


def lesson_panel(page: str) -> None:
    """Show the lesson that is on, if one is, beside a page."""
    lesson = lesson_that_is_on()
    if lesson is None:
        return
    st.session_state.setdefault(Key.LESSON_PAGES, set()).add(page)
    with st.sidebar:
        looks = _waits(lesson, notebook())
        st.fragment(_panel_or_error, run_every=_LOOK_SECONDS if looks else None)(lesson, page, looks)


def lesson_that_is_on() -> Lesson | None:
    """Return the lesson that is on, or None."""
    if not (name := st.session_state.get(Key.LESSON)):
        return None
    return next((lesson for lesson in all_lessons()[0] if lesson.name == name and name in notebook().begun), None)


def _place(lesson: Lesson, book: Notebook) -> int:
    """Return the step that is shown; that behind the last is the lesson's end."""
    return min(book.places.get(lesson.name, 0), len(lesson.steps))


def _waits(lesson: Lesson, book: Notebook) -> bool:
    """Return whether the step that is shown is one that the lab has not seen done yet."""
    place = _place(lesson, book)
    return place < len(lesson.steps) and lesson.steps[place].kind is Kind.DO and book.answer(lesson.name, place) is None


def _panel_or_error(lesson: Lesson, page: str, looks: bool) -> None:
    """Show the panel, or what is wrong with the home or a run."""
    show_error(Key.LESSON_ERROR)
    try:
        _panel(lesson, page, looks)
    except NoSuchRun:  # deleted from another tab just now
        st.rerun()
    except LabError as error:
        st.error(as_text(str(error)))


def _panel(lesson: Lesson, page: str, looks: bool) -> None:
    """Show the panel; `looks` says whether it is shown again each second."""
    if st.session_state.get(Key.LESSON) != lesson.name:  # it was closed here, or the next one was begun
        st.rerun()
    book = notebook()
    place, count = _place(lesson, book), len(lesson.steps)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{as_text(lesson.title)}**")
        st.button("Close", icon=":material/close:", type="tertiary", key="close_lesson", on_click=leave_lesson)
    st.progress(place / count, text=f"Step {place + 1} of {count}" if place < count else "Done")
    situation = situation_in(lesson, page)
    if place < count:
        _step_view(lesson, place, book, situation, page)
    else:
        _end_view(lesson, book, situation)
    _way_buttons(lesson, place, book)
    if _waits(lesson, book) is not looks:
        st.rerun()


def _figure(name: str, situation: Situation) -> str:
    """Return a figure as people read it; one that takes PyTorch is computed where all networks are asked."""
    if FIGURES[name].asks_networks:
        return ask(figure_in_words, name, situation)
    return figure_in_words(name, situation)


def _is_met(check: Check, situation: Situation) -> bool:
    return ask(check.is_met, situation) if CHECKS[check.name].asks_networks else check.is_met(situation)


def _attempt(action: Callable[..., object], *arguments: object) -> None:
    attempt(action, *arguments, error_key=Key.LESSON_ERROR)


def _next_lesson(lesson: Lesson) -> Lesson | None:
    return next((following for each, following in pairwise(all_lessons()[0]) if each.name == lesson.name), None)


def _way_buttons(lesson: Lesson, place: int, book: Notebook) -> None:
    with st.container(horizontal=True, key="lesson_way"):
        st.button(
            "Back",
            icon=":material/arrow_back:",
            key="lesson_back",
            disabled=place == 0,
            on_click=_attempt,
            args=(book.turn_to, lesson.name, place - 1),
        )
        if place < len(lesson.steps):
            is_answered = lesson.steps[place].kind is Kind.READ or book.answer(lesson.name, place) is not None
            st.button(
                "Next" if is_answered else "Skip",
                icon=":material/arrow_forward:",
                key=f"lesson_next_{is_answered}",
                type="primary" if is_answered else "secondary",
                on_click=_attempt,
                args=(book.turn_to, lesson.name, place + 1),
            )
        else:
            if following := _next_lesson(lesson):
                st.button(
                    "Next lesson",
                    icon=":material/arrow_forward:",
                    key="next_lesson",
                    type="primary",
                    help=as_text(following.title),
                    on_click=_attempt,
                    args=(begin_lesson, following),
                )
            st.page_link("pages/lessons.py", label="All lessons", icon=":material/school:")


def _step_view(lesson: Lesson, place: int, book: Notebook, situation: Situation, page: str) -> None:
    step = lesson.steps[place]
    title = f": {as_text(step.title)}" if step.title else ""
    st.markdown(f"{_ICONS[step.kind]} **{step.kind}{title}**")
    st.markdown(_filled(step.text, lesson, place, book, situation))
    if step.page and step.page != page:
        st.page_link(_PAGES[step.page], label=f"Go to {step.page.capitalize()}", icon=":material/arrow_outward:")
    if step.fill and st.button("Fill it in", key="lesson_fill", on_click=fill_form, args=(step.fill,)):
        if step.page == page:
            st.rerun()
        st.switch_page(_PAGES[step.page])
    answer = book.answer(lesson.name, place)
    match step.kind:
        case Kind.PREDICT:
            _prediction(lesson, place, step, answer)
        case Kind.DO:
            answer = _deed(lesson, place, step, answer, situation)
        case Kind.EXPLAIN:
            _explanation(lesson, place, answer)
        case Kind.ASK:
            _question(lesson, place, step, answer)
    told = [_told_of(step, answer)] if answer is not None and _can_be_told(lesson, place, book, situation) else []
    if answer is not None and place and _is_put_off(lesson, place - 1):
        told.insert(0, _told_of(lesson.steps[place - 1], book.answer(lesson.name, place - 1)))
    if any(told):
        with st.container(border=True):
            st.markdown(_filled("\n\n".join(told), lesson, place + 1, book, situation))


def _told_of(step: Step, answer: str | None) -> str:
    """Return what is told after a step; of a prediction with a right answer, beside what was predicted."""
    right = next((choice.text for choice in step.choices if choice.is_right), None)
    if step.kind is not Kind.PREDICT or answer is None or right is None or PREDICTED in figures_in(step.after):
        return step.after
    said = answer if answer in [choice.text for choice in step.choices] else as_text(answer)
    came = "So it is." if answer == right else f"It is: **{right.rstrip('.')}**."
    return f"You said: **{said.rstrip('.')}**. {came}\n\n{step.after}"


def _can_be_told(lesson: Lesson, place: int, book: Notebook, situation: Situation) -> bool:
    """Return whether what comes after a step can be: a prediction is not resolved before one has seen what comes."""
    step = lesson.steps[place]
    if step.kind is Kind.PREDICT and step.measured:
        return _figure(step.measured, situation) != NOT_YET
    return not _is_put_off(lesson, place) or book.answer(lesson.name, place + 1) is not None


def _is_put_off(lesson: Lesson, place: int) -> bool:
    """Return whether a step is a prediction that is tried in the next one: until then, nothing is said of it."""
    step, following = lesson.steps[place], lesson.steps[place + 1 : place + 2]
    return step.kind is Kind.PREDICT and not step.measured and any(each.kind is Kind.DO for each in following)


def _prediction(lesson: Lesson, place: int, step: Step, answer: str | None) -> None:
    if answer is not None:
        is_choice = answer in [choice.text for choice in step.choices]
        st.markdown(f"You predict: **{answer if is_choice else as_text(answer)}**")
        return
    key = f"lesson_{lesson.name}_{place}"
    if step.choices:
        st.radio("Your prediction", [each.text for each in step.choices], index=None, key=key)
    else:
        st.number_input("Your prediction", -_MOST, _MOST, value=None, format="%g", key=key)
    # Not disabled until something is said: what is being typed arrives with the click.
    st.button("Predict", key=f"{key}_said", on_click=_attempt, args=(_take_said, lesson, place, key))


def _deed(lesson: Lesson, place: int, step: Step, answer: str | None, situation: Situation) -> str | None:
    if answer is None and step.check and _is_met(step.check, situation):
        notebook().take(lesson.name, place, DONE)
        answer = DONE
    if answer is None:
        st.caption(":material/hourglass_empty: The lab sees when it is done.")
    else:
        st.markdown(":green[:material/check_circle: Done]")
    return answer


def _explanation(lesson: Lesson, place: int, answer: str | None) -> None:
    key = f"lesson_{lesson.name}_{place}"
    st.text_area("In your own words", answer or "", max_chars=LONGEST_SENTENCE, key=key, height=110)
    st.button("Keep it", key=f"{key}_said", on_click=_attempt, args=(_take_said, lesson, place, key))


def _take_said(lesson: Lesson, place: int, key: str) -> None:
    """Keep what a field holds, if it holds anything."""
    said = st.session_state[key]
    answer = f"{said:g}" if isinstance(said, float | int) else said
    if answer and answer.strip():
        notebook().take(lesson.name, place, answer)


def _question(lesson: Lesson, place: int, step: Step, answer: str | None) -> None:
    texts = [each.text for each in step.choices]
    key = f"lesson_{lesson.name}_{place}"
    said = st.radio("Your answer", texts, index=texts.index(answer) if answer in texts else None, key=key)
    if said is not None and said != answer:
        notebook().take(lesson.name, place, said)
        st.rerun(scope="fragment")
    if said is not None:
        is_right = next(each.is_right for each in step.choices if each.text == said)
        st.markdown(":green[:material/check: Right.]" if is_right else ":orange[:material/close: Not quite.]")


def _filled(text: str, lesson: Lesson, place: int, book: Notebook, situation: Situation) -> str:
    """Return a text with the learner's own figures in it."""
    figures = {name: f"**{_figure(name, situation)}**" for name in figures_in(text) & FIGURES.keys()}
    said = [book.answer(lesson.name, number) for number in range(place) if lesson.steps[number].kind is Kind.PREDICT]
    last = next((each for each in reversed(said) if each is not None), None)
    return filled(text, {**figures, PREDICTED: f"**{as_text(last)}**" if last else "nothing"})


def _end_view(lesson: Lesson, book: Notebook, situation: Situation) -> None:
    st.markdown("**What you predicted, and what came**")
    rows = [(step, book.answer(lesson.name, number)) for number, step in enumerate(lesson.steps)]
    told = [
        f"- {line}"
        for number, (step, answer) in enumerate(rows)
        if (line := _resolved(step, answer, _about(lesson, number, situation)))
    ]
    st.markdown("\n".join(told) or "This lesson asked for no prediction.")
    right = [
        any(choice.is_right and choice.text == answer for choice in step.choices)
        for step, answer in rows
        if step.kind is Kind.ASK
    ]
    st.markdown(f"**{sum(right)} of {len(right)}** questions answered rightly.")
    st.button(
        "Begin it again", icon=":material/replay:", key="lesson_again", on_click=_attempt, args=(_begin_again, lesson)
    )


def _about(lesson: Lesson, place: int, situation: Situation) -> Situation:
    """Return a situation with the runs alone that a prediction is about: those of the training behind it, or before."""
    near = [*lesson.steps[place + 1 : place + 2], *reversed(lesson.steps[:place])]
    check = next((step.check for step in near if step.check and step.check.name == "trained"), None)
    return situation.for_training(check) if check else situation


def _resolved(step: Step, answer: str | None, situation: Situation) -> str | None:
    """Return what was predicted in a step beside what came, in a line; None for another kind of step."""
    if step.kind is not Kind.PREDICT:
        return None
    predicted = as_text(answer.rstrip(".")) if answer is not None else "nothing"
    if step.measured:
        came = _figure(step.measured, situation)
        return f"{FIGURES[step.measured].label.capitalize()}: you said {predicted}; it was **{came}**."
    right = next((choice.text.rstrip(".") for choice in step.choices if choice.is_right), None)
    return f"{as_text(step.title)}: you said {predicted}" + (f"; it is **{right}**." if right else ".")


def _begin_again(lesson: Lesson) -> None:
    begin_lesson(lesson, again=True)
