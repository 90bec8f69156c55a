from dataclasses import dataclass, replace

import click
import pytest
from click.testing import CliRunner

from cnnlab.charts.sweep import title_of
from cnnlab.cli import train as command_line
from cnnlab.sweeps.plan import FIELDS, is_whole
from cnnlab.training.recipe import SETTINGS, InvalidConfig, TrainingConfig
from cnnlab.training.setting_kinds import Choice, Number, Switch, Whole, number, settings_of

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
