"""The numbers of one training step, worked out with NumPy from its images, its weights and its gradients."""

import json
import re
from copy import deepcopy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from app_pages import number_in

from cnnlab.data import mnist as data
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.stepping.stepper import Stepper
from cnnlab.training.recipe import TrainingConfig
from cnnlab.ui.frame.pictures import picture_address

LINEAR = "11.weight"  # ten outputs, the logits


@pytest.fixture
def stepper():
    """Return the tutorial's run, taken step by step beside the page."""
    network, config = DEFINITIONS["sequential"].build(0), TrainingConfig(device="cpu")
    return Stepper(network, data.load(train_images_as_bytes=True), config)


@pytest.fixture
def station(app):
    """Return a function that opens the Step page at a station, with what a person has chosen before."""
    page = app.switch_page("pages/step.py").run()

    def opened(part, **state):
        for name, value in {"step_part": part, **state}.items():
            page.session_state[name] = value
        page.run()
        assert not page.exception
        assert [error.value for error in page.error] == []
        return page

    return opened


def sentence(page, words):
    """Return the text on a page in which some words stand."""
    (found,) = [each.value for each in (*page.markdown, *page.caption) if words in each.value]
    return found


def logits_of(step):
    return step.before(step.images).detach().numpy().astype(np.float64)


def losses_of(step):
    logits, labels = logits_of(step), step.labels.numpy()
    return np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]


@pytest.mark.parametrize(("step_number", "image"), [(1, 0), (2, 6), pytest.param(470, 127, marks=pytest.mark.slow)])
def test_an_image_of_the_batch_is_said_to_be_the_one_it_is(step_number, image, station, stepper):
    stepper.reach(step_number)
    step = stepper.step(step_number)
    page = station("1 Batch", step=step_number, step_image=image)
    mnist = data.load()
    place = int(step.places[image])
    assert np.array_equal(step.images[image].numpy(), mnist.train_images[place].numpy())
    assert sentence(page, "Its label is") == (
        f"Its label is **{mnist.train_labels[place]}**. It is number {place:,} of MNIST's training images, counted "
        "from 0."
    )
    epoch, first = (2, 1) if step_number == 470 else (1, 128 * (step_number - 1) + 1)
    assert f"These are numbers {first} to {first + 127} in that of epoch {epoch}." in sentence(page, "An epoch takes")
    assert "60,000 images once, in an order that the seed, 0," in sentence(page, "An epoch takes")


def sheet(page):
    """Return what the sheet of pictures on a page shows."""
    (found,) = [each.proto for each in page.get("bidi_component") if each.proto.component_name == "cnnlab_sheet"]
    return json.loads(found.json)


def test_the_images_of_a_batch_are_shown_with_their_labels_up_to_128_of_them(station):
    page = station("1 Batch", recipe_batch_size=130, step_image=6)
    step = Stepper(
        DEFINITIONS["sequential"].build(0),
        data.load(train_images_as_bytes=True),
        TrainingConfig(device="cpu", batch_size=130),
    ).step(1)
    assert sheet(page)["pictures"] == [
        {"address": picture_address(image[0].numpy()), "caption": str(label)}
        for image, label in zip(step.images[:128], step.labels[:128].tolist(), strict=True)
    ]
    assert sheet(page)["chosen"] == [6, 0, 0]
    assert sentence(page, "The first") == "The first 128 of 130 images."
    assert not [each for each in station("1 Batch", recipe_batch_size=128).caption if "The first" in each.value]


def test_the_eight_costliest_images_are_shown_with_their_losses(station, stepper):
    step = stepper.step(1)
    losses = losses_of(step)
    costliest = sorted(range(128), key=lambda image: -losses[image])[:8]
    shown = sheet(station("3 Loss", step_image=costliest[2]))
    assert [each["address"] for each in shown["pictures"]] == [
        picture_address(step.images[image, 0].numpy()) for image in costliest
    ]
    told = [each["caption"].split(": ") for each in shown["pictures"]]
    assert [int(label) for label, _ in told] == step.labels[costliest].tolist()
    assert [float(loss) for _, loss in told] == pytest.approx(losses[costliest], rel=6e-3)
    assert shown["chosen"] == [2, 0, 0]
    another = min(set(range(128)) - set(costliest))
    assert sheet(station("3 Loss", step_image=another))["chosen"] == [-1, 0, 0]


