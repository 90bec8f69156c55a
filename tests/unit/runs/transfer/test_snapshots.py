"""Snapshots that come along with a run."""

import json

import pytest
import torch
from archives import CONFIG, files_of, refuse, zipped

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run
from cnnlab.runs.snapshots import kept_steps, read_snapshot, why_no_film
from cnnlab.runs.transfer import importing
from cnnlab.runs.transfer.archive import export_run, import_run
from cnnlab.runs.writer import RunWriter
from cnnlab.storage.checksums import sealed, sealed_tensors, unsealed


def test_snapshots_come_along_if_asked_for(filmed):
    imported = import_run(export_run(filmed, snapshots=True))
    assert kept_steps(imported) == [1, 3]
    assert all(read_snapshot(imported, step) == read_snapshot(filmed, step) for step in (1, 3))
    without = import_run(export_run(filmed))
    assert kept_steps(without) == []
    assert "only if they are asked for" in why_no_film(without)


def test_an_archive_with_snapshots_is_imported_when_it_was_packed_again_with_folders(filmed):
    files = files_of(export_run(filmed, snapshots=True))
    packed_again = {"mine/": b"", "mine/snapshots/": b""} | {f"mine/{name}": each for name, each in files.items()}
    assert kept_steps(import_run(zipped(packed_again))) == [1, 3]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("snapshots/3.safetensors", lambda whole: whole[:-1], "snapshots are not those that a run keeps"),
        ("snapshots/2.safetensors", lambda whole: whole, "2.safetensors is damaged"),
        ("snapshots/03.safetensors", lambda whole: whole, "'snapshots/03.safetensors', which no run has"),
        ("snapshots/../name.txt", lambda whole: whole, "which no run has"),
        ("snapshots/x/3.safetensors", lambda whole: whole, "which no run has"),
    ],
)
def test_a_snapshot_that_is_not_the_runs_own_is_refused(filmed, name, content, words):
    files = files_of(export_run(filmed, snapshots=True))
    refuse(zipped(files | {name: content(files["snapshots/3.safetensors"])}), words)


def test_a_snapshot_of_another_network_or_of_a_later_step_is_refused(filmed):
    files = files_of(export_run(filmed, snapshots=True))
    name = "snapshots/3.safetensors"
    other = sealed_tensors({"weight": torch.zeros(3)}, run=filmed.identity, step="3")
    refuse(zipped(files | {name: other}), "its weights are not those of")
    later = sealed_tensors(DEFINITIONS["sequential"].build(0).state_dict(), run=filmed.identity, step="4")
    refuse(zipped(files | {"snapshots/4.safetensors": later}), "of a later step than its log's last")


@pytest.mark.parametrize("snapshots", [-5, 101, 10**30])
def test_a_number_of_snapshots_that_no_run_keeps_is_refused(snapshots):
    run = create_run(DEFINITIONS["sequential"], CONFIG)
    manifest = {**unsealed(json.loads(run.manifest_path.read_text())), "snapshots": snapshots}
    refuse(zipped(files_of(export_run(run)) | {"run.json": json.dumps(sealed(manifest))}), "more snapshots")


def test_a_snapshot_that_the_log_does_not_reach_is_left_out(filmed):
    with RunWriter.claim(filmed) as writer:
        writer.save_snapshot(DEFINITIONS["sequential"].build(0).state_dict(), 4)
    assert kept_steps(import_run(export_run(filmed, snapshots=True))) == [1, 3]


def test_more_snapshots_than_a_run_keeps_are_refused(filmed, monkeypatch):
    monkeypatch.setattr(importing, "MOST_SNAPSHOTS", 1)
    refuse(export_run(filmed, snapshots=True), "more snapshots than a run keeps")
