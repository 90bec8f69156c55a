"""A run's recipe as a script that needs torch and torchvision alone, or also the lab where it trains on pen digits.

It trains with PyTorch's own kernels, as a run with ``kernels="torch"`` does, to the last bit.
"""

import ast
import inspect
from string import Template
from textwrap import indent

from cnnlab.data import augmentation
from cnnlab.data.mnist import IMAGE_SHAPE, import_torchvision
from cnnlab.models.reading.source import read
from cnnlab.models.reading.understanding import understand
from cnnlab.models.writing import as_sequential
from cnnlab.training.batches import random_changes, shuffled
from cnnlab.training.evaluation import EVALUATION_BATCH_SIZE, predict_logits
from cnnlab.training.optimizers import OPTIMIZERS, highest_learning_rate, learning_rate_at
from cnnlab.training.recipe import TrainingConfig, optimizer_arguments
from cnnlab.training.state import as_channels_last, takes_channels_last

_TEMPLATE = Template('''\
"""Trains one network on $title, as CNN Lab did. Needs $needs; fetches MNIST into ./data.

On the machine that trained the run, with the same versions, the losses are the same to the last bit if the run used
PyTorch's own kernels. The lab's fused kernels add the same numbers in another order: the first losses agree to about
six digits, and the later ones part slowly, as they do with another number of threads.
"""

import zlib
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn
$imports
EPOCHS = $epochs
BATCH_SIZE = $batch_size
SEED = $seed
IMAGE_SHAPE = $image_shape
EVALUATION_BATCH_SIZE = $evaluation_batch_size


$source

$import_torchvision

$shuffled

$predict_logits

$as_channels_last

$takes_channels_last$sources_for_each_step

def load(train: bool) -> tuple[Tensor, Tensor]:
    mnist = import_torchvision().datasets.MNIST("./data", train=train, download=True)
    return mnist.data.unsqueeze(1).float().div(255).to(device), mnist.targets.to(device)


torch.set_num_threads($threads)
torch.set_flush_denormal(True)
torch.backends.cudnn.deterministic = True
device = torch.device($device)
torch.manual_seed(SEED)
model = $factory().to(device)
optimizer = torch.optim.$optimizer(model.parameters(), $arguments)

train_images, train_labels = (each[:$train_images] for each in load(train=True))
test_images, test_labels = load(train=False)
$size
has_channels_last = takes_channels_last(model)
torch.manual_seed(SEED)
print("epoch\\ttrain loss\\ttest loss\\ttest accuracy")
for epoch in range(1, EPOCHS + 1):
    model.train()
    loss_sum = 0.0
$at_each_epoch    batches = shuffled(size, SEED, epoch)$where.split(BATCH_SIZE)
    for batch, indices in enumerate(batches):
$mnist_alone        images, labels = train_images[indices$of_mnist], train_labels[indices$of_mnist]
$at_each_step        if has_channels_last:
            images = as_channels_last(images)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        loss_sum += loss.item()

    logits = predict_logits(model, test_images)
    test_loss = F.cross_entropy(logits, test_labels).item()
    accuracy = (logits.argmax(dim=1) == test_labels).sum().item() / len(test_labels)
    print(f"{epoch}\\t{loss_sum / len(batches)}\\t{test_loss}\\t{100 * accuracy:.2f} %")
''')


