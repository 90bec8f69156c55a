"""What the optimizer makes of a gradient: its rule with the numbers of one weight, and steps of other lengths."""

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from cnnlab.fused.optimizer import FusedUpdate
from cnnlab.stepping.forward import loss_in
from cnnlab.stepping.stepper import Step, trained_parameters
from cnnlab.training.optimizers import OPTIMIZERS
from cnnlab.training.recipe import TrainingConfig, optimizer_arguments

_SMOOTHING, _SECOND_BETA, _EPSILON = 0.99, 0.999, 1e-8  # PyTorch's defaults, which the recipe leaves alone


@dataclass(frozen=True)
class Line:
    """One line of an optimizer's rule.

    Attributes
    ----------
    name
        What it computes, in words.
    formula
        Of letters, as LaTeX.
    numbers
        The same with the numbers in it, as LaTeX.
    value
        What comes out.
    """

    name: str
    formula: str
    numbers: str
    value: float


def rule_of(step: Step, config: TrainingConfig, parameter: str, index: tuple[int, ...]) -> list[Line]:
    """Return how the optimizer came from a weight's gradient to the new weight, line by line.

    Parameters
    ----------
    config
        The recipe of the step.
    parameter, index
        The name of the parameter, and the place within it.

    Returns
    -------
    list of Line
        The last one gives the new weight.

    References
    ----------
    The rules are those in PyTorch's documentation of RMSprop, SGD, Adam and AdamW.
    """
    state = {name: of_it[parameter][index].item() for name, of_it in optimizer_state(step).items()}
    return _lines(step, config, parameter, index, state)


def weight_by_gradient_alone(step: Step, config: TrainingConfig, parameter: str, index: tuple[int, ...]) -> float:
    """Return the weight that would come of a step if those before it had left it no way to carry on.

    What they left is then the rest of the way to the weight that `rule_of` ends at.
    """
    state = {
        name: of_it[parameter][index].item()
        for name, of_it in optimizer_state(step).items()
        if name not in ("momentum_buffer", "exp_avg")
    }
    return _lines(step, config, parameter, index, state)[-1].value


def _lines(
    step: Step, config: TrainingConfig, parameter: str, index: tuple[int, ...], state: dict[str, float]
) -> list[Line]:
    weight = step.before.get_parameter(parameter)[index].item()
    gradient = step.gradients[parameter][index].item()
    rule = _Rule(weight, gradient, step.learning_rate, config.weight_decay, state)
    match config.optimizer:
        case "rmsprop":
            rule.rmsprop(config.momentum)
        case "sgd" | "nesterov":
            rule.sgd(config.momentum, is_nesterov=config.optimizer == "nesterov")
        case "adam" | "adamw":
            rule.adam(config.momentum, step.number, is_decoupled=config.optimizer == "adamw")
    return rule.lines


