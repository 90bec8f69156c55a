"""The batch of a step, its images' way through the network, and what each of them costs."""

import html

import numpy as np
import streamlit as st
import torch
from torch import nn

from cnnlab.charts.step import losses_of_images
from cnnlab.engine.export import Exported, export
from cnnlab.engine.scripts import joined
from cnnlab.errors import LabError
from cnnlab.stepping.forward import Answers, answers_in
from cnnlab.stepping.stepper import Step
from cnnlab.training.evaluation import predict_logits
from cnnlab.training.recipe import TrainingConfig
from cnnlab.ui.draw.diagram import network_diagram
from cnnlab.ui.draw.pen import examples, packed
from cnnlab.ui.frame.pictures import picture_rows
from cnnlab.ui.frame.session import Key
from cnnlab.ui.frame.torch_thread import ask
from cnnlab.ui.frame.wording import as_text
from cnnlab.ui.step.sheet import picture_sheet
from cnnlab.wording import loss_text

_SHOWN = 128  # of a batch's images: a page could hold more, and nobody would look at them
_COSTLIEST = 8
_NAME = "step"  # of the network whose diagram is shown
_still = st.components.v2.component("cnnlab_still", html="<span></span>", js=joined("engine", "still"))


def chosen_image(step: Step) -> int:
    """Return the image of the batch that somebody looks at, from 0."""
    return min(int(st.session_state.get(Key.STEP_IMAGE, 0)), len(step.images) - 1)


def _choose(place: int, *_: int) -> None:
    st.session_state[Key.STEP_IMAGE] = place


def batch_view(step: Step, config: TrainingConfig) -> None:
    """Show the images of the batch, and where they come from."""
    st.markdown(
        "Training repeats five things: take a batch, answer it, say how wrong that was, find how each weight changes "
        "that, and change the weights. `inputs, labels = data` takes the next images; `optimizer.zero_grad()` forgets "
        "what the step before has found."
    )
    sheet, told = st.columns([3, 1], gap="medium")
    with sheet:
        pictures = [image[0].numpy() for image in step.images[:_SHOWN]]
        captions = [str(label) for label in step.labels[:_SHOWN].tolist()]
        picture_sheet(
            pictures,
            captions,
            label="Image",
            key="batch_sheet",
            chosen=(chosen_image(step), 0, 0),
            on_choose=_choose,
            width=2.55,
        )
        if len(step.images) > _SHOWN:
            st.caption(f"The first {_SHOWN} of {len(step.images)} images.")
    with told:
        image, first = chosen_image(step), (step.batch - 1) * config.batch_size
        picture_rows([step.images[image, 0].numpy()], [f"Image {image + 1} of {len(step.images)}"], width=9)
        st.markdown(f"Its label is **{step.labels[image]}**. {_origin(step, config, image)}")
        st.caption(
            f"An epoch takes each of the {config.images_per_epoch:,} images once, in an order that the seed, "
            f"{config.seed}, and the number of the epoch decide. These are numbers {first + 1:,} to "
            f"{first + len(step.images):,} in that of epoch {step.epoch}. Click an image: Forward and Loss show it too."
        )


def _origin(step: Step, config: TrainingConfig, image: int) -> str:
    place = int(step.places[image])
    if place >= config.mnist_images:
        return "It is a pen digit, drawn afresh for this epoch."
    changed = ", changed at random" if config.augment or config.shift else ""
    return f"It is number {place:,} of MNIST's training images, counted from 0{changed}."


def forward_view(step: Step) -> None:
    """Show one image on its way through the network, each number of it with its sum on demand."""
    image = chosen_image(step)
    st.markdown(
        "`outputs = model1(inputs)` makes ten logits of each image, one score for each digit. This is the way of image "
        f"{image + 1}, a {step.labels[image]}, with the weights before the step; choose another at *Batch*."
    )
    try:
        exported = ask(_exported, step.before)
    except LabError as error:
        st.info(as_text(str(error)))
        return
    given = step.images[image, 0].numpy().astype("<f4").tobytes()
    _still(key="still", data=packed([(_NAME, exported)]) + given, height=1)
    network_diagram(_NAME)
    if ask(_differs_in_training, step):
        st.caption(
            "Here the network is as it answers after training: in the step itself dropout leaves numbers out at "
            "random, and a norm takes the whole batch into account."
        )