def test_the_way_through_the_network_is_that_of_the_chosen_image(station, stepper):
    step = stepper.step(1)
    page = station("2 Forward", step_image=6)
    assert f"This is the way of image 7, a {step.labels[6]}, with the weights before" in sentence(page, "ten logits")
    (still,) = [each.proto for each in page.get("bidi_component") if each.proto.component_name == "cnnlab_still"]
    assert still.bytes.endswith(step.images[6].numpy().astype("<f4").tobytes())


def test_the_chosen_image_is_shown_with_its_number(station, stepper, html):
    step = stepper.step(1)
    shown = html(station("1 Batch", step_image=6))
    assert "<figcaption>Image 7 of 128</figcaption>" in shown
    assert picture_address(step.images[6, 0].numpy()) in shown


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        ({"recipe_shift": 2}, {"It is number … of MNIST's training images, counted from 0, changed at random."}),
        (
            {"recipe_data": "mnist+pen"},
            {
                "It is number … of MNIST's training images, counted from 0.",
                "It is a pen digit, drawn afresh for this epoch.",
            },
        ),
    ],
)
def test_a_pen_digit_and_a_changed_image_are_said_to_be_such(recipe, told, station):
    found = set()
    for image in range(0, 128, 16):
        sentence_of_image = sentence(station("1 Batch", step_image=image, **recipe), "Its label is")
        found.add(re.sub(r"number [\d,]+", "number …", sentence_of_image.split("**. ")[1]))
    assert found == told


def test_the_softmax_is_worked_out_digit_by_digit(station, stepper, html):
    step = stepper.step(1)
    losses = losses_of(step)
    image = int(losses.argmax())
    logits, label = logits_of(step)[image], int(step.labels[image])
    page = station("3 Loss", step_image=image)
    rows = re.findall(
        r'<tr(?: class="(\w+)")?><td>(\d)</td><td>(.*?)</td><td>(.*?)</td><td>(.*?)</td>'
        r'<td><i style="width: (.*?)%"></i></td></tr>',
        html(page),
    )
    powers = np.exp(logits - logits.max())
    shares = powers / powers.sum()
    assert [int(digit) for _, digit, *_ in rows] == list(range(10))
    assert [float(row[2].replace("−", "-")) for row in rows] == pytest.approx(logits, abs=6e-5)
    assert [float(row[3]) for row in rows] == pytest.approx(powers, abs=6e-5)
    assert [float(row[4]) for row in rows] == pytest.approx(shares, abs=6e-5)
    assert [float(row[5]) for row in rows] == pytest.approx(100 * shares, abs=0.06)
    answer = int(shares.argmax())
    assert answer != label
    assert {int(digit): kind for kind, digit, *_ in rows if kind} == {label: "right", answer: "named"}
    told = re.search(r"p_\{(\d)\}.*?frac\{(.*?)\}\{(.*?)\} = (.*?)\$.*?\*\*(.*?)\*\*", sentence(page, "frac"))
    assert int(told[1]) == label
    assert [float(each) for each in told.groups()[1:]] == pytest.approx(
        [powers[label], powers.sum(), shares[label], losses[image]], abs=6e-5
    )
    assert sentence(page, "The softmax makes").startswith(f"Image {image + 1}, a **{label}**.")


