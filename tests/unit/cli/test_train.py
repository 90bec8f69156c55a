import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cnnlab.cli.main import main
from cnnlab.data.mnist import load_test_set
from cnnlab.drawing.strokes import Stroke, ink_of
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.log import Status
from cnnlab.runs.queue import enqueue
from cnnlab.runs.shelf import all_runs, create_run, find_run
from cnnlab.runs.snapshots import kept_steps
from cnnlab.sweeps.sweep import all_sweeps
from cnnlab.training.recipe import TrainingConfig

pytestmark = pytest.mark.slow

TRAIN = [sys.executable, "-m", "cnnlab", "train"]


def invoke(*arguments):
    return CliRunner().invoke(main, list(arguments))


def records(text):
    return [json.loads(line) for line in text.splitlines()]


def test_training_prints_the_run_and_an_epoch_a_line_and_is_listed():
    options = ["--model", "module", "--epochs", "1", "--seed", "3", "--threads", "2", "--learner", "Ada"]
    trained = invoke("train", *options, "--json")
    assert trained.exit_code == 0
    started, epoch = records(trained.stdout)
    assert started["event"] == "run"
    assert set(epoch) >= {"event", "epoch", "train_loss", "test_loss", "test_accuracy", "seconds"}
    assert (epoch["event"], epoch["epoch"]) == ("epoch", 1)

    (listed,) = records(invoke("runs", "--json").stdout)
    assert (listed["id"], listed["status"], listed["model"]) == (started["id"], "finished", "module")
    assert listed["config"]["seed"] == 3
    assert listed["made_by"] == "Ada"
    assert listed["pen_accuracy"] == epoch["pen_accuracy"] > 0.5


def test_ctrl_c_keeps_a_checkpoint_and_resume_goes_on():
    interrupted = subprocess.Popen(
        [*TRAIN, "--epochs", "2", "--threads", "2", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    run_id = json.loads(interrupted.stdout.readline())["id"]
    assert json.loads(interrupted.stdout.readline())["epoch"] == 1
    interrupted.send_signal(signal.SIGINT)
    _, told = interrupted.communicate()
    assert interrupted.returncode == 0
    assert f"python -m cnnlab train --resume {run_id}" in told
    assert all_runs()[0].status is Status.STOPPED

    resumed = subprocess.run([*TRAIN, "--resume", run_id, "--json"], capture_output=True, text=True, check=True)
    assert [record.get("epoch") for record in records(resumed.stdout)] == [None, 2]

    again = invoke("train", "--resume", run_id)
    assert again.exit_code == 2
    assert "nothing left to train" in again.output


def test_the_table_for_people():
    printed = invoke("train", "--epochs", "1", "--batch-size", "1000", "--threads", "2").stdout
    assert "epoch\tloss\ttest accuracy\tdrawn by people" in printed
    assert re.fullmatch(r"1\t\d\.\d{4}\t\d\d\.\d\d %\t\d\d\.\d\d %", printed.splitlines()[-1])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--learning-rate", "0"], "--learning-rate: learning_rate is 0.0; allowed is a number above 0"),
        (["--learning-rate", "nan"], "learning_rate is nan"),
        (["--epochs", "0"], "epochs is 0; allowed is a whole number from 1 to 1,000"),
        (["--batch-size", "70000"], "batch_size is 70000"),
        (["--optimizer", "lion"], "optimizer is 'lion'; allowed is one of rmsprop, sgd, nesterov, adam, adamw"),
        (["--seed", "x"], "'x' is not a valid integer"),
        (["--device", "tpu"], "device is 'tpu'"),
        (["--device", "mps"], "device is 'mps'; allowed is one of auto"),
        (["--model", "vgg"], "There is no network named 'vgg'"),
        (["--resume", "nope"], "There is no run 'nope'"),
        (["--resume", "nope", "--seed", "0"], "keeps its recipe and its name: leave out --seed"),
        (["--name", "x" * 100], "1 to 80 characters"),
        (["--snapshots", "101"], "snapshots is 101; allowed is 0, or a whole number from 2 to 100"),
        (["--resume", "nope", "--snapshots", "0"], "leave out --snapshots"),
        (["--resume", "nope", "--learner", "Ada"], "leave out --learner"),
        (["--learner", " "], "A name has 1 to 40 letters"),
    ],
)
def test_a_bad_argument_ends_with_2_and_a_sentence(arguments, told):
    refused = invoke("train", *arguments)
    assert refused.exit_code == 2
    assert told in refused.output
    assert all_runs() == []