def _differs_in_training(step: Step) -> bool:
    """Return whether the network answers otherwise in training than afterwards, as with dropout or a norm."""
    afterwards = predict_logits(step.before, step.images)
    return not torch.allclose(afterwards, answers_in(step).logits, rtol=1e-3, atol=1e-3)


def loss_view(step: Step) -> None:
    """Show how the logits of an image become its loss, and the losses of all images their mean."""
    st.markdown("`loss = criterion(outputs, labels)` says in one number how wrong the answers are: the cross entropy.")
    answers, image = ask(answers_in, step), chosen_image(step)
    table_column, chart_column = st.columns([2, 3], gap="large")
    with table_column:
        _softmax_table(step, answers, image)
    with chart_column:
        losses = answers.losses.numpy()
        right = int((answers.logits.argmax(dim=1) == step.labels).sum())
        st.markdown(
            f"The mean of {len(losses)} losses is the batch's loss: **{loss_text(losses.mean())}**, the dashed line. "
            f"Guessing would cost log 10 = 2.3026. {right} of {len(losses)} are answered rightly."
        )
        chart = losses_of_images(losses, image)
        st.vega_lite_chart(chart.points, chart.spec, key="image_losses")
        st.markdown("The images that cost most, with their losses:")
        costliest = np.argsort(-losses, kind="stable")[:_COSTLIEST].tolist()
        picture_sheet(
            [step.images[each, 0].numpy() for each in costliest],
            [f"{step.labels[each]}: {losses[each]:.3g}" for each in costliest],
            label="Costly image",
            key="costliest_sheet",
            chosen=(costliest.index(image) if image in costliest else -1, 0, 0),
            on_choose=lambda place, *_: _choose(costliest[place]),
            width=3.6,
        )


def _softmax_table(step: Step, answers: Answers, image: int) -> None:
    label, share = int(step.labels[image]), float(answers.probabilities[image, step.labels[image]])
    st.markdown(
        f"Image {image + 1}, a **{label}**. The softmax makes probabilities of its logits z: exp z over the sum of all "
        "ten. A number taken off all of them changes nothing."
    )
    logits, shares = answers.logits[image].tolist(), answers.probabilities[image].tolist()
    powers = np.exp(np.array(logits) - max(logits))  # less the largest, so that none is too large to be written
    answer = int(np.argmax(logits))
    rows = "".join(
        f"<tr{_class_of(digit, answer, label)}><td>{digit}</td><td>{_signed(logit)}</td>"
        f"<td>{powers[digit]:.4f}</td><td>{_probability(probability)}</td>"
        f'<td><i style="width: {100 * probability:.1f}%"></i></td></tr>'
        for digit, (logit, probability) in enumerate(zip(logits, shares, strict=True))
    )
    heads = "".join(f"<th>{html.escape(head)}</th>" for head in ("Digit", "Logit z", "exp(z − max)", "Softmax p", ""))
    st.html(f'{_TABLE_STYLE}<table class="softmax"><tr>{heads}</tr>{rows}</table>')
    st.markdown(
        rf"$p_{{{label}}} = \frac{{{powers[label]:.4f}}}{{{powers.sum():.4f}}} = {share:.4f}$, and the loss of "
        rf"this image is $-\log p_{{{label}}} =$ **{loss_text(float(answers.losses[image]))}**: nothing where the "
        "network is sure of the right digit, and the more, the surer it is of another. Green is the right digit, "
        "orange an answer that is another."
    )


_TABLE_STYLE = """
<style>
.softmax { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; width: 100%; }
.softmax th { text-align: right; font-weight: 600; opacity: .75; padding: .1rem .5rem; }
.softmax td { text-align: right; padding: .12rem .5rem; border-top: 1px solid rgba(128, 136, 152, .25); }
.softmax td:last-child { width: 30%; text-align: left; }
.softmax i { display: block; height: .7rem; min-width: 1px; background: #8d95a6; border-radius: .15rem; }
.softmax .right { font-weight: 700; }
.softmax .right i { background: #2ba37a; }
.softmax .named i { background: #e8833a; }
</style>
"""


def _class_of(digit: int, answer: int, label: int) -> str:
    if digit == label:
        return ' class="right"'
    return ' class="named"' if digit == answer else ""


def _probability(share: float) -> str:
    return f"{share:.4f}" if share >= 0.0001 else "&lt; 0.0001"


def _signed(number: float) -> str:
    return f"{number:.4f}".replace("-", "−")


# What follows computes with PyTorch, and is called by `ask`.


def _exported(network: nn.Module) -> Exported:
    return export(network, examples())
