"""One weight of a step: the pictures in which it is chosen, its gradient, and what the optimizer makes of it."""

from functools import partial

import numpy as np
import streamlit as st
import torch
from torch import Tensor

from cnnlab.charts.shading import NEGATIVE_COLOR, POSITIVE_COLOR, signed, slices_in_a_row
from cnnlab.charts.step import loss_along
from cnnlab.stepping.backward import FiniteDifference, Terms, finite_difference, terms_of
from cnnlab.stepping.forward import loss_in
from cnnlab.stepping.stepper import Step
from cnnlab.stepping.update import losses_along, rule_of, weight_by_gradient_alone, with_learning_rate
from cnnlab.training.optimizers import OPTIMIZERS
from cnnlab.training.recipe import SETTINGS, TrainingConfig
from cnnlab.ui.frame.session import Key
from cnnlab.ui.frame.torch_thread import ask
from cnnlab.ui.step.sheet import picture_sheet
from cnnlab.wording import loss_text, shape_text

_FILTERS_SHOWN, _SLICES_SHOWN = 32, 16  # as many as can be told apart
_NUMBERS_SHOWN = 512  # of each side of a linear layer
_WIDEST, _WIDEST_FILTER = 34.0, 17.0  # rem
_PIXEL = 1.1
_TERMS_SHOWN = 5
# Of the step, at which the loss along it is shown: closer to each other where the bottom may be.
_SHARES = (0.0, 0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)


def backward_view(step: Step) -> None:
    """Show the gradients beside the weights, and where that of the chosen weight comes from."""
    st.markdown("`loss.backward()` finds for each weight how the loss changes with it: its gradient.")
    name, index = _chosen_weight(step)
    weights, gradient = step.before.get_parameter(name).detach(), step.gradients[name]
    left, right = st.columns(2, gap="medium")
    with left:
        st.selectbox(
            "Layer's weights",
            list(step.gradients),
            format_func=partial(_layer_told, step),
            key=Key.STEP_PARAMETER,
            persist_state="session",
        )
        _sheet(weights, index, "weights_sheet")
        st.caption(
            f"The weights before the step. <span style='color: {POSITIVE_COLOR}'>■</span> above zero, "
            f"<span style='color: {NEGATIVE_COLOR}'>■</span> below. Click one.",
            unsafe_allow_html=True,
        )
    with right:
        _weight_told(name, index, weights[index].item(), gradient[index].item())
        _sheet(gradient, index, "gradients_sheet")
        st.caption(
            f"Their gradients: {_against(gradient[index].item())} What the steps before have left is added to that at "
            "*Update*."
        )
    left, right = st.columns(2, gap="medium")
    with left:
        _terms_view(step, name, ask(terms_of, step, name, index))
    with right:
        _difference_view(ask(finite_difference, step, name, index), gradient[index].item())


def _layer_told(step: Step, name: str) -> str:
    layer = step.before.get_submodule(name.rpartition(".")[0])
    return f"{name} · {type(layer).__name__}, {shape_text(tuple(step.gradients[name].shape))}"


def _against(gradient: float) -> str:
    if gradient == 0:
        return "this one is 0: a little more or less of the weight does not change the loss of this batch."
    sign, less, way = ("below", "larger", "up") if gradient < 0 else ("above", "smaller", "down")
    return f"this one is {sign} zero, so a {less} weight makes the loss smaller: alone, it pushes the weight {way}."


def update_view(step: Step, config: TrainingConfig) -> None:
    """Show the optimizer's rule with the numbers of the chosen weight, and the loss along the step."""
    title = OPTIMIZERS[config.optimizer].__name__
    decay = " λ is the weight decay." if config.weight_decay else ""
    st.markdown(
        f"`optimizer.step()` changes each weight by a rule, that of **{title}**. {_LETTERS[config.optimizer]}{decay}"
    )
    name, index = _chosen_weight(step)
    left, right = st.columns([11, 9], gap="medium")
    with left:
        before, after = (one.get_parameter(name)[index].item() for one in (step.before, step.after))
        _weight_told(name, index, before, step.gradients[name][index].item())
        rule = rule_of(step, config, name, index)
        lines = [f"{line.name}  \n${line.formula}$ $= {line.numbers} =$ **{_number(line.value)}**" for line in rule]
        st.html("<style>.st-key-rule .katex { font-size: 1.05em; }</style>")
        with st.container(key="rule"):
            st.markdown("\n\n".join(lines))
        alone = weight_by_gradient_alone(step, config, name, index)
        if told := _carried_told(before, alone, rule[-1].value):
            st.markdown(told)
        st.caption(
            f"PyTorch has {_number(after)} there after the step; it computes with about seven digits. Choose another "
            "weight at *Backward*."
        )
    with right:
        _other_rate_view(step, config)


