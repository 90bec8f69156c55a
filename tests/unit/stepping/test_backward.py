from dataclasses import replace
from statistics import median

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from stepped import CONFIG, NETWORKS, with_norm_and_dropout
from torch import nn

from cnnlab.stepping.backward import EPSILON, finite_difference, terms_of
from cnnlab.stepping.forward import answers_in
from cnnlab.stepping.stepper import Stepper


def some_places(step, of_each=3):
    """Return names and places of some weights of each layer, those with the largest gradients among them."""
    for name, gradient in step.gradients.items():
        for place in gradient.abs().ravel().argsort(descending=True)[:: max(1, gradient.numel() // of_each)][:of_each]:
            yield name, tuple(int(each) for each in torch.unravel_index(place, gradient.shape))


def with_dropout_between_maps():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 5), nn.MaxPool2d(4), nn.Dropout(0.5), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(64, 10)
    )


@pytest.mark.parametrize("number", [1, 2, 20])
@pytest.mark.parametrize("build", [with_norm_and_dropout, with_dropout_between_maps])
def test_dropout_leaves_out_the_same_numbers_as_in_the_step_itself(build, number, mnist):
    step = Stepper(build(), mnist, CONFIG).step(number)
    assert answers_in(step).loss == pytest.approx(step.loss, rel=1e-4)
    for name, index in some_places(step, of_each=1):
        if (terms := terms_of(step, name, index)) is not None:
            expected = pytest.approx(step.gradients[name][index].item(), rel=1e-2, abs=5e-4)
            assert terms.gradient == expected
            assert finite_difference(step, name, index).slope == expected


def test_an_activation_that_works_in_place_leaves_the_slopes_before_it(mnist):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 5), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4 * 24 * 24, 10))
    step = Stepper(network, mnist, CONFIG).step(2)
    for name, index in some_places(step, of_each=1):
        found = terms_of(step, name, index).gradient
        assert found == pytest.approx(step.gradients[name][index].item(), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_answers_are_those_that_numpy_finds_and_their_mean_is_the_logged_loss(stepper, network):
    step = stepper(network=network).step(4)
    answers = answers_in(step)
    powers = np.exp(answers.logits.double().numpy())
    shares = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(answers.probabilities, shares, atol=1e-6)
    of_images = -np.log(shares[np.arange(64), step.labels])
    np.testing.assert_allclose(answers.losses, of_images, rtol=1e-4, atol=1e-6)
    assert answers.loss == pytest.approx(step.loss, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_the_terms_add_up_to_the_gradient_of_the_step(stepper, network):
    step = stepper(network=network).step(5)
    for name, index in some_places(step):
        terms = terms_of(step, name, index)
        if "norm" in network and name.startswith("1."):
            assert terms is None  # a batch norm's: no sum over images alone
            continue
        assert terms.gradient == pytest.approx(step.gradients[name][index].item(), rel=5e-3, abs=2e-5)
        largest = terms.largest(4)
        sizes = [abs(terms.inputs[place] * terms.slopes[place]) for place in largest]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[0] == abs(terms.products).max()


def test_a_filters_terms_are_what_it_saw_in_the_image(stepper):
    step = stepper().step(1)
    terms = terms_of(step, "conv1.weight", (2, 0, 1, 2))
    assert terms.inputs.shape == (64, 26, 26)
    np.testing.assert_array_equal(terms.inputs, step.images[:, 0, 1:27, 2:28].double())


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("optimizer", ["rmsprop", "adam"])
def test_the_finite_difference_is_the_gradient_within_its_own_error(stepper, network, optimizer):
    step = stepper(replace(CONFIG, optimizer=optimizer), network).step(6)
    shares = []
    for name, index in some_places(step, of_each=2):
        found = finite_difference(step, name, index)
        exact = gradient_in_double(step, name)[index].item()
        assert abs(found.slope - exact) <= found.error
        shares.append(found.error / max(abs(exact), 1e-3))
        of_the_step = step.gradients[name]  # in single precision
        assert abs(found.slope - of_the_step[index].item()) < found.error + 0.02 * of_the_step.abs().max() + 2e-5
        assert (found.loss_above - found.loss_below) / (2 * EPSILON) == found.slope
    assert median(shares) < 0.001  # a ReLU may begin to pass on the way of one or two


def gradient_in_double(step, name):
    network = type(step.before)(*step.before) if isinstance(step.before, torch.nn.Sequential) else step.before
    weights = {each: numbers.double().clone() for each, numbers in network.state_dict().items()}
    weights[name].requires_grad_()
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(step.random_state)
        logits = torch.func.functional_call(network, weights, (step.images.double(),))
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, step.labels), weights[name])
    return gradient
