"""Whether a network that says 90 % is right nine times of ten."""

import streamlit as st

from cnnlab.charts.answers import reliability_figure
from cnnlab.errors import LabError
from cnnlab.inference.calibration import Calibration, calibration_of
from cnnlab.inference.networks import Moment
from cnnlab.runs.run import Run
from cnnlab.ui.frame.page import theme_color
from cnnlab.ui.frame.torch_thread import ask
from cnnlab.ui.frame.wording import as_text

_GUO = "https://arxiv.org/abs/1706.04599"


def reliability_view(run: Run, moment: Moment) -> None:
    """Show how far what a run's network says of itself holds on what people drew, before and after scaling.

    It is the network at a moment of its training.
    """
    try:
        with st.spinner("Asking the network about the digits that people drew"):
            found = ask(calibration_of, run, moment)
    except LabError as error:
        st.error(as_text(str(error)))
        return
    chart, told = st.columns([3, 2], gap="large", vertical_alignment="center")
    with chart:
        st.plotly_chart(
            reliability_figure(found.curve, text_color=theme_color("textColor")),
            key="reliability",
            config={"displayModeBar": False},
        )
    told.markdown(_sentence(found))
    told.caption(
        "The probabilities of an answer come from the softmax, which nobody has told how often the network is right. "
        "Here its answers to digits that people drew are sorted by how sure it says it is, and counted. On the dotted "
        "line it is right as often as it says. "
        f"[Temperature scaling]({_GUO}) divides the ten logits by one number, found on drawings of other people; the "
        "answers stay the same."
    )


def _sentence(found: Calibration) -> str:
    temperature = f"{found.temperature:.2f}"
    if temperature == "1.00":
        way = "neither too sure of itself nor not sure enough"
    elif found.temperature > 1:
        way = "too sure of itself"
    else:
        way = "not sure enough of itself"
    does_help = found.error_after < found.error_before
    helps = "" if does_help else " Here that does not help: the number was found on the drawings of other people."
    return (
        f"**It is {way}: its temperature is {temperature}.** What it states and how often it is right lie "
        f"{found.error_before:.1%} apart in the mean; divided by the temperature, {found.error_after:.1%}.{helps}"
    ).replace("%", "\N{NO-BREAK SPACE}%")
