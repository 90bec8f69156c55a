"""What a run's network would have answered to an image at each moment of its training."""

import numpy as np
import streamlit as st
import torch
from torch import Tensor

from cnnlab.charts.run import NAMED_FROM, answers_chart
from cnnlab.data.mnist import IMAGE_SHAPE
from cnnlab.errors import LabError
from cnnlab.film.animation import drawing_film
from cnnlab.film.moments import answers_over_training
from cnnlab.runs.run import Run
from cnnlab.runs.snapshots import why_no_film
from cnnlab.ui.frame.download import download_button
from cnnlab.ui.frame.torch_thread import ask
from cnnlab.ui.frame.wording import as_text


def answers_over_training_view(run: Run, image: Tensor | np.ndarray) -> None:
    """Show the ten probabilities over a run's training, and a button to take them away as a film.

    Parameters
    ----------
    image
        Shape (28, 28) or (1, 28, 28), float32, from 0 to 1, as the network is given it.
    """
    given = torch.as_tensor(image).reshape(IMAGE_SHAPE)
    try:
        answers = ask(answers_over_training, run, given)
        if answers is None:
            told = f"No answers of {run.name} over its training: {why_no_film(run)}"
            st.caption(f"{as_text(told)} *Look inside* chooses the network.")
            return
    except LabError as error:
        st.error(as_text(str(error)))
        return
    chart = answers_chart(answers, run.total_steps)
    st.vega_lite_chart(chart.points, chart.spec, key="answers_over_training")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            "What the network would have answered to this drawing after so many steps of its training. Steps lie more "
            "densely at first, when it learned most. A grey line is a digit that it never gave more than "
            f"{100 * NAMED_FROM:.0f} %."
        )
        download_button(
            "As a film (GIF)",
            lambda: drawing_film(given[0].numpy(), answers, run.total_steps),
            file_name=f"{run.id}-drawing.gif",
            mime="image/gif",
            icon=":material/movie:",
        )
