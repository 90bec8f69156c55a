import pytest
import torch
from torch import nn

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.training.evaluation import evaluate, predict_logits
from cnnlab.training.recipe import TrainingConfig
from cnnlab.training.script import training_script


def test_loss_and_accuracy_of_known_logits():
    # Each image is its own logits: three say 0 with certainty, and the fourth says 1 where the label is 0.
    images = torch.zeros(4, 1, 1, 10)
    images[:3, ..., 0] = images[3, ..., 1] = 100.0
    evaluation = evaluate(nn.Flatten(), images, torch.zeros(4, dtype=torch.int64))
    assert evaluation.accuracy == 0.75
    assert evaluation.loss == pytest.approx(25.0)


def test_predicting_uses_evaluation_mode_and_goes_back():
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5)).train()
    images = torch.ones(3, 1, 1, 10)
    assert torch.equal(predict_logits(model, images), images.flatten(1))
    assert model.training


def test_a_last_batch_that_is_not_full_counts_by_its_images():
    images = torch.zeros(501, 1, 1, 10)
    images[..., 0] = 100.0
    labels = torch.zeros(501, dtype=torch.int64)
    labels[500] = 1
    evaluation = evaluate(nn.Flatten(), images, labels)
    assert evaluation.accuracy == pytest.approx(500 / 501)
    assert evaluation.loss == pytest.approx(100 / 501, rel=1e-5)


def test_images_are_asked_about_by_five_hundred_as_the_training_script_says():
    asked = []
    model = nn.Flatten()
    model.register_forward_hook(lambda _, given, answers: asked.append(len(given[0])))
    predict_logits(model, torch.zeros(1_200, 1, 1, 10))
    assert asked == [500, 500, 200]
    assert "EVALUATION_BATCH_SIZE = 500\n" in training_script(DEFINITIONS["module"].source, TrainingConfig())


def test_predicting_leaves_a_model_in_evaluation_mode_there_and_keeps_no_gradients():
    model = nn.Sequential(nn.Flatten(), nn.Linear(10, 10)).eval()
    assert not predict_logits(model, torch.ones(3, 1, 1, 10)).requires_grad
    assert not model.training