def training_script(source: str, config: TrainingConfig, learning_rates: dict[int, float] | None = None) -> str:
    """Return a Python script that trains a definition with a recipe.

    Parameters
    ----------
    source
        The definition: a function or a class that takes no arguments and gives the module, or a source that the lab
        can read.
    config
        The recipe.
    learning_rates
        Those that somebody set while it trained, as `cnnlab.training.loop.train` takes them.
    """
    source, factory = _with_factory(source)
    sources, statements = _at_each_step(config, learning_rates or {})
    arguments = ", ".join(f"{name}={value!r}" for name, value in optimizer_arguments(config).items())
    return _TEMPLATE.substitute(
        epochs=config.epochs,
        batch_size=config.batch_size,
        train_images=config.mnist_images,
        seed=config.seed,
        source=source,
        **(_WITH_PEN_DIGITS if config.has_pen_digits else _WITHOUT_PEN_DIGITS),
        import_torchvision=inspect.getsource(import_torchvision),
        image_shape=IMAGE_SHAPE,
        predict_logits=inspect.getsource(predict_logits),
        as_channels_last=inspect.getsource(as_channels_last),
        takes_channels_last=inspect.getsource(takes_channels_last),
        shuffled=inspect.getsource(shuffled),
        sources_for_each_step="".join(f"\n\n{source}" for source in sources),
        at_each_step="".join(f"        {statement}\n" for statement in statements),
        threads=config.threads,
        device=_FASTEST_DEVICE if config.device == "auto" else repr(config.device),
        factory=factory,
        optimizer=OPTIMIZERS[config.optimizer].__name__,
        arguments=arguments,
        evaluation_batch_size=EVALUATION_BATCH_SIZE,
    )


def _with_factory(source: str) -> tuple[str, str]:
    """Return a source that makes a function or a class that gives the module, and its name."""
    made = [each for each in ast.parse(source).body if isinstance(each, ast.FunctionDef | ast.ClassDef)]
    if made:
        imports = "from collections import OrderedDict\n\n\n" if "OrderedDict" in source else ""
        return f"{imports}{source}", made[-1].name
    layers = as_sequential(understand(read(source))).replace("model = ", "return ", 1)
    return f"def network() -> nn.Module:\n{indent(layers, '    ')}", "network"


def _at_each_step(config: TrainingConfig, learning_rates: dict[int, float]) -> tuple[list[str], list[str]]:
    """Return the sources and statements that a recipe adds to the tutorial's loop before each step."""
    sources: list[str] = []
    statements: list[str] = []
    if config.augment or config.shift:
        sources += [inspect.getsource(augmentation), inspect.getsource(random_changes)]
        statements += ["changes = random_changes(SEED, step)"]
    if config.augment:
        statements += ["images = augment(images, labels, changes)"]
    if config.has_pen_digits:
        statements += [
            "drawn_images, drawn_labels = drawings.batch(indices[is_drawing] - len(train_images), threads=1)",
            "images = torch.cat([images, drawn_images.to(device)])",
            "labels = torch.cat([labels, drawn_labels.to(device)])",
        ]
    if config.shift:
        statements += [f"images = shift(images, {config.shift}, changes)"]
    highest = repr(config.learning_rate)
    if learning_rates:
        sources += [inspect.getsource(highest_learning_rate)]
        highest = f"highest_learning_rate(step + 1, {highest}, {learning_rates!r})"
    if learning_rates or config.schedule != "constant":
        sources += [inspect.getsource(learning_rate_at)]
        statements += [
            "progress = (step + 0.5) / (EPOCHS * len(batches))",
            "for group in optimizer.param_groups:",
            f'    group["lr"] = learning_rate_at(progress, {highest}, "{config.schedule}")',
        ]
    return sources, ["step = (epoch - 1) * len(batches) + batch", *statements] if statements else []


_WITHOUT_PEN_DIGITS = {
    "title": "MNIST",
    "needs": "torch and torchvision",
    "imports": "",
    "size": "size = len(train_images)",
    "at_each_epoch": "",
    "where": ".to(device)",
    "mnist_alone": "",
    "of_mnist": "",
}
_WITH_PEN_DIGITS = {
    "title": "MNIST and pen digits",
    "needs": "torch, torchvision and, for the pen digits,\n"
    "the lab itself: run it with PYTHONPATH set to the lab's folder",
    "imports": "\nfrom cnnlab.drawing.pen import load_pen_data\n"
    "from cnnlab.training.batches import DRAWINGS_OF_A_DIGIT, PenDrawings\n",
    "size": "outlines = load_pen_data(with_training=True).outlines\n"
    "size = len(train_images) + DRAWINGS_OF_A_DIGIT * len(outlines)",
    "at_each_epoch": "    drawings = PenDrawings(outlines, SEED, epoch)\n",
    "where": "",
    "mnist_alone": "        is_drawing = indices >= len(train_images)\n",
    "of_mnist": "[~is_drawing].to(device)",
}
_FASTEST_DEVICE = '"cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"'
