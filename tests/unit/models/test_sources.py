import pytest
import torch

from cnnlab.engine.export import export
from cnnlab.models.definitions import DEFINITIONS, UnknownDefinition
from cnnlab.models.insight import feature_maps, filters_of
from cnnlab.models.layers import layers_of_definition
from cnnlab.models.reading.network import CannotRead
from cnnlab.models.sources import definition_of, read_definition
from cnnlab.training.loop import train
from cnnlab.training.recipe import TrainingConfig


def test_a_registered_network_is_meant_where_it_is_written_so():
    definition = DEFINITIONS["module"]
    assert definition_of("module", definition.source) is definition


def test_a_source_is_enough_where_the_registered_network_has_changed():
    source = DEFINITIONS["residual"].source
    assert list(definition_of("module", source).build(0).state_dict()) == list(
        DEFINITIONS["residual"].build(0).state_dict()
    )


def test_a_source_that_cannot_be_read_or_trained_is_refused_with_its_line():
    with pytest.raises(UnknownDefinition, match="Line 1: a for loop"):
        definition_of("mine", "for i in x:\n    pass")
    with pytest.raises(CannotRead, match=r"Line 1: nn\.Linear takes 3 numbers"):
        read_definition("mine", "nn.Sequential(nn.Flatten(), nn.Linear(3, 10))")


@pytest.mark.slow
@pytest.mark.parametrize("kernels", ["torch", "fused"])
@pytest.mark.parametrize("definition", DEFINITIONS.values(), ids=DEFINITIONS)
def test_a_network_that_was_read_trains_with_the_losses_of_the_one_that_is_executed(definition, kernels, mnist):
    config = TrainingConfig(epochs=1, threads=1, kernels=kernels, device="cpu")
    written = read_definition("mine", definition.source)
    losses = [
        [event.loss for event in train(each.build(0), mnist, config) if hasattr(event, "loss")]
        for each in (written, definition)
    ]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("definition", DEFINITIONS.values(), ids=DEFINITIONS)
def test_a_network_that_was_read_is_looked_into_and_sent_to_the_browser_as_the_executed_one(definition):
    written = read_definition("mine", definition.source)
    one, other = written.build(0), definition.build(0)
    image = torch.rand(1, 28, 28)
    for mine, theirs in ((filters_of(one), filters_of(other)), (feature_maps(one, image), feature_maps(other, image))):
        assert list(mine) == list(theirs)
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert export(one).weights == export(other).weights
    assert [layer["op"] for layer in export(one).layers] == [layer["op"] for layer in export(other).layers]
    assert [layer.name for layer in layers_of_definition(written)] == [
        layer.name for layer in layers_of_definition(definition)
    ]
