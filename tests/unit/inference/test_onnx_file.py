from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cnnlab.data.mnist import load_test_set
from cnnlab.inference import onnx_file
from cnnlab.inference.networks import NoPredictions, newest_network_of
from cnnlab.inference.onnx_file import CannotWriteONNX, as_onnx, run_as_onnx, run_as_onnx_elsewhere
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.models.sources import read_definition
from cnnlab.runs.shelf import create_run, find_run, reference_runs
from cnnlab.training.evaluation import predict_logits
from cnnlab.training.recipe import TrainingConfig
from cnnlab.ui.write.examples import EXAMPLES

pytestmark = pytest.mark.slow

pytest.importorskip("onnxscript")
onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
REFERENCES = [run.id for run in reference_runs()]


@pytest.fixture(scope="module")
def images():
    return load_test_set()[0][:500]


def session_of(content):
    onnx.checker.check_model(onnx.load_from_string(content))
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def assert_answers_as(module, session, images):
    expected = predict_logits(module, images).numpy()
    for count in (len(images), 1):
        (logits,) = session.run(["logits"], {"images": images[:count].numpy()})
        np.testing.assert_allclose(logits, expected[:count], rtol=0, atol=1e-4)
        assert (logits.argmax(1) == expected[:count].argmax(1)).all()


@pytest.mark.parametrize("name", [*DEFINITIONS, *EXAMPLES])
def test_another_runtime_answers_as_pytorch_does(name, images):
    definition = DEFINITIONS.get(name) or read_definition("Mine", EXAMPLES[name])
    module = definition.build(seed=0)
    with torch.no_grad():
        module(images)  # in training: batch normalization keeps means that are not 0
    assert_answers_as(module.eval(), session_of(as_onnx(module)), images)


@pytest.mark.parametrize("run_id", REFERENCES)
def test_a_run_is_written_with_what_it_has_learned(run_id, images):
    run = find_run(run_id)
    assert_answers_as(newest_network_of(run).module, session_of(run_as_onnx(run)), images)


def test_the_file_names_what_goes_in_and_out_and_says_nothing_of_this_machine(capsys):
    run = find_run("reference-module")
    content = run_as_onnx(run)
    assert capsys.readouterr().out == ""  # PyTorch would tell of its work, also in a terminal
    session = session_of(content)
    (given,), (answered,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape, given.type) == ("images", ["N", 1, 28, 28], "tensor(float)")
    assert (answered.name, answered.shape, answered.type) == ("logits", ["N", 10], "tensor(float)")
    model = onnx.load_from_string(content)
    assert model.doc_string.startswith(f"{run.title}, trained by CNN Lab as {run.name}.")
    assert {each.name for each in model.graph.initializer} >= {"conv1.weight", "fc3.bias"}
    assert str(Path(torch.__file__).parent).encode() not in content
    assert b"definitions.py" not in content


def test_without_the_packages_it_says_how_to_install_them(monkeypatch):
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None)
    with pytest.raises(CannotWriteONNX, match=r"pip install -r cnnlab/requirements-onnx\.txt"):
        as_onnx(nn.Identity())


def test_what_pytorch_cannot_follow_is_told():
    class DependsOnTheImage(nn.Module):
        def forward(self, x):
            return x.flatten(1)[:, :10] if x.sum() > 0 else x.flatten(1)[:, 10:20]

    with pytest.raises(CannotWriteONNX, match=r"^PyTorch cannot write this network as ONNX \(\S.*\S\)\.\Z"):
        as_onnx(DependsOnTheImage())


def test_a_process_of_its_own_writes_the_same_file(lab_home):
    run = find_run("reference-sequential")
    assert run_as_onnx_elsewhere(run) == run_as_onnx(run)


def test_why_a_process_could_not_write_it_is_told(lab_home):
    run = create_run(DEFINITIONS["module"], TrainingConfig())
    with pytest.raises(NoPredictions):
        run_as_onnx(run)
    with pytest.raises(CannotWriteONNX, match="has no weights yet"):
        run_as_onnx_elsewhere(run)
