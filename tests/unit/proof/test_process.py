import os
import subprocess

import pytest

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.models.reading.source import read
from cnnlab.models.reading.understanding import understand
from cnnlab.models.writing import as_module
from cnnlab.proof.equivalence import CarriedOver, Finished, TrainedBoth
from cnnlab.proof.process import Proof, end_proofs
from cnnlab.storage.home import HomeError
from cnnlab.ui.write.examples import EXAMPLES

NORMALIZED = EXAMPLES["Batch normalization and dropout"]

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def nothing_is_left_running(lab_home):
    yield
    end_proofs()
    assert provers() == []


def provers():
    """Return the processes that prove something for this one."""
    listed = subprocess.run(["ps", "--ppid", str(os.getpid()), "-o", "args="], capture_output=True, text=True)
    return [line for line in listed.stdout.splitlines() if "cnnlab equivalence" in line]


def test_the_findings_come_one_after_another_and_stay(wait_for):
    proof = Proof(steps=2)
    assert not proof.progress().has_begun
    proof.start()
    assert proof.progress().is_running
    assert not proof.progress().has_ended
    wait_for(lambda: proof.progress().has_ended)
    progress = Proof(steps=2).progress()
    assert [type(each) for each in progress.findings] == [CarriedOver, TrainedBoth, TrainedBoth, TrainedBoth, Finished]
    assert progress.is_finished
    assert progress.failure is None
    assert not Proof(steps=2, seed=1).progress().has_begun


def test_two_networks_of_ones_own_are_proved_to_be_one(wait_for):
    understood = understand(read(NORMALIZED))
    proof = Proof(steps=2, pair=(NORMALIZED, as_module(understood)))
    proof.start()
    wait_for(lambda: proof.progress().has_ended)
    carried, trained, finished = proof.progress().findings
    assert (carried.first, carried.second, carried.images) == ("nn.Sequential", "nn.Module", 10_000)
    assert carried.largest_difference == 0
    assert (len(trained.first_losses), trained.weights_carried, trained.first_difference) == (2, True, None)
    assert isinstance(finished, Finished)
    assert not Proof(steps=2).progress().has_begun
    assert not Proof(steps=2, pair=(NORMALIZED, NORMALIZED)).progress().has_begun


def test_why_two_networks_are_not_one_is_told(wait_for):
    proof = Proof(steps=2, pair=(NORMALIZED, DEFINITIONS["module"].source))
    proof.start()
    wait_for(lambda: proof.progress().has_ended)
    assert "no layer of the other corresponds to" in str(proof.progress().failure)


def test_one_process_proves_for_all_who_ask():
    Proof().start()
    Proof().start()
    Proof(seed=1).start()
    assert len(provers()) == 1


def test_a_process_that_fails_gives_its_last_lines(wait_for, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/nowhere")  # Python itself does not find its library there
    proof = Proof()
    proof.start()
    wait_for(lambda: proof.progress().has_ended)
    assert "encodings" in str(proof.progress().failure)
    assert proof.progress().findings == ()


def test_a_proof_that_was_ended_half_way_is_made_anew(wait_for):
    proof = Proof(steps=10_000)
    proof.start()
    wait_for(lambda: proof.progress().findings)
    end_proofs()
    assert not proof.progress().has_begun


def test_a_torn_last_line_does_not_count_and_it_can_be_proved_again(wait_for, lab_home):
    proof = Proof(steps=1)
    proof.start()
    wait_for(lambda: proof.progress().has_ended)
    (kept,) = (lab_home / "equivalence").glob("*.jsonl")
    kept.write_bytes(kept.read_bytes()[:-20])
    progress = proof.progress()
    assert len(progress.findings) == 4
    assert "ended too early: it said nothing about why" in str(progress.failure)
    proof.start()
    assert proof.progress().is_running
    assert proof.progress().findings == ()


def test_a_home_that_cannot_be_written_is_said_to_be_so(monkeypatch):
    monkeypatch.setenv("CNNLAB_HOME", "/proc/nowhere")
    with pytest.raises(HomeError):
        Proof().start()