def test_a_run_that_diverges_ends_with_1_and_keeps_weights():
    failed = invoke("train", "--optimizer", "sgd", "--learning-rate", "1000", "--epochs", "1")
    assert failed.exit_code == 1
    assert "training has diverged" in failed.output
    (run,) = all_runs()
    assert run.status is Status.FAILED
    good = run.load_weights()
    assert all(tensor.isfinite().all() for tensor in good.values())

    again = invoke("train", "--resume", run.id)
    assert again.exit_code == 2
    assert "would diverge again" in again.output
    assert run.status is Status.FAILED


def test_the_proof_as_sentences_and_as_json():
    told = invoke("equivalence", "--steps", "2", "--seed", "5")
    assert told.exit_code == 0
    assert "From seed 5, nn.Sequential and nn.Module have the same loss at each of 2 steps" in told.output
    found = records(invoke("equivalence", "--steps", "2", "--json").stdout)
    assert [record["finding"] for record in found] == ["CarriedOver", *["TrainedBoth"] * 3, "Finished"]
    assert invoke("equivalence", "--steps", "0").exit_code == 2


@pytest.fixture
def pictures(tmp_path):
    """Return pictures of the first test images of MNIST, black on white, and their labels."""
    images, labels = load_test_set()
    paths = []
    for index in range(5):
        path = tmp_path / f"{index}.png"
        enlarged = (255 - images[index, 0].numpy() * 255).astype(np.uint8).repeat(10, axis=0).repeat(10, axis=1)
        Image.fromarray(enlarged).save(path)
        paths.append(str(path))
    return paths, labels[:5].tolist()


def test_predicting_prints_an_answer_and_ten_probabilities_for_each_file(pictures):
    paths, labels = pictures
    predicted = invoke("predict", *paths, "--json")
    assert predicted.exit_code == 0
    answers = records(predicted.stdout)
    assert [answer["file"] for answer in answers] == paths
    assert [answer["digit"] for answer in answers] == labels
    assert all(sum(answer["probabilities"]) == pytest.approx(1, abs=1e-4) for answer in answers)
    assert all(answer["is_digit"] and answer["digits"] == 1 for answer in answers)
    assert invoke("predict", paths[0], "--run", "reference-module").stdout.startswith(f"{paths[0]}\t{labels[0]}\t")


def test_a_letter_is_answered_and_said_to_be_no_digit(tmp_path):
    k = [((90.0, 50.0), (90.0, 230.0)), ((190.0, 60.0), (92.0, 150.0), (200.0, 230.0))]
    ink = ink_of([Stroke(14, line) for line in k])
    Image.fromarray((255 - ink * 255).astype(np.uint8)).save(tmp_path / "k.png")
    (answer,) = records(invoke("predict", str(tmp_path / "k.png"), "--json").stdout)
    assert answer["is_digit"] is False
    assert answer["digit"] in range(10)
    assert invoke("predict", str(tmp_path / "k.png")).stdout.rstrip().endswith("unlike a digit")


@pytest.mark.parametrize(("gap", "is_answered"), [(90, False), (30, True)])
def test_two_digits_in_a_picture_are_said_to_be_two(gap, is_answered, tmp_path):
    """Those far apart are found one by one; those that stand close are answered as one drawing, and said to be two."""
    x = 90.0 + gap
    lines = [((90.0, 70.0), (90.0, 220.0)), ((x, 80.0), (x + 80, 80.0), (x + 40, 220.0))]
    ink = ink_of([Stroke(14, line) for line in lines])
    Image.fromarray((255 - ink * 255).astype(np.uint8)).save(tmp_path / "two.png")
    predicted = invoke("predict", str(tmp_path / "two.png"), "--json")
    assert predicted.exit_code == 0
    (told,) = records(predicted.stdout)
    assert (told["is_digit"], told["digits"]) == (False, 2)
    assert [told["digit"] is None, told["probabilities"] is None] == [not is_answered] * 2
    line = invoke("predict", str(tmp_path / "two.png")).stdout.rstrip("\n").split("\t")
    assert len(line) == 4
    assert line[-1] == "2 digits side by side, unlike a digit"