def test_the_losses_of_the_images_are_those_of_the_batch(station, stepper, drawn):
    step = stepper.step(1)
    losses = losses_of(step)
    right = int((logits_of(step).argmax(axis=1) == step.labels.numpy()).sum())
    page = station("3 Loss", step_image=3)
    assert sentence(page, "The mean of").startswith(
        f"The mean of 128 losses is the batch's loss: **{losses.mean():.4f}**, the dashed line. Guessing would cost "
        f"log 10 = {np.log(10):.4f}. {right} of 128 are answered rightly."
    )
    points = drawn(page)[-1]
    assert points["loss"].tolist() == pytest.approx(sorted(losses, reverse=True), abs=1e-5)
    assert points.loc[points["kind"] == "chosen", "image"].tolist() == [4]


def test_a_term_of_a_filter_names_its_image_and_what_it_shows(station, stepper):
    table = sentence(station("4 Backward"), "| Term |")
    named = [(int(image) - 1, int(label)) for image, label in re.findall(r"image (\d+), a (\d), row", table)]
    labels = stepper.step(1).labels.tolist()
    assert [label for _, label in named] == [labels[image] for image, _ in named]
    assert len({label for _, label in named}) > 1


def test_a_gradient_is_the_sum_of_its_terms(station, stepper):
    step = stepper.step(1)
    source = int(step.gradients[LINEAR][3].abs().argmax())
    gradient = step.gradients[LINEAR][3, source].item()
    page = station("4 Backward", step_parameter=LINEAR, step_weight={LINEAR: (3, source)})
    assert sentence(page, "weight w =").startswith(f"`{LINEAR}[3, {source}]`, output 4, input {source + 1}")
    w, g = (number_in(each) for each in re.findall(r"= \*\*(.*?)\*\*", sentence(page, "weight w =")))
    assert [w, g] == pytest.approx([step.before[11].weight[3, source].item(), gradient], rel=1e-4)
    table = sentence(page, "**together**")
    assert "A sum over each image, 128 terms:" in " ".join(each.value for each in page.markdown)
    rows = [row.split(" | ") for row in table.splitlines()[2:]]
    images, rest = rows[:5], rows[5]
    values = [number_in(product.strip("| ")) for *_, product in images]
    assert rest[0] == "| 123 more"
    assert sum(values) + number_in(rest[-1].strip("| ")) == pytest.approx(gradient, rel=1e-3, abs=1e-9)
    assert [abs(value) for value in values] == sorted(map(abs, values), reverse=True)

    logits, labels = logits_of(step), step.labels.numpy()
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    slopes = (shares[:, 3] - (labels == 3)) / 128
    inputs = step.before[:11](step.images).detach().numpy()[:, source]
    largest = np.argsort(-np.abs(inputs * slopes), kind="stable")[:5]
    for (where, factors, _), image in zip(images, largest, strict=True):
        assert where == f"| image {image + 1}, a {labels[image]}"
        assert [number_in(each) for each in factors.split(" × ")] == pytest.approx(
            [inputs[image], slopes[image]], rel=1e-3, abs=1e-9
        )


@pytest.mark.parametrize(("sign", "told"), [(-1, "below zero, so a larger weight"), (1, "above zero, so a smaller")])
def test_a_gradient_pushes_its_weight_against_its_sign(sign, told, station, stepper):
    gradient = stepper.step(1).gradients[LINEAR]
    flat = int((sign * gradient).argmax())
    page = station("4 Backward", step_parameter=LINEAR, step_weight={LINEAR: divmod(flat, gradient.shape[1])})
    way = {-1: "up", 1: "down"}[sign]
    assert told in sentence(page, "Their gradients")
    assert f"alone, it pushes the weight {way}." in sentence(page, "Their gradients")


def test_a_weight_that_no_image_needs_has_no_gradient_and_says_so(station, stepper):
    gradient = stepper.step(1).gradients["7.weight"]
    row, column = (int(each) for each in (gradient == 0).nonzero()[0])
    page = station("4 Backward", step_parameter="7.weight", step_weight={"7.weight": (row, column)})
    assert "this one is 0: a little more or less of the weight does not change" in sentence(page, "Their gradients")


