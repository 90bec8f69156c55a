"""What a cluster is asked for, and what comes of a run that it loses, without a cluster."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from types import SimpleNamespace

import pytest
from archives import Malicious

pytest.importorskip("ray")

import torch
from ray.exceptions import LocalRayletDiedError, RayTaskError, RuntimeEnvSetupError, WorkerCrashedError

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.log import Status
from cnnlab.runs.shelf import create_run
from cnnlab.runs.writer import RunWriter
from cnnlab.training.recipe import TrainingConfig
from cnnlab.training.state import TrainingState
from cnnlab.workers import cluster as clusters
from cnnlab.workers.cluster import Cluster, ClusterFault, NoCluster, Parcels, Sender, _node_home, main
from cnnlab.workers.work import Order

CONFIG = TrainingConfig(epochs=1, threads=2, kernels="torch")


@pytest.fixture
def cluster(monkeypatch):
    """Return a function that makes a cluster of such machines, each with its cores and GPUs; dead ones have "dead"."""

    def made(*machines):
        nodes = [{"Alive": "dead" not in machine, "Resources": machine} for machine in machines]
        monkeypatch.setattr(clusters.ray, "nodes", lambda: nodes)
        living = [machine for machine in machines if "dead" not in machine]
        has = {name: sum(machine.get(name, 0) for machine in living) for name in ("CPU", "GPU")}
        monkeypatch.setattr(
            clusters.ray, "cluster_resources", lambda: {name: all_ for name, all_ in has.items() if all_}
        )
        return object.__new__(Cluster)

    return made


@pytest.mark.parametrize(
    ("machines", "recipe", "request_"),
    [
        ([{"CPU": 1}, {"CPU": 2}], {}, {"num_cpus": 2, "num_gpus": 0}),
        ([{"CPU": 4, "GPU": 1}], {"device": "auto"}, {"num_cpus": 0, "num_gpus": 0.25}),
        ([{"CPU": 4, "GPU": 1}], {"device": "cuda"}, {"num_cpus": 0, "num_gpus": 0.25}),
        ([{"CPU": 4, "GPU": 1}], {"device": "cpu"}, {"num_cpus": 2, "num_gpus": 0}),
    ],
)
def test_a_run_asks_for_its_threads_or_for_a_share_of_a_gpu(machines, recipe, request_, cluster):
    assert cluster(*machines).request_of(replace(CONFIG, **recipe)) == request_


@pytest.mark.parametrize(
    ("machines", "recipe", "told"),
    [
        ([{"CPU": 8}], {"device": "cuda"}, "asks for a GPU, and no machine of the cluster has one"),
        ([{"CPU": 1}, {"CPU": 1}], {}, "asks for 2 threads, and no machine of the cluster has more than 1 cores"),
        ([{"CPU": 1}, {"CPU": 8, "dead": 1}], {}, "no machine of the cluster has more than 1 cores"),
        ([{"CPU": 1}, {"GPU": 8, "dead": 1}], {"device": "cuda"}, "no machine of the cluster has one"),
        ([], {}, "no machine of the cluster has more than 0 cores"),
    ],
)
def test_what_no_living_machine_has_is_refused(machines, recipe, told, cluster):
    with pytest.raises(ClusterFault, match=told):
        cluster(*machines).request_of(replace(CONFIG, **recipe))


def test_runs_have_room_while_all_together_ask_for_no_more_than_there_is(cluster):
    made = cluster({"CPU": 2}, {"CPU": 2, "GPU": 1})
    of_two_cores, of_a_gpu = {"num_cpus": 2, "num_gpus": 0}, {"num_cpus": 0, "num_gpus": 0.25}
    assert made.cores == 4
    assert made.has_room([of_two_cores] * 2 + [of_a_gpu] * 4)
    assert not made.has_room([of_two_cores] * 3)
    assert not made.has_room([of_a_gpu] * 5)
    assert not cluster({"CPU": 8}).has_room([of_a_gpu])


@pytest.fixture
def lost():
    """Return a function that trains a run on a cluster where it meets with these ends, one after the other."""

    def trained(*ends):
        run = create_run(DEFINITIONS["module"], CONFIG)
        sender = Sender(cluster=FakeCluster())
        ends_left = iter(ends)

        def train_on_one_machine(run, writer, request):
            end = next(ends_left)
            if end == "its end":
                return True
            if isinstance(end, int):  # it comes so far, and is lost then
                save_checkpoint(writer, run, end)
                raise WorkerCrashedError()
            raise end

        sender._train_on_one_machine = train_on_one_machine
        writer = RunWriter.claim(run)
        writer.starting()
        sender._follow(run, writer)
        assert sender._one_has_ended.is_set()
        return run, sender, len(list(ends_left))

    return trained


class FakeCluster:
    def request_of(self, config):
        return {"num_cpus": config.threads, "num_gpus": 0}


def save_checkpoint(writer, run, step):
    state = TrainingState(DEFINITIONS["module"].build(0), run.config)
    state.step = step
    writer.save_checkpoint(clusters.checkpoint_of(state, run.identity))


def test_a_run_that_is_lost_goes_to_another_machine(lost):
    run, _, left = lost(WorkerCrashedError(), WorkerCrashedError(), WorkerCrashedError(), "its end")
    assert left == 0
    assert run.history().reason is None


def test_a_run_that_is_lost_four_times_in_a_row_is_not_sent_again(lost):
    run, _, left = lost(*[WorkerCrashedError() for _ in range(5)])
    assert left == 1
    assert run.history().reason == "The cluster lost it 4 times in a row (WorkerCrashedError)."
    assert run.status is Status.INTERRUPTED


def test_a_run_that_came_further_before_it_was_lost_is_not_given_up(lost):
    run, _, left = lost(0, 0, 0, 5, 5, 5, 9, "its end")
    assert left == 0
    assert run.history().reason is None
    run, _, left = lost(5, 5, 5, 5, "its end")
    assert left == 1
    assert "4 times in a row" in run.history().reason


def test_a_run_whose_cluster_is_gone_is_interrupted_and_the_sender_told(lost):
    run, sender, _ = lost(LocalRayletDiedError("gone"))
    assert run.history().reason == "The Ray cluster is gone."
    assert sender._cluster_is_gone.is_set()


def test_a_run_that_no_machine_can_train_any_more_is_interrupted_with_the_reason(lost):
    run, sender, _ = lost(ClusterFault("No machine has as much."))
    assert run.history().reason == "No machine has as much."
    assert run.status is Status.INTERRUPTED
    assert not sender._cluster_is_gone.is_set()


def test_a_checkpoint_that_would_call_something_is_not_opened_on_another_machine(capsys):
    run = create_run(DEFINITIONS["module"], CONFIG)
    torch.save(Malicious(), run.checkpoint_path)
    with pytest.raises(UnpicklingError):
        Order(run).load_checkpoint()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RayTaskError("train_order", "Traceback", ValueError("no such file")), "could not train it: ValueError"),
        (RuntimeEnvSetupError("no pip"), "could not take the lab's code"),
    ],
)
def test_what_a_machine_cannot_do_at_all_is_told(error, told, lost):
    run, *_ = lost(error)
    assert run.status is Status.FAILED
    assert told in run.history().reason


def test_a_parcel_is_due_a_quarter_of_a_second_after_the_last(monkeypatch):
    seconds = [10.0]
    monkeypatch.setattr(clusters, "time", SimpleNamespace(monotonic=lambda: seconds[0]))
    parcels = Parcels("run")
    dues = []
    for at in (10.0, 10.125, 10.25):
        seconds[0] = at
        dues.append(parcels.is_due)
    parcels.append("finished")
    assert len(parcels.take()) == 1
    assert [*dues, parcels.is_due] == [False, False, True, False]
    assert parcels.take() == []


def test_a_parcel_holds_the_weights_as_they_were():
    parcels, weights = Parcels("run"), {"0.bias": torch.zeros(3)}
    parcels.save_weights(weights, 5)
    parcels.save_snapshot(weights, 6)
    weights["0.bias"] += 1
    for write, step in zip(parcels.take(), (5, 6), strict=True):
        assert isinstance(write, partial)
        assert write.keywords["step"] == step
        assert write.keywords["weights"]["0.bias"].tolist() == [0, 0, 0]


@pytest.mark.parametrize("cache", ["/somewhere", None])
def test_a_machine_keeps_what_the_next_run_needs_in_its_cache(cache, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if cache:
        monkeypatch.setenv("XDG_CACHE_HOME", cache)
    assert _node_home() == Path(cache or tmp_path / ".cache") / "cnnlab"


def test_where_no_cluster_answers_the_process_ends_with_1_and_the_reason(monkeypatch, capsys):
    def refuse(address):
        raise NoCluster(f"No Ray cluster answers at {address}.")

    monkeypatch.setenv("CNNLAB_RAY_ADDRESS", "somewhere:6379")
    monkeypatch.setattr(clusters, "Cluster", refuse)
    assert main() == 1
    assert capsys.readouterr().err == "No Ray cluster answers at somewhere:6379.\n"