class _Rule:
    """Writes the lines of a rule, and carries their values on."""

    def __init__(self, weight: float, gradient: float, rate: float, decay: float, state: dict[str, float]) -> None:
        self.weight, self.gradient, self.rate, self.decay, self.state = weight, gradient, rate, decay, state
        self.lines: list[Line] = []

    def add(self, name: str, formula: str, numbers: str, value: float) -> float:
        self.lines.append(Line(name, formula, numbers, value))
        return value

    def rmsprop(self, momentum: float) -> None:
        self.decay_the_gradient()
        before, g, a = self.state.get("square_avg", 0.0), self.gradient, _SMOOTHING
        mean = self.add(
            "Running mean of the squares",
            r"v \leftarrow \alpha v + (1 - \alpha)\, g^2",
            rf"{_tex(a)} \cdot {_tex(before)} + {_tex(1 - a)} \cdot {_tex(g, in_brackets=True)}^2",
            a * before + (1 - a) * g**2,
        )
        root = self.add("Its square root", r"\sqrt{v} + \epsilon", rf"\sqrt{{{_tex(mean)}}} + 10^{{-8}}", _root(mean))
        way = self.add(
            "The gradient, over its usual size",
            r"d = g / (\sqrt{v} + \epsilon)",
            rf"{_tex(g)} / {_tex(root)}",
            g / root,
        )
        if momentum:
            way = self.carry(momentum, way, "d")
        self.end(way, "b" if momentum else "d")

    def sgd(self, momentum: float, *, is_nesterov: bool) -> None:
        self.decay_the_gradient()
        g = self.gradient
        if not momentum:
            self.end(g, "g")
            return
        way = self.carry(momentum, g, "g")
        if is_nesterov:
            way = self.add(
                "Nesterov: a look ahead along it",
                r"d = g + \mu b",
                rf"{_tex(g)} + {_tex(momentum)} \cdot {_tex(way, in_brackets=True)}",
                g + momentum * way,
            )
        self.end(way, "d" if is_nesterov else "b")

    def adam(self, first_beta: float, number: int, *, is_decoupled: bool) -> None:
        if is_decoupled and self.decay:
            self.weight = self.add(
                "Weight decay, of the weight itself",
                r"w \leftarrow w - \eta \lambda w",
                rf"{_tex(self.weight)} - {_tex(self.rate)} \cdot {_tex(self.decay)} \cdot "
                rf"{_tex(self.weight, in_brackets=True)}",
                self.weight * (1 - self.rate * self.decay),
            )
        elif not is_decoupled:
            self.decay_the_gradient()
        g, betas = self.gradient, (first_beta, _SECOND_BETA)
        before = self.state.get("exp_avg", 0.0)
        mean = self.add(
            "Running mean of the gradients",
            r"m \leftarrow \beta_1 m + (1 - \beta_1)\, g",
            rf"{_tex(betas[0])} \cdot {_tex(before, in_brackets=True)} + {_tex(1 - betas[0])} \cdot "
            rf"{_tex(g, in_brackets=True)}",
            betas[0] * before + (1 - betas[0]) * g,
        )
        before = self.state.get("exp_avg_sq", 0.0)
        square = self.add(
            "Running mean of the squares",
            r"v \leftarrow \beta_2 v + (1 - \beta_2)\, g^2",
            rf"{_tex(betas[1])} \cdot {_tex(before)} + {_tex(1 - betas[1])} \cdot {_tex(g, in_brackets=True)}^2",
            betas[1] * before + (1 - betas[1]) * g**2,
        )
        corrected = self.add(
            "The first, as it would be without its zero at the start",
            r"\hat{m} = m / (1 - \beta_1^t)",
            rf"{_tex(mean)} / (1 - {_tex(betas[0])}^{{{number}}})",
            mean / (1 - betas[0] ** number),
        )
        square = self.add(
            "The second likewise",
            r"\hat{v} = v / (1 - \beta_2^t)",
            rf"{_tex(square)} / (1 - {_tex(betas[1])}^{{{number}}})",
            square / (1 - betas[1] ** number),
        )
        root = _root(square)
        way = self.add(
            "The mean gradient, over its usual size",
            r"d = \hat{m} / (\sqrt{\hat{v}} + \epsilon)",
            rf"{_tex(corrected)} / (\sqrt{{{_tex(square)}}} + 10^{{-8}})",
            corrected / root,
        )
        self.end(way, "d")

    def decay_the_gradient(self) -> None:
        if self.decay:
            self.gradient = self.add(
                "Weight decay, in the gradient",
                r"g \leftarrow g + \lambda w",
                rf"{_tex(self.gradient)} + {_tex(self.decay)} \cdot {_tex(self.weight, in_brackets=True)}",
                self.gradient + self.decay * self.weight,
            )

    def carry(self, momentum: float, way: float, letter: str) -> float:
        before = self.state.get("momentum_buffer", 0.0)
        return self.add(
            "Velocity: momentum keeps most of the last one",
            rf"b \leftarrow \mu b + {letter}",
            rf"{_tex(momentum)} \cdot {_tex(before, in_brackets=True)} + {_tex(way, in_brackets=True)}",
            momentum * before + way,
        )

    def end(self, way: float, letter: str) -> None:
        self.add(
            "The new weight",
            rf"w \leftarrow w - \eta\, {letter}",
            rf"{_tex(self.weight)} - {_tex(self.rate)} \cdot {_tex(way, in_brackets=True)}",
            self.weight - self.rate * way,
        )


def _root(square: float) -> float:
    return math.sqrt(square) + _EPSILON


def _tex(number: float, *, in_brackets: bool = False) -> str:
    """Return a number as LaTeX, with up to five digits."""
    text = f"{number:.5g}"
    if "e" in text:
        digits, _, power = text.partition("e")
        text = rf"{digits} \cdot 10^{{{int(power)}}}"
        in_brackets = True
    return f"({text})" if in_brackets and (number < 0 or "cdot" in text) else text


def optimizer_state(step: Step) -> dict[str, dict[str, Tensor]]:
    """Return what the optimizer knew when a step began: by its own names and the parameters', none at first."""
    state = step.optimizer_before["state"].get(0, {})
    trained = trained_parameters(step.before)
    sizes = [each.numel() for each in trained.values()]
    return {
        name: {
            parameter: numbers.view(each.shape)
            for (parameter, each), numbers in zip(trained.items(), values.split(sizes), strict=True)
        }
        for name, values in state.items()
        if isinstance(values, Tensor) and values.ndim
    }


def with_learning_rate(step: Step, config: TrainingConfig, learning_rate: float) -> nn.Module:
    """Return the network after the same step with another learning rate: the optimizer takes it again."""
    network = deepcopy(step.before)
    trained = trained_parameters(network)
    buffer = nn.Parameter(parameters_to_vector(trained.values()).detach())
    buffer.grad = torch.cat([step.gradients[name].ravel() for name in trained])
    optimizer = OPTIMIZERS[config.optimizer]([buffer], **optimizer_arguments(config))
    optimizer.load_state_dict(deepcopy(step.optimizer_before))
    optimizer.param_groups[0]["lr"] = learning_rate
    (FusedUpdate(optimizer, config.optimizer) if step.kernels == "fused" else optimizer).step()
    vector_to_parameters(buffer.detach(), trained.values())
    return network


def losses_along(step: Step, shares: Sequence[float]) -> list[float]:
    """Return the batch's loss along the line from the weights before a step through those after it, in nats.

    All the rules here are proportional to the learning rate: a step with twice the rate ends at twice the way.

    Parameters
    ----------
    shares
        How far along: 0 is before the step, 1 after it.
    """
    network = deepcopy(step.before)
    before, after = ([each.detach() for each in one.parameters()] for one in (step.before, step.after))
    losses = []
    for share in shares:
        with torch.no_grad():
            for weights, start, end in zip(network.parameters(), before, after, strict=True):
                weights.copy_(torch.lerp(start, end, share))
        losses.append(loss_in(step, network))
    return losses