def test_rmsprop_carries_on_what_the_step_before_has_left(station, stepper):
    stepper.reach(2)
    first, second = stepper.step(1), stepper.step(2)
    place = ("0.weight", (2, 0, 1, 1))
    g1, g2 = (np.float64(step.gradients[place[0]][place[1]].item()) for step in (first, second))
    before = np.float64(second.before[0].weight[place[1]].item())
    squares = 0.01 * g1**2
    left = g1 / (np.sqrt(squares) + 1e-8)
    own = g2 / (np.sqrt(0.99 * squares + 0.01 * g2**2) + 1e-8)
    page = station("5 Update", step=2, step_parameter=place[0], step_weight={place[0]: place[1]})
    rule = sentence(page, "The new weight")
    assert number_in(re.findall(r"\*\*(.*?)\*\*", rule)[-1]) == pytest.approx(
        before - 0.001 * (0.9 * left + own), rel=1e-4
    )
    told = sentence(page, "This gradient alone")
    alone, carried = re.search(r"by (\S+); what is left of the steps before moves it by (\S+), the", told).groups()
    together = re.search(r"Together: \*\*(.*?)\*\*", told)[1]
    assert [number_in(each) for each in (alone, carried, together)] == pytest.approx(
        [-0.001 * own, -0.0009 * left, -0.001 * (own + 0.9 * left)], rel=1e-3
    )
    assert ("the same way" in told) is bool(own * left > 0)
    assert ("the other way" in told) is bool(own * left < 0)


def test_another_learning_rate_is_ten_times_the_recipes_until_one_is_chosen(station, stepper, metrics):
    step = stepper.step(1)
    page = station("5 Update")
    (rate,) = [each for each in page.number_input if "another learning rate" in each.label]
    assert (rate.value, rate.step) == (pytest.approx(0.01), 0.0005)

    def loss_after(times):
        begun, ended = step.before.state_dict(), step.after.state_dict()
        network = deepcopy(step.before)
        network.load_state_dict({name: each + times * (ended[name] - each) for name, each in begun.items()})
        with torch.no_grad():
            return F.cross_entropy(network(step.images), step.labels).item()

    told = {"Before": 0, "After, rate 0.001": 1, "After, rate 0.01": 10}
    assert metrics(page).keys() == told.keys()
    assert [float(each) for each in metrics(page).values()] == pytest.approx(
        [loss_after(times) for times in told.values()], abs=2e-4
    )


@pytest.mark.parametrize(("rate", "further"), [(0.002, 0), (0.004, 0), (0.01, 4)])
def test_the_loss_is_shown_along_the_step_as_far_as_the_other_rate_leads(rate, further, station, drawn):
    points = drawn(station("5 Update", step_rate=rate))[-1]
    line = points[points["kind"] == "line"]
    assert line["share"].is_monotonic_increasing
    assert len(line) == 10 + further
    assert line["share"].iloc[-1] == pytest.approx(max(4, rate / 0.001))
    assert points[points["kind"] == "other"]["share"].tolist() == pytest.approx([rate / 0.001])


def test_ten_times_the_highest_learning_rate_is_the_highest(station):
    page = station("5 Update", recipe_optimizer="sgd", recipe_learning_rate=500.0)
    (rate,) = [each for each in page.number_input if "another learning rate" in each.label]
    assert rate.value == 1_000


def test_the_first_step_carries_nothing_on(station):
    page = station("5 Update")
    assert not [each.value for each in page.markdown if "what is left of the steps before" in each.value]


def test_the_largest_gradient_of_the_first_layer_is_looked_at_first(station, stepper):
    gradient = stepper.step(1).gradients["0.weight"]
    place = np.unravel_index(int(gradient.abs().argmax()), gradient.shape)
    told = sentence(station("4 Backward"), "weight w =")
    filter_, slice_, row, column = (int(each) + 1 for each in place)
    assert f", filter {filter_}, slice {slice_}, row {row}, column {column}" in told