_LETTERS = {
    "rmsprop": "η is the learning rate, g the gradient, μ the momentum, α = 0.99; ε keeps from dividing by 0.",
    **dict.fromkeys(("sgd", "nesterov"), "η is the learning rate, g the gradient, μ the momentum."),
    **dict.fromkeys(
        ("adam", "adamw"),
        "η is the learning rate, g the gradient, t the step, β₁ the momentum, β₂ = 0.999; ε keeps from dividing by 0.",
    ),
}


def _carried_told(before: float, alone: float, after: float) -> str:
    """Say what this step's gradient, and what the steps before left, do to a weight; nothing where they left none."""
    push, carried = alone - before, after - alone
    if not carried:
        return ""
    against = ", the other way" if push * carried < 0 else ", the same way"
    return (
        f"This gradient alone moves the weight by {_number(push)}; what is left of the steps before moves it by "
        f"{_number(carried)}{against}. Together: **{_number(after - before)}**."
    )


def _other_rate_view(step: Step, config: TrainingConfig) -> None:
    """Show the loss along the step, and what the same step with another learning rate would have done."""
    setting = SETTINGS["learning_rate"]
    rate = st.number_input(
        "What if: the same step with another learning rate",
        value=min(config.learning_rate * 10, 1_000.0),
        step=0.0005,
        format="%g",
        key=Key.STEP_RATE,
        persist_state="session",
        help="From the same weights, with the same gradient.",
    )
    if not setting.allows(rate):
        st.error(f"The learning rate is {rate!r}; allowed is {setting.allowed}.")
        return
    share = rate / step.learning_rate
    further = np.geomspace(_SHARES[-1], share, 5)[1:].tolist() if share > _SHARES[-1] else []
    shares = [*_SHARES, *further]
    losses = ask(losses_along, step, shares)
    other = ask(_loss_with_rate, step, config, rate)
    before, after = losses[_SHARES.index(0)], losses[_SHARES.index(1)]
    with st.container(horizontal=True):
        st.metric("Before", loss_text(before), width=105)
        st.metric(f"After, rate {step.learning_rate:g}", loss_text(after), width=140)
        st.metric(f"After, rate {rate:g}", loss_text(other), width=140)
    chart = loss_along(step.learning_rate, shares, losses, (share, other))
    st.vega_lite_chart(chart.points, chart.spec, key="loss_along")
    st.caption(
        "The loss of this batch after a step of each length from the same weights: before it (grey), after this step "
        "(blue), with the other rate (orange). All go the same way, a higher rate further: past the bottom, "
        f"the loss climbs again. This is only tried: the run goes on with {step.learning_rate:g}, as *Settings* say."
    )


def _chosen_weight(step: Step) -> tuple[str, tuple[int, ...]]:
    """Return the parameter and the place of the chosen weight: at first, of the first layer, the largest gradient's."""
    name = st.session_state.get(Key.STEP_PARAMETER)
    if name not in step.gradients:
        name = st.session_state[Key.STEP_PARAMETER] = next(iter(step.gradients))
    shape = step.gradients[name].shape
    chosen = st.session_state.get(Key.STEP_WEIGHT, {}).get(name)
    if chosen is None or len(chosen) != len(shape) or any(at >= size for at, size in zip(chosen, shape, strict=True)):
        largest = _shown(step.gradients[name]).abs()
        chosen = tuple(int(each) for each in torch.unravel_index(largest.argmax(), largest.shape))
        _choose(name, chosen)
    return name, chosen


def _choose(name: str, index: tuple[int, ...]) -> None:
    st.session_state[Key.STEP_WEIGHT] = st.session_state.get(Key.STEP_WEIGHT, {}) | {name: index}


def _weight_told(name: str, index: tuple[int, ...], weight: float, gradient: float) -> None:
    st.markdown(
        f"`{name}[{', '.join(map(str, index))}]`, {_in_words(index)}  \nweight w = **{_number(weight)}**, gradient g = "
        f"**{_number(gradient)}**"
    )


def _in_words(index: tuple[int, ...]) -> str:
    names = {4: ("filter", "slice", "row", "column"), 2: ("output", "input")}.get(len(index), ("number",) * len(index))
    return ", ".join(f"{name} {place + 1}" for name, place in zip(names, index, strict=True))


