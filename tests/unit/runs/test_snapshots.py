from itertools import pairwise

import pytest
import torch

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.folder import DamagedRun
from cnnlab.runs.shelf import create_run, find_run
from cnnlab.runs.snapshots import (
    kept_steps,
    read_snapshot,
    snapshot_steps,
    snapshots_that_fit,
    snapshots_worth_while,
    why_no_film,
)
from cnnlab.runs.writer import RunWriter
from cnnlab.storage.checksums import sealed_tensors
from cnnlab.training.recipe import InvalidConfig, TrainingConfig

CONFIG = TrainingConfig(epochs=1, threads=1)
WEIGHTS = DEFINITIONS["module"].build(0).state_dict()


def run_with(*steps, **options):
    run = create_run(DEFINITIONS["module"], CONFIG, **options)
    with RunWriter.claim(run) as writer:
        for step in steps:
            writer.save_snapshot(WEIGHTS, step)
    return run


@pytest.mark.parametrize("total", [1, 2, 6, 469, 4_690, 470_000])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 40, 100])
def test_a_run_keeps_as_many_as_it_should_ever_further_apart_and_the_last(total, count):
    steps = snapshot_steps(total, count)
    assert len(steps) == min(count, total + 1)
    assert steps[-1] == total
    gaps = [later - earlier for earlier, later in pairwise(steps)]
    assert all(gap > 0 for gap in gaps)
    assert all(later >= 0.7 * earlier for earlier, later in pairwise(gaps))  # rounded


def test_the_first_steps_are_all_kept():
    assert snapshot_steps(4_690, 40)[:9] == (0, 1, 2, 3, 4, 5, 6, 7, 9)


def test_none_are_kept_where_none_are_wanted():
    assert snapshot_steps(4_690, 0) == ()


def test_large_networks_keep_fewer():
    assert snapshots_that_fit(120_000) > 100 > snapshots_that_fit(4_000_000) > snapshots_that_fit(13_000_000) == 0


def test_a_run_keeps_no_more_than_are_worth_their_time():
    assert [snapshots_worth_while(images) for images in (5_000, 60_000, 600_000)] == [2, 10, 100]


def test_what_was_kept_is_read_again():
    run = run_with(0, 12, 3)
    assert kept_steps(run) == [0, 3, 12]
    assert read_snapshot(run, 3) == sealed_tensors(WEIGHTS, run=run.identity, step="3")


def test_those_of_later_steps_are_dropped():
    run = run_with(0, 3, 12, 13)
    with RunWriter.claim(run) as writer:
        writer.drop_snapshots_after(12)
    assert kept_steps(run) == [0, 3, 12]


def test_one_that_was_torn_is_left_out():
    run = run_with(1, 2)
    content = run.snapshot_path(2).read_bytes()
    run.snapshot_path(2).write_bytes(content[: len(content) // 2])
    assert kept_steps(run) == [1]
    with pytest.raises(DamagedRun, match="cannot be read"):
        read_snapshot(run, 2)


def test_one_of_another_run_or_step_is_refused():
    run, other = run_with(1, 2), run_with(1)
    run.snapshot_path(1).write_bytes(other.snapshot_path(1).read_bytes())
    run.snapshot_path(2).rename(run.snapshot_path(3))
    for step in (1, 3):
        with pytest.raises(DamagedRun, match="another run's, or of another step"):
            read_snapshot(run, step)
    with pytest.raises(DamagedRun, match="is gone"):
        read_snapshot(run, 2)


def test_other_files_are_no_snapshots():
    run = run_with(1)
    (run.snapshots_folder / "02.safetensors").write_bytes(run.snapshot_path(1).read_bytes())
    (run.snapshots_folder / "notes.safetensors").write_bytes(run.snapshot_path(1).read_bytes())
    assert kept_steps(run) == [1]


def test_each_run_without_snapshots_says_why():
    assert "ship with the lab" in why_no_film(find_run("reference-module"))
    assert "to keep no snapshots" in why_no_film(run_with(snapshots=0))
    assert "runs of a sweep" in why_no_film(run_with(snapshots=0, sweep_id="20261129-080000-000"))
    waiting = run_with()
    with RunWriter.claim(waiting) as writer:
        writer.queued(1)
    assert "when it begins to train" in why_no_film(waiting)
    with RunWriter.claim(waiting) as writer:
        writer.finished()
    assert "only if they are asked for" in why_no_film(waiting)


def test_a_network_that_is_too_large_is_named_as_the_reason():
    run = run_with()
    with RunWriter.claim(run) as writer:
        writer.save_weights({"weight": torch.zeros(7_000_000)}, step=1)
    assert why_no_film(run) == "A network of 28 MB is too large for snapshots."


@pytest.mark.parametrize("snapshots", [-1, 1, 101])
def test_a_number_of_snapshots_that_is_none_is_refused(snapshots):
    with pytest.raises(InvalidConfig, match="0, or a whole number from 2 to 100"):
        run_with(snapshots=snapshots)


@pytest.mark.parametrize("snapshots", [0, 2, 100])
def test_the_fewest_and_the_most_snapshots_are_allowed(snapshots):
    assert run_with(snapshots=snapshots).snapshots == snapshots
