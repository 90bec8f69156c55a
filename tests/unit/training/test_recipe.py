import math
import re
from dataclasses import dataclass, replace
from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from cnnlab.charts.sweep import title_of
from cnnlab.cli import train as command_line
from cnnlab.storage.cores import available_cores
from cnnlab.sweeps.plan import FIELDS, is_whole
from cnnlab.training.optimizers import OPTIMIZERS
from cnnlab.training.recipe import (
    PRESETS,
    SETTINGS,
    InvalidConfig,
    TrainingConfig,
    available_devices,
    device_for,
    optimizer_arguments,
)
from cnnlab.training.setting_kinds import Choice, Number, Switch, Whole, default_of, number, settings_of

MEASUREMENTS = Path(__file__).parents[3] / "cnnlab" / "guide" / "measurements.md"

ANOTHER_VALUE = {"threads": TrainingConfig().threads + 1, "optimizer": "adam", "device": "cpu"}


def another_value(name):
    """Return a value that a setting allows and that is not its default."""
    match SETTINGS[name]:
        case Whole(low=low, high=high):
            return ANOTHER_VALUE.get(name, low + 1 if low + 1 <= high else low)
        case Number(high=high):
            return high / 2
        case Choice(choices=choices, default=default):
            return next(value for value in choices if value != default)
        case Switch(default=default):
            return not default


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_has_a_label_a_help_and_a_default_that_it_allows(name):
    setting = SETTINGS[name]
    assert setting.label
    assert setting.help.endswith(".")
    assert setting.allows(getattr(TrainingConfig(), name))
    assert all(setting.allows(value) for value in setting.tried)
    assert len(set(setting.tried)) == len(setting.tried)
    if isinstance(setting, Number):
        assert 0 < setting.step < setting.high - setting.low


def test_powers_of_ten_matter_where_a_number_says_how_strongly():
    assert {name for name, setting in SETTINGS.items() if isinstance(setting, Number) and setting.is_logarithmic} == {
        "learning_rate",
        "weight_decay",
    }


def test_a_batch_larger_than_what_validation_leaves_is_refused():
    TrainingConfig(validation=20_000, batch_size=40_000)
    with pytest.raises(InvalidConfig, match="batch_size is 40001; allowed is at most 40,000 images"):
        TrainingConfig(validation=20_000, batch_size=40_001)