def test_files_that_cannot_be_read_are_told_and_the_rest_go_on(pictures, tmp_path):
    paths, labels = pictures
    (tmp_path / "text.png").write_text("no picture")
    Image.new("L", (280, 280), 255).save(tmp_path / "blank.png")
    bad = [str(tmp_path / name) for name in ("text.png", "blank.png", "missing.png")]
    predicted = invoke("predict", *bad, paths[0], "--json")
    assert predicted.exit_code == 1
    assert [answer["digit"] for answer in records(predicted.stdout)] == labels[:1]
    for path, reason in zip(bad, ("no picture that the lab reads", "shows nothing", "No such file"), strict=True):
        assert any(line.startswith(path) and reason in line for line in predicted.stderr.splitlines())
    assert "3 of 4 files could not be read" in predicted.stderr


def test_an_unknown_run_to_predict_with_is_a_bad_argument(pictures):
    refused = invoke("predict", pictures[0][0], "--run", "nobody")
    assert refused.exit_code == 2
    assert "no run 'nobody'" in refused.stderr


def test_a_run_goes_into_a_file_and_comes_out_as_another_run(tmp_path):
    archive = tmp_path / "run.zip"
    assert invoke("export", "reference-module", str(archive)).exit_code == 0
    imported = invoke("import", str(archive))
    assert imported.exit_code == 0
    assert [run.id for run in all_runs()] == [imported.stdout.strip()]


def test_a_run_keeps_as_many_snapshots_as_were_asked_for_and_takes_them_along_if_asked(tmp_path):
    assert (
        invoke("train", "--epochs", "1", "--batch-size", "10000", "--threads", "1", "--snapshots", "2").exit_code == 0
    )
    (run,) = all_runs()
    assert (run.snapshots, kept_steps(run)) == (2, [0, run.total_steps])
    for option, kept in (([], []), (["--snapshots"], [0, run.total_steps])):
        archive = tmp_path / f"{len(option)}.zip"
        assert invoke("export", run.id, str(archive), *option).exit_code == 0
        assert kept_steps(find_run(invoke("import", str(archive)).stdout.strip())) == kept


def test_an_export_writes_over_no_file_and_names_an_unknown_run(tmp_path):
    archive = tmp_path / "run.zip"
    archive.write_text("mine")
    refused = invoke("export", "reference-module", str(archive))
    assert (refused.exit_code, archive.read_text()) == (2, "mine")
    assert "is there already" in refused.stderr
    assert invoke("export", "nobody", str(tmp_path / "other.zip")).exit_code == 2
    assert not (tmp_path / "other.zip").exists()


