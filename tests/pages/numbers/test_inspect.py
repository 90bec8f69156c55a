import re

import numpy as np
import pytest
from truth import REFERENCE, answers, counted, forward, images_and_labels, picture, probabilities, weights, wilson

RUN = REFERENCE / "reference-sequential"


@pytest.fixture
def inspect_page(open_page):
    """Return the Inspect page with the reference run of nn.Sequential."""
    return open_page("inspect", run=RUN.name)


@pytest.fixture
def turned_to(inspect_page):
    """Return a function that opens one of the page's tabs."""

    def turn(part):
        inspect_page.session_state["inspected_part"] = part
        return inspect_page.run()

    return turn


@pytest.fixture
def wrong():
    """Return the indices of the test images that the run gets wrong, the surest first."""
    given, sure = answers(RUN)
    indices = np.flatnonzero(given != images_and_labels()[1])
    return indices[np.argsort(-sure[indices], kind="stable")]


def images_in(page, html):
    """Return the pictures that the page writes into its HTML, each with its caption."""
    found = re.findall(r'<figure[^>]*><img src="([^"]*)"[^>]*>\s*<figcaption>(.*?)</figcaption>', html(page))
    return [(caption, picture(address)) for address, caption in found]


def galleries(page):
    """Return the key, picture and caption of each image that can be clicked."""
    found = {}
    for button in page.button:
        if button.key and (shown := re.fullmatch(r"!\[\]\((.*?)\)(.*)", button.label, re.DOTALL)):
            found[button.key] = (picture(shown[1]), shown[2].replace("\\", ""))
    return found


def test_accuracy_errors_and_interval_are_counted_from_the_answers(inspect_page, metrics, wrong):
    low, high = wilson(10_000 - len(wrong), 10_000)
    assert metrics(inspect_page) == {
        "Accuracy": f"{(10_000 - len(wrong)) / 100:.2f} %",
        "Errors": f"{len(wrong)} of 10,000",
        "95 % interval": f"{round(low * 10_000) / 100:.2f} % to {round(high * 10_000) / 100:.2f} %",
    }


def test_the_confusion_matrix_counts_the_answers_and_opens_on_the_most_frequent_error(turned_to, figures):
    inspect_page = turned_to("Confusion matrix")
    given, _ = answers(RUN)
    labels = images_and_labels()[1]
    expected = np.array(counted(labels, given))
    cells = figures(inspect_page)[0]["data"][1]
    shown = [[0] * 10 for _ in range(10)]
    for digit, answer, text in zip(cells["y"], cells["x"], cells["text"], strict=True):
        shown[digit][answer] = int(text or 0)
    assert shown == expected.tolist()
    errors = expected - np.diag(np.diag(expected))
    digit, answer = np.unravel_index(errors.argmax(), errors.shape)
    assert f"**{digit} answered as {answer}**" in [each.value for each in inspect_page.markdown]
    behind = np.flatnonzero((labels == digit) & (given == answer))
    keys = [key for key in galleries(inspect_page) if key.startswith("behind_inspected_cell_")]
    assert keys == [f"behind_inspected_cell_{index}" for index in behind[:15]]


def test_the_worst_errors_are_the_surest_with_their_own_pictures_and_answers(turned_to, wrong):
    inspect_page = turned_to("What it gets most wrong")
    given, sure = answers(RUN)
    images, labels = images_and_labels()
    shown = {key: value for key, value in galleries(inspect_page).items() if key.startswith("worst_errors_")}
    assert list(shown) == [f"worst_errors_{index}" for index in wrong[:18]]
    for (image, caption), index in zip(shown.values(), wrong, strict=False):
        np.testing.assert_allclose(image, images[index] * 255, atol=0.51)
        assert caption == f"Digit {labels[index]}  \nAnswer: {given[index]} ({100 * sure[index]:.0f} %)"


def test_the_image_that_is_looked_into_is_answered_beside_it(inspect_page, html, wrong):
    image = images_and_labels()[0][wrong[0]]
    (caption, shown), *_ = [each for each in images_in(inspect_page, html) if each[0].startswith("Test image")]
    assert caption == f"Test image {wrong[0]:,}: a {images_and_labels()[1][wrong[0]]}"
    np.testing.assert_allclose(shown, image * 255, atol=0.51)
    expected = probabilities(RUN, image[None])[0]
    bars = dict(re.findall(r'<div title="(\d): (.*?)"', html(inspect_page)))
    assert bars == {str(digit): f"{round(share * 1000) / 10:.1f} %" for digit, share in enumerate(expected)}


def test_the_maps_are_what_each_convolution_finds_after_its_relu(inspect_page, html, wrong):
    found = forward(RUN, images_and_labels()[0][wrong[:1]])
    captions, shown = zip(
        *[(caption, image) for caption, image in images_in(inspect_page, html) if caption[0].isdigit()], strict=True
    )
    assert ["none" in caption for caption in captions] == [not image.any() for image in shown]
    assert [image.shape for image in shown] == [(26, 26)] * 8 + [(11, 11)] * 16
    for maps, pictures in ((found["first"][0], shown[:8]), (found["second"][0], shown[8:])):
        np.testing.assert_allclose(np.stack(pictures), maps / maps.max() * 255, atol=0.52)


def test_a_filter_is_coloured_by_the_sign_of_its_weights_and_full_at_its_largest(turned_to, html):
    inspect_page = turned_to("Its filters")
    shown = [image for caption, image in images_in(inspect_page, html) if caption.isdigit() and image.ndim == 3]
    first, second = weights(RUN)[0], weights(RUN)[2]
    titles = [title.value for title in inspect_page.markdown if title.value.startswith("**Convolution")]
    assert [re.sub("·.*· ", "", title) for title in titles[:2]] == [
        "**Convolution 1** 8 filters of 1 × 3 × 3",
        "**Convolution 2** 16 filters of 8 × 3 × 3",
    ]
    assert [image.shape for image in shown] == [(3, 3, 4)] * 8 + [(3, 8 * 4 - 1, 4)] * 16
    for filters, pictures in ((first, shown[:8]), (second, shown[8:])):
        for own, image in zip(filters, pictures, strict=True):
            slices = [image[:, start : start + 3] for start in range(0, 4 * len(own), 4)]
            for weight, seen in zip(own, slices, strict=True):
                strong = np.abs(weight) > 0.3 * np.abs(own).max()
                is_orange = seen[..., 0].astype(int) > seen[..., 2]
                assert (is_orange == (weight > 0))[strong].all()
                at_most = np.abs(weight) == np.abs(own).max()
                assert (seen[..., 3] == 255)[at_most].all()
                share = np.abs(weight) / np.abs(own).max()
                np.testing.assert_allclose(seen[..., 3], 255 * (0.14 + 0.86 * share), atol=0.52)


def test_what_the_pixels_say_together_is_what_the_ink_adds_to_the_answers_logit_over_the_digits(inspect_page, wrong):
    images, labels = images_and_labels()
    with_ink, black = forward(RUN, np.stack([images[wrong[0]], np.zeros((28, 28))]))["logits"]
    digit, label = int(with_ink.argmax()), int(labels[wrong[0]])
    told = next(each.value for each in inspect_page.markdown if "Together: " in each.value).replace("−", "-")
    spoke_for, spoke_against, together = (float(number) for number in re.findall(r": ([+-][\d.]+)", told))
    assert f"spoke for {digit} rather than {label}" in told
    added = with_ink - black
    assert together == pytest.approx(added[digit] - added[label], abs=0.3)
    assert spoke_for > 0 > spoke_against
    assert together == pytest.approx(spoke_for + spoke_against, abs=0.11)