def test_no_two_settings_have_one_label():
    assert len({setting.label for setting in SETTINGS.values()}) == len(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_words_for_a_recipe_name_each_setting_that_is_changed(name):
    config = TrainingConfig()
    changed = replace(config, **{name: another_value(name)})
    new = set(changed.described()) - set(config.described())
    assert len(new) == 1
    assert len(changed.described()) >= len(config.described())


def test_the_words_for_the_tutorials_recipe():
    assert TrainingConfig(threads=2).described() == [
        "10 epochs",
        "batch size 128",
        "rmsprop",
        "learning rate 0.001",
        "momentum 0.9",
        "seed 0",
        "auto",
        "2 threads",
    ]


def test_the_words_for_a_recipe_that_changes_the_rest():
    config = TrainingConfig(
        epochs=1, weight_decay=5e-4, schedule="one-cycle", augment=True, shift=1, validation=10_000, kernels="torch"
    )
    words = ["1 epoch", "weight decay 0.0005", "one-cycle schedule", "augmentation", "images shifted by up to 1 pixel"]
    assert set(words) | {"10,000 images for validation", "torch backend"} <= set(config.described())


def test_every_setting_can_be_tried_by_a_sweep():
    assert ("model", *SETTINGS) == FIELDS
    assert all(is_whole(name) is isinstance(SETTINGS[name], Whole) for name in SETTINGS)
    assert [title_of(name) for name in SETTINGS] == [setting.label for setting in SETTINGS.values()]


@pytest.mark.parametrize(
    ("setting", "allowed", "not_allowed"),
    [
        (Whole(label="", help="", low=1, high=3), [1, 3], [0, 4, 1.0, True, "1", None]),
        (Number(label="", help="", low=0, high=1, step=1), [0, 1, 0.5], [-0.1, 1.1, float("nan"), True, "0"]),
        (Number(label="", help="", low=0, high=1, step=1, excludes_low=True), [1, 1e-9], [0]),
        (Number(label="", help="", low=0, high=1, step=1, excludes_high=True), [0, 0.999], [1]),
        (Choice(label="", help="", choices=("a", "b")), ["a", "b"], ["c", ("a",), None, []]),
        (Switch(label="", help=""), [True, False], [0, 1, "true", None]),
    ],
)
def test_a_setting_allows_what_it_says(setting, allowed, not_allowed):
    assert all(setting.allows(value) for value in allowed)
    assert not any(setting.allows(value) for value in not_allowed)


@dataclass(frozen=True, kw_only=True)
class WithOneMore(TrainingConfig):
    clip: float = number(
        0.0, low=0, high=10, step=0.1, label="Gradient clip", help="The longest gradient.", phrase="clipped at {}"
    )


def test_a_further_setting_is_one_edit(monkeypatch):
    assert [*settings_of(WithOneMore)] == [*SETTINGS, "clip"]
    with pytest.raises(InvalidConfig, match=r"clip is 11; allowed is a number from 0 to 10\."):
        WithOneMore(clip=11)
    assert WithOneMore(clip=2.5).described()[-1] == "clipped at 2.5"

    monkeypatch.setattr(command_line, "SETTINGS", settings_of(WithOneMore))
    monkeypatch.setattr(command_line, "TrainingConfig", WithOneMore)
    given = []
    command = click.command()(command_line.recipe_options(lambda **options: given.append(options)))
    assert CliRunner().invoke(command, ["--clip", "2.5"]).exit_code == 0
    assert given[0]["clip"] == 2.5
    assert "The longest gradient.  [default: 0]" in " ".join(CliRunner().invoke(command, ["--help"]).output.split(" "))


# What a learner is offered: the default, what is allowed, the buttons beside a number, and what a sweep begins with.
OFFERED = {
    "epochs": (10, "a whole number from 1 to 1,000", None, "5 epochs, 10 epochs"),
    "batch_size": (128, "a whole number from 1 to 60,000", None, "64, 128, 256"),
    "optimizer": (
        "rmsprop",
        "one of rmsprop, sgd, nesterov, adam, adamw",
        None,
        "rmsprop, sgd, nesterov, adam, adamw",
    ),
    "learning_rate": (0.001, "a number above 0 and at most 1,000", 0.0005, "0.0003, 0.001, 0.003"),
    "momentum": (0.9, "a number from 0 up to, not including, 1", 0.05, "0, 0.5, 0.9"),
    "weight_decay": (0, "a number from 0 to 1", 0.0005, "0, 0.0005"),
    "schedule": ("constant", "one of constant, one-cycle", None, "constant, one-cycle"),
    "data": ("mnist", "one of mnist, mnist+pen", None, "mnist, mnist+pen"),
    "augment": (False, "true or false", None, "off, on"),
    "shift": (0, "a whole number from 0 to 4", None, "0 pixels, 1 pixel"),
    "validation": (0, "a whole number from 0 to 30,000", None, ""),
    "seed": (0, "a whole number from 0 to 4,294,967,295", None, "0, 1, 2"),
    "device": ("auto", "one of auto, cpu, cuda, mps", None, ""),
    "threads": (available_cores(), "a whole number from 1 to 256", None, ""),
    "kernels": ("auto", "one of auto, fused, torch", None, "auto, fused, torch"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_learner_is_offered_what_the_lab_decided_on(name):
    setting = SETTINGS[name]
    tried = ", ".join(setting.written(value) for value in setting.tried)
    step = setting.step if isinstance(setting, Number) else None
    assert (default_of(TrainingConfig, name), setting.allowed, step, tried) == OFFERED[name]
    assert getattr(TrainingConfig(), name) == default_of(TrainingConfig, name)


@pytest.mark.parametrize(
    ("name", "at_least", "below", "at_most", "above"),
    [
        ("epochs", 1, 0, 1_000, 1_001),
        ("batch_size", 1, 0, 60_000, 60_001),
        ("learning_rate", 1e-300, 0, 1_000, 1_000.001),
        ("momentum", 0, -1e-300, 1 - 2**-53, 1),
        ("weight_decay", 0, -1e-300, 1, 1 + 2**-52),
        ("shift", 0, -1, 4, 5),
        ("validation", 0, -1, 30_000, 30_001),
        ("seed", 0, -1, 2**32 - 1, 2**32),
        ("threads", 1, 0, 256, 257),
    ],
)
def test_a_recipe_takes_a_value_at_a_bound_and_none_beyond_it(name, at_least, below, at_most, above):
    for value in (at_least, at_most):
        assert getattr(TrainingConfig(**{name: value}), name) == value
    for value in (below, above):
        with pytest.raises(InvalidConfig, match=re.escape(f"{name} is {value!r}; allowed is {OFFERED[name][1]}.")):
            TrainingConfig(**{name: value})


def test_nesterov_takes_any_momentum_above_nothing():
    assert TrainingConfig(optimizer="nesterov", momentum=1e-300).momentum == 1e-300
    assert TrainingConfig(optimizer="sgd", momentum=0).momentum == 0


def test_the_settings_of_a_recipe_are_given_by_name():
    with pytest.raises(TypeError):
        TrainingConfig(10)


def paragraph(start):
    """Return the paragraph of the guide that begins so, in one line."""
    (found,) = (each for each in MEASUREMENTS.read_text(encoding="utf-8").split("\n\n") if each.startswith(start))
    return " ".join(found.split())


@pytest.mark.parametrize(
    ("name", "described"), [("speedrun", "The *Speedrun* recipe is SGD"), ("drawing", "*For drawing* is SGD")]
)
def test_the_guide_says_what_a_preset_is(name, described):
    text = paragraph(described)
    config = TrainingConfig(**PRESETS[name])
    for words in (
        "SGD with Nesterov momentum",
        f"a {config.schedule} schedule up to {config.learning_rate},",
        f"weight decay {config.weight_decay},",
        f"batches of {config.batch_size},",
    ):
        assert words in text
    assert config.optimizer == "nesterov"
    assert ("images shifted by up to a pixel" in text) == (config.shift == 1)
    assert ("four drawings of each of" in text) == config.has_pen_digits
    assert not config.augment


def test_the_guide_says_for_how_many_epochs_a_preset_trains():
    text = MEASUREMENTS.read_text(encoding="utf-8")
    assert f"With {PRESETS['speedrun']['epochs']} epochs" in paragraph("The *Speedrun* recipe is SGD")
    assert f"| *For drawing*, {PRESETS['drawing']['epochs']} epochs |" in text
    assert f"| tutorial, {TrainingConfig(**PRESETS['tutorial']).epochs} epochs |" in text


def test_an_epoch_has_the_images_that_validation_leaves_and_four_drawings_of_each_pen_digit():
    config = TrainingConfig(data="mnist+pen", validation=1_000, batch_size=500, epochs=3)
    assert (config.mnist_images, config.images_per_epoch) == (59_000, 59_000 + 4 * 13_852)
    assert "drawings of each of 13,852 pen digits" in paragraph("*For drawing* is SGD")
    assert (config.steps_per_epoch, config.total_steps) == (229, 687)  # of 228 whole batches and one of 408 images
    assert (replace(config, data="mnist").steps_per_epoch, TrainingConfig().total_steps) == (118, 4_690)
    assert TrainingConfig(data="mnist+pen").described()[5] == "trained on mnist+pen"


@pytest.mark.parametrize(
    ("optimizer", "arguments"),
    [
        ("rmsprop", {"momentum": 0.7}),
        ("sgd", {"momentum": 0.7}),
        ("nesterov", {"momentum": 0.7, "nesterov": True}),
        ("adam", {"betas": (0.7, 0.999)}),
        ("adamw", {"betas": (0.7, 0.999)}),
    ],
)
def test_an_optimizer_is_given_what_the_recipe_says(optimizer, arguments):
    config = TrainingConfig(optimizer=optimizer, learning_rate=0.3, momentum=0.7, weight_decay=0.01)
    assert optimizer_arguments(config) == {"lr": 0.3, "weight_decay": 0.01, **arguments}


@pytest.mark.parametrize(
    ("setting", "value", "written"),
    [
        (Whole(label="", help="", low=0, high=10_000), 1_234, "1,234"),
        (Whole(label="", help="", low=0, high=10_000, unit="row"), 1_234, "1,234 rows"),
        (Whole(label="", help="", low=0, high=10_000, unit="row"), 1, "1 row"),
        (Whole(label="", help="", low=0, high=10_000, is_name=True), 1_234, "1234"),
        (Number(label="", help="", low=0, high=1, step=1), 0.00050, "0.0005"),
        (Choice(label="", help="", choices=("a", "b"), titles={"a": "Apple"}), "a", "a"),
        (Switch(label="", help=""), True, "on"),
        (Switch(label="", help=""), False, "off"),
    ],
)
def test_a_value_is_written_as_people_read_it(setting, value, written):
    assert setting.written(value) == written


@pytest.mark.parametrize(("always", "words"), [(False, ["", "at 2"]), (True, ["at 1", "at 2"])])
def test_a_default_goes_without_saying_unless_it_is_always_named(always, words):
    setting = Number(label="", help="", low=0, high=3, step=1, phrase="at {}", default=1, is_always_named=always)
    assert [setting.described(value) for value in (1, 2)] == words


any_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        [*OPTIMIZERS, *SETTINGS["kernels"].choices, "auto", "one-cycle", 10**400, -(10**400), b"10", [], {}, (1,), 1j]
    ),
)


@given(st.sampled_from(list(TrainingConfig.__dataclass_fields__)), any_values)
def test_any_value_of_a_setting_is_allowed_or_refused_in_a_sentence(field, value):
    try:
        config = TrainingConfig(**{field: value})
    except InvalidConfig:
        return
    assert getattr(config, field) == value
    assert type(value) in (int, float, str, bool)
    assert value not in (math.inf, -math.inf)


def test_the_defaults_are_the_tutorials():
    config = TrainingConfig()
    assert (config.epochs, config.batch_size) == (10, 128)
    assert (config.optimizer, config.learning_rate, config.momentum) == ("rmsprop", 0.001, 0.9)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 2.5),
        ("epochs", True),
        ("epochs", None),
        ("optimizer", "adagrad"),
        ("learning_rate", -0.1),
        ("learning_rate", math.nan),
        ("learning_rate", math.inf),
        ("momentum", -0.1),
        ("momentum", math.nan),
        ("weight_decay", -1e-4),
        ("weight_decay", math.nan),
        ("schedule", "cosine"),
        ("augment", 1),
        ("kernels", "cuda"),
        ("device", "tpu"),
    ],
)
def test_a_bad_value_is_refused_with_field_value_and_what_is_allowed(field, value):
    with pytest.raises(InvalidConfig, match=f"^{field} is {value!r}; allowed is .+") as refused:
        TrainingConfig(**{field: value})
    assert refused.value.field == field


def test_nesterov_without_momentum_is_refused():
    with pytest.raises(InvalidConfig, match="momentum is 0; allowed is above 0 with the optimizer nesterov"):
        TrainingConfig(optimizer="nesterov", momentum=0)


@pytest.mark.parametrize(
    ("cuda", "mps", "devices"),
    [
        (False, False, ["cpu"]),
        (True, False, ["cuda", "cpu"]),
        (False, True, ["mps", "cpu"]),
        (True, True, ["cuda", "mps", "cpu"]),
    ],
)
def test_a_run_takes_the_fastest_device_there_is_or_the_one_that_it_names(cuda, mps, devices, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert available_devices() == devices
    assert device_for(TrainingConfig()).type == devices[0]
    assert [device_for(TrainingConfig(device=name)).type for name in devices] == devices
