import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from listings import LISTINGS, TUTORIALS_CLASS, TUTORIALS_LIST
from random_networks import list_of, random_branches, random_layers

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.models.reading.building import build
from cnnlab.models.reading.source import read
from cnnlab.models.variants import CannotResize, convolutions_of, with_filters

SEEDS = st.integers(0, 10**9)
READ = {"list": TUTORIALS_LIST, "class": TUTORIALS_CLASS} | {
    name: source for name, (source, refused) in LISTINGS.items() if refused is None
}


def filters(source):
    """Return how many filters each convolution has, by its path."""
    return {each.path: each.arguments["out_channels"] for each in convolutions_of(read(source)).values()}


def changed_lines(source, written):
    pairs = zip(source.splitlines(), written.splitlines(), strict=True)
    return [new.strip() for old, new in pairs if old != new]


def test_the_convolutions_of_a_list_are_called_as_in_its_class():
    assert {name: each.path for name, each in convolutions_of(read(DEFINITIONS["sequential"].source)).items()} == {
        "conv1": "0",
        "conv2": "3",
    }
    assert list(convolutions_of(read(DEFINITIONS["residual"].source))) == ["conv1", "branch", "conv2"]


def test_the_next_layer_and_the_shapes_in_comments_follow():
    source = DEFINITIONS["sequential"].source
    assert changed_lines(source, with_filters(source, "3", 32)) == [
        "nn.Conv2d(8, 32, kernel_size=3),  # -> (32, 11, 11)",
        "nn.MaxPool2d(2),  # -> (32, 5, 5)",
        "nn.Flatten(),  # -> (800,)",
        "nn.Linear(32 * 5 * 5, 64),",
    ]
    assert changed_lines(TUTORIALS_CLASS, with_filters(TUTORIALS_CLASS, "conv1", 16)) == [
        "self.conv1 = nn.Conv2d(1,16,3)   # (1,28,28) => (16,26,26)",
        "self.conv2 = nn.Conv2d(16,16,3)  # (16,13,13) => (16,11,11)",
    ]


def test_a_convolution_whose_maps_are_added_to_it_follows_too():
    assert filters(with_filters(DEFINITIONS["residual"].source, "branch", 32)) == {
        "conv1": 32,
        "branch": 32,
        "conv2": 16,
    }


def test_what_has_as_many_filters_already_stays_as_it_was_typed():
    for name, count in (("sequential", 8), ("module", 8)):
        source = DEFINITIONS[name].source
        assert with_filters(source, next(iter(filters(source))), count) == source


@pytest.mark.parametrize(
    ("layers", "path", "told"),
    [
        ("nn.Conv2d(1, 10, 28), nn.Flatten()", "0", r"conv1 cannot have 16 filters here. Line 1: The network gives 16"),
        (
            "nn.Conv2d(1, 6, 3), nn.Conv2d(6, 6, 3, groups=3), nn.Flatten(), nn.Linear(3456, 10)",
            "1",
            "has 3 groups, which do not divide its 16 out_channels",
        ),
        ("nn.Conv2d(1, 8, 3), nn.Flatten(), nn.Linear(5408, 185), nn.ReLU(), nn.Linear(185, 10)", "0", "at most"),
    ],
)
def test_a_size_that_cannot_be_is_refused_with_the_line(layers, path, told):
    source = f"nn.Sequential({layers})"
    with pytest.raises(CannotResize, match=told):
        with_filters(source, path, 16)


# What cannot be, of what people write: the last layer gives ten, and the image has one channel.
CANNOT = {
    ("global average", "2"): "there must be ten, one for each digit",
    ("a skip", "a"): "only equal shapes are added number by number",
}


@pytest.mark.parametrize("name", READ)
def test_each_convolution_of_what_people_write_gets_its_filters_or_it_is_said_why_not(name):
    for path in filters(READ[name]):
        if told := CANNOT.get((name, path)):
            with pytest.raises(CannotResize, match=told):
                with_filters(READ[name], path, 16)
            continue
        written = with_filters(READ[name], path, 16)
        assert filters(written)[path] == 16
        assert build(read(written))(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.sampled_from([1, 8, 32]), st.booleans())
@example(8418, 1, True)  # one filter on maps of a pixel, and a norm of groups behind it
def test_whatever_the_network_the_others_stay_or_it_is_refused(seed, count, is_list):
    source = list_of(random_layers(seed)) if is_list else random_branches(seed)
    had = filters(source)
    for path in had:
        try:
            written = with_filters(source, path, count)
        except CannotResize:
            continue
        assert filters(written)[path] == count
        assert build(read(written)).eval()(torch.zeros(1, 1, 28, 28)).shape == (1, 10)
        if is_list:
            assert filters(written) == had | {path: count}
