"""A run's recipe as a script that needs torch and torchvision alone, and gives the same losses."""

import ast
import inspect
from string import Template

from cnnlab.data import import_torchvision
from cnnlab.evaluation import EVALUATION_BATCH_SIZE
from cnnlab.training import OPTIMIZERS, TrainingConfig, optimizer_arguments, shuffled

_TEMPLATE = Template('''\
"""Trains one network on MNIST, as CNN Lab did. Needs torch and torchvision; fetches MNIST into ./data.

On the machine that trained the run, with the same versions, the losses are the same to the last bit.
"""

import zlib
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPOCHS = $epochs
BATCH_SIZE = $batch_size
SEED = $seed


$source

$import_torchvision

$shuffled

def load(train: bool) -> tuple[Tensor, Tensor]:
    mnist = import_torchvision().datasets.MNIST("./data", train=train, download=True)
    return mnist.data.unsqueeze(1).float().div(255).to(device), mnist.targets.to(device)


torch.set_num_threads($threads)
torch.backends.cudnn.deterministic = True
device = torch.device($device)
torch.manual_seed(SEED)
model = $factory().to(device)
optimizer = torch.optim.$optimizer(model.parameters(), $arguments)

train_images, train_labels = load(train=True)
test_images, test_labels = load(train=False)
torch.manual_seed(SEED)
print("epoch\\ttrain loss\\ttest loss\\ttest accuracy")
for epoch in range(1, EPOCHS + 1):
    model.train()
    loss_sum = 0.0
    batches = shuffled(len(train_images), SEED, epoch).to(device).split(BATCH_SIZE)
    for indices in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(train_images[indices]), train_labels[indices])
        loss.backward()
        optimizer.step()
        loss_sum += loss.item()

    model.eval()
    with torch.inference_mode():
        logits = torch.cat([model(images) for images in test_images.split($evaluation_batch_size)])
    test_loss = F.cross_entropy(logits, test_labels).item()
    accuracy = (logits.argmax(dim=1) == test_labels).sum().item() / len(test_labels)
    print(f"{epoch}\\t{loss_sum / len(batches)}\\t{test_loss}\\t{accuracy:.2%}")
''')


def training_script(source: str, config: TrainingConfig) -> str:
    """Return a Python script that trains a definition with a recipe.

    Parameters
    ----------
    source
        The definition: one function or class that takes no arguments and gives the module.
    config
        The recipe.
    """
    factory = ast.parse(source).body[0]
    assert isinstance(factory, ast.FunctionDef | ast.ClassDef)
    arguments = ", ".join(f"{name}={value!r}" for name, value in optimizer_arguments(config).items())
    return _TEMPLATE.substitute(
        epochs=config.epochs,
        batch_size=config.batch_size,
        seed=config.seed,
        source=source,
        import_torchvision=inspect.getsource(import_torchvision),
        shuffled=inspect.getsource(shuffled),
        threads=config.threads,
        device=_FASTEST_DEVICE if config.device == "auto" else repr(config.device),
        factory=factory.name,
        optimizer=OPTIMIZERS[config.optimizer].__name__,
        arguments=arguments,
        evaluation_batch_size=EVALUATION_BATCH_SIZE,
    )


_FASTEST_DEVICE = '"cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"'
