"""How good a model is on images it was not trained on."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Large enough to keep the cores busy, small enough that the first layer's output (8 x 26 x 26 floats an image, 11 MB
# for 500 images) is not much larger than a cache.
EVALUATION_BATCH_SIZE = 500


class Evaluation(NamedTuple):
    """Mean cross entropy in nats, and the share of images whose highest logit is the right one (0 to 1)."""

    loss: float
    accuracy: float


def predict_logits(model: nn.Module, images: Tensor) -> Tensor:
    """Return the logits of all images, in evaluation mode and without gradients.

    Parameters
    ----------
    model
        Left in the mode (training or evaluation) it was in.
    images
        Shape (N, 1, 28, 28), on the model's device.

    Returns
    -------
    Tensor
        Shape (N, 10).
    """
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        logits = torch.cat([model(batch) for batch in images.split(EVALUATION_BATCH_SIZE)])
    model.train(was_training)
    return logits


def evaluate(model: nn.Module, images: Tensor, labels: Tensor) -> Evaluation:
    """Return the loss and the accuracy of a model on labelled images.

    Parameters
    ----------
    images
        Shape (N, 1, 28, 28), on the model's device.
    labels
        Shape (N,), int64, on the model's device.
    """
    logits = predict_logits(model, images)
    loss = F.cross_entropy(logits, labels).item()
    right = (logits.argmax(dim=1) == labels).sum().item()
    return Evaluation(loss, accuracy=right / len(labels))
