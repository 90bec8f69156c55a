import math
from copy import deepcopy

import pytest
import torch
from torch import nn

from cnnlab.fused.optimizer import FusedUpdate
from cnnlab.training.optimizers import OPTIMIZERS
from cnnlab.training.recipe import TrainingConfig, optimizer_arguments


def optimizer_for(config):
    torch.manual_seed(0)
    parameter = nn.Parameter(torch.randn(1001))
    return parameter, OPTIMIZERS[config.optimizer]([parameter], **optimizer_arguments(config))


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_updates_are_those_of_pytorch(name, weight_decay, momentum):
    if name == "nesterov" and not momentum:
        pytest.skip("there is no such recipe")
    config = TrainingConfig(optimizer=name, weight_decay=weight_decay, momentum=momentum, learning_rate=0.01)
    ours, optimizer = optimizer_for(config)
    theirs, their_optimizer = optimizer_for(config)
    update = FusedUpdate(optimizer, name)
    for number in range(20):
        gradient = torch.randn(1001)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        for group in (optimizer.param_groups[0], their_optimizer.param_groups[0]):
            group["lr"] = 0.01 / (1 + number)
        update.step()
        their_optimizer.step()
        assert torch.allclose(ours, theirs, rtol=1e-6, atol=1e-6)
    for of_ours, of_theirs in zip(optimizer.state[ours].values(), their_optimizer.state[theirs].values(), strict=True):
        assert of_theirs is None or torch.allclose(of_ours, of_theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_without_decay_an_infinite_weight_does_no_harm(name):
    parameter, optimizer = optimizer_for(TrainingConfig(optimizer=name, momentum=0.9))
    update = FusedUpdate(optimizer, name)
    for _ in range(3):
        with torch.no_grad():
            parameter[0] = math.inf
        parameter.grad = torch.ones(1001)
        update.step()
    assert parameter[0] == math.inf
    assert parameter[1:].isfinite().all()


def test_memory_of_another_size_is_left_to_pytorch_to_complain_of():
    parameter, optimizer = optimizer_for(TrainingConfig(momentum=0.9))
    update = FusedUpdate(optimizer, "rmsprop")
    parameter.grad = torch.ones(1001)
    update.step()
    optimizer.state[parameter]["momentum_buffer"] = torch.zeros(5)
    with pytest.raises(RuntimeError, match="size"):
        update.step()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_update_from_a_loaded_state_is_the_same_to_the_last_bit(name):
    config = TrainingConfig(optimizer=name, momentum=0.9, learning_rate=0.01)
    parameter, optimizer = optimizer_for(config)
    update = FusedUpdate(optimizer, name)
    for _ in range(3):
        parameter.grad = torch.randn(1001)
        update.step()
    resumed, resumed_optimizer = optimizer_for(config)
    with torch.no_grad():
        resumed.copy_(parameter)
    resumed_update = FusedUpdate(resumed_optimizer, name)
    resumed_optimizer.load_state_dict(deepcopy(optimizer.state_dict()))
    parameter.grad = torch.randn(1001)
    resumed.grad = parameter.grad.clone()
    update.step()
    resumed_update.step()
    assert torch.equal(parameter, resumed)