def _shown(values: Tensor) -> Tensor:
    """Return the part of a parameter that the pictures show."""
    if values.ndim == 4:
        return values[:_FILTERS_SHOWN, :_SLICES_SHOWN]
    return values[(slice(_NUMBERS_SHOWN),) * values.ndim]


def _sheet(values: Tensor, index: tuple[int, ...], key: str) -> None:
    """Show a parameter, or its gradient, as pictures in which a number can be chosen."""
    name, shown = str(st.session_state[Key.STEP_PARAMETER]), _shown(values).numpy()
    strongest = float(np.abs(shown).max())
    is_filters = shown.ndim == 4
    side = shown.shape[-1] + 1  # of a filter: a slice, and the gap after it
    if is_filters:
        pictures = [slices_in_a_row(filter_, strongest) for filter_ in shown]
        chosen = (index[0], index[2], index[1] * side + index[3])
    else:
        pictures = [signed(np.atleast_2d(shown), strongest)]
        chosen = (0, index[0] if len(index) == 2 else 0, index[-1])

    def choose(picture: int, row: int, column: int) -> None:
        if is_filters:
            slice_, within = divmod(column, side)
            if within == side - 1:  # the gap: to the slice on its other side
                slice_, within = (slice_ + 1, 0) if column > chosen[2] else (slice_, side - 2)
            _choose(name, (picture, slice_, row, within))
        else:
            _choose(name, (row, column)[-len(index) :])

    picture_sheet(
        pictures,
        [str(number) for number in range(1, len(pictures) + 1)] if is_filters else [""],
        label="Filter" if is_filters else "Weights",
        key=key,
        chosen=chosen,
        on_choose=choose,
        width=min(_WIDEST_FILTER if is_filters else _WIDEST, _PIXEL * pictures[0].shape[1]),
        marks_pixels=True,
    )
    if shown.shape != tuple(values.shape):
        st.caption("The first of them: there are too many to be told apart.")


def _terms_view(step: Step, name: str, terms: Terms | None) -> None:
    st.markdown("**Where it comes from**")
    if terms is None:
        st.write(
            "This layer is neither a convolution nor a linear one, or it is used several times: the gradient is no "
            "plain sum over the images."
        )
        return
    count = terms.products.numel()
    what = "each place of each image" if terms.products.ndim > 1 else "each image"
    st.markdown(
        f"A sum over {what}, {count:,} terms: what the weight was multiplied with there, times how the loss changes "
        "with what came out."
    )
    lines, rest = [], terms.gradient
    for place in terms.largest(_TERMS_SHOWN):
        where = f"image {place[0] + 1}, a {step.labels[place[0]]}" + _place_told(place[1:])
        product = terms.products[place].item()
        rest -= product
        factors = f"{_number(terms.inputs[place].item())} × {_number(terms.slopes[place].item())}"
        lines.append(f"| {where} | {factors} | {_number(product)} |")
    if (more := count - len(lines)) > 0:
        lines.append(f"| {more:,} more | | {_number(rest)} |")
    lines.append(f"| **together** | | **{_number(terms.gradient)}** |")
    st.markdown("| Term | In × slope | |\n|---|---|---|\n" + "\n".join(lines))


def _place_told(place: tuple[int, ...]) -> str:
    if len(place) == 2:
        return f", row {place[0] + 1}, column {place[1] + 1}"
    return "".join(f", place {each + 1}" for each in place)


def _difference_view(found: FiniteDifference, gradient: float) -> None:
    st.markdown("**The same, found by trying**")
    st.markdown(
        "Make the weight a little larger, and a little smaller, and see what the loss does. No gradient is used for "
        "this."
    )
    st.markdown(
        "| | |\n|---|---|\n"
        f"| loss with w + {found.epsilon:.7f} | {found.loss_above:.16g} |\n"
        f"| loss with w − {found.epsilon:.7f} | {found.loss_below:.16g} |\n"
        f"| their difference, over {2 * found.epsilon:.7f} | **{_number(found.slope)}** ± "
        f"{_number(found.error, digits=1)} |\n"
        f"| the gradient that `loss.backward()` left | **{_number(gradient)}** |",
        help="Tried in double precision, with about sixteen digits; the step itself has about seven.",
    )


def _number(value: float, digits: int = 5) -> str:
    shown, _, power = f"{value:.{digits}g}".partition("e")
    text = f"{shown}\u00a0·\u00a010{str(int(power)).translate(_RAISED)}" if power else shown
    return text.replace("-", "−")


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


# What follows computes with PyTorch, and is called by `ask`.


def _loss_with_rate(step: Step, config: TrainingConfig, rate: float) -> float:
    return loss_in(step, with_learning_rate(step, config, rate))