def test_a_file_named_onnx_gets_the_network_for_other_runtimes(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    file = tmp_path / "run.onnx"
    assert invoke("export", "reference-module", str(file)).exit_code == 0
    assert [each.name for each in onnx.load(file).graph.input] == ["images"]
    refused = invoke("export", "reference-module", str(tmp_path / "other.onnx"), "--checkpoint")
    assert (refused.exit_code, (tmp_path / "other.onnx").exists()) == (2, False)
    assert "holds neither a checkpoint nor snapshots" in refused.stderr


def test_files_that_are_no_archives_are_told_and_the_rest_are_imported(tmp_path):
    good, bad = tmp_path / "good.zip", tmp_path / "bad.zip"
    invoke("export", "reference-module", str(good))
    bad.write_text("none")
    imported = invoke("import", str(bad), str(tmp_path / "missing.zip"), str(good))
    assert imported.exit_code == 1
    assert len(all_runs()) == 1
    assert f"{bad}: This file is no archive" in imported.stderr
    assert "2 of 3 files could not be imported" in imported.stderr


@settings(max_examples=40)
@given(
    option=st.sampled_from(["epochs", "batch-size", "learning-rate", "momentum", "weight-decay", "shift", "seed"]),
    value=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")) | st.floats().map(str),
)
def test_a_recipe_takes_no_value_that_is_not_allowed_and_shows_no_traceback(option, value):
    told = invoke("train", f"--{option}={value}", "--device=nowhere")  # so that what is allowed trains nothing either
    assert told.exit_code == 2
    assert told.stderr.count("Error:") == 1


def test_a_sweep_trains_its_runs_and_no_others_and_prints_what_came_of_them(tmp_path):
    other = create_run(DEFINITIONS["module"], TrainingConfig(epochs=1, batch_size=60_000))
    enqueue(other)
    plan = tmp_path / "plan.toml"
    plan.write_text('name = "Seeds"\nepochs = 1\nbatch_size = 60000\nthreads = 1\nseed = [0, 1]\n')
    ended = subprocess.run([*TRAIN[:-1], "sweep", str(plan), "--learner", "Ada"], capture_output=True, text=True)
    assert ended.returncode == 0
    assert ended.stderr.startswith("Seeds (")
    header, *rows = [line.split("\t") for line in ended.stdout.splitlines()]
    assert header[:3] == ["run", "status", "seed"]
    assert [row[1:3] for row in rows] == [["finished", "0"], ["finished", "1"]]
    assert other.status is Status.QUEUED
    assert {run.made_by for run in all_runs()} == {None, "Ada"}
    refused = invoke("sweep", "--resume", all_sweeps()[0].id, "--learner", "Ada")
    assert (refused.exit_code, "stay whose they are" in refused.stderr) == (2, True)


def test_a_sweep_with_a_failed_run_fails(tmp_path):
    plan = tmp_path / "plan.toml"
    plan.write_text(
        'optimizer = "sgd"\nmomentum = 0.9\nepochs = 1\nbatch_size = 200\nthreads = 1\nlearning_rate = [0.01, 1000]\n'
    )
    ended = subprocess.run([*TRAIN[:-1], "sweep", str(plan)], capture_output=True, text=True)
    assert ended.returncode == 1
    assert [line.split("\t")[1] for line in ended.stdout.splitlines()] == ["status", "finished", "failed"]
    assert "1 of 2 runs failed" in ended.stderr


def test_a_sweep_that_is_told_to_end_stops_its_runs_and_goes_on_later(tmp_path, wait_for):
    plan = tmp_path / "plan.toml"
    plan.write_text("epochs = 50\nseed = [0, 1]\n")
    process = subprocess.Popen([*TRAIN[:-1], "sweep", str(plan)], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: process.poll() is not None or any(run.history().step for run in all_runs()))
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    told = process.communicate()[1]
    assert process.returncode == 0
    assert "To go on: python -m cnnlab sweep --resume" in told
    assert {run.status for run in all_runs()} == {Status.STOPPED}


@pytest.mark.parametrize(
    ("plan", "told"), [("epoch = [1]", "no setting of a run"), ("epochs = [0]", "epochs is 0"), ("[", "is not TOML")]
)
def test_a_plan_that_is_none_is_a_bad_argument(plan, told, tmp_path):
    (tmp_path / "plan.toml").write_text(plan)
    refused = invoke("sweep", str(tmp_path / "plan.toml"))
    assert refused.exit_code == 2
    assert told in refused.stderr
    assert all_runs() == []
    assert invoke("sweep", str(tmp_path / "missing.toml")).exit_code == 2
    assert invoke("sweep").exit_code == 2
    assert invoke("sweep", "--resume", "nothing").exit_code == 2


def test_names_that_are_no_text_and_terminals_that_cannot_print_them_end_nothing(pictures, tmp_path):
    (paths, labels) = pictures
    odd = os.fsencode(tmp_path) + b"/caf\xe9\x1b.png"
    Path(os.fsdecode(odd)).write_bytes(Path(paths[0]).read_bytes())
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "cnnlab", "predict", odd, paths[1]]
    ended = subprocess.run(command, capture_output=True, env=environment)
    assert ended.returncode == 0, ended.stderr.decode()
    first, second = ended.stdout.decode("ascii").splitlines()
    assert first.startswith(f"{tmp_path}/caf\\udce9\\x1b.png\t{labels[0]}\t")
    assert second.startswith(f"{paths[1]}\t{labels[1]}\t")


def test_a_folder_with_any_name_can_be_the_home(tmp_path):
    folder = tmp_path / "größer %20"
    folder.mkdir()
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "cnnlab", "train", "--epochs", "1", "--batch-size", "6000"]
    ended = subprocess.run(
        command, cwd=folder, capture_output=True, env=environment | {"CNNLAB_HOME": "", "PYTHONPATH": str(Path.cwd())}
    )
    assert ended.returncode == 0, ended.stderr.decode()
