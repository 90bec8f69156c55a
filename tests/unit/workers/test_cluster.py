"""Runs on a real Ray cluster: three machines of one core, started here beside each other."""

import socket
from contextlib import closing
from dataclasses import asdict, replace

import pytest
import torch

pytest.importorskip("ray")

from ray.cluster_utils import Cluster

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.log import Status
from cnnlab.runs.queue import enqueue, enqueue_all
from cnnlab.runs.shelf import create_run
from cnnlab.runs.snapshots import kept_steps
from cnnlab.runs.writer import RunWriter
from cnnlab.storage.checksums import origin_of
from cnnlab.sweeps.plan import Plan
from cnnlab.sweeps.sweep import Sweep
from cnnlab.training.recipe import TrainingConfig
from cnnlab.workers import snapshots
from cnnlab.workers.cluster import NoCluster, Parcels, Sender, _require_answer
from cnnlab.workers.scheduler import Scheduler, _made_scheduler, scheduler
from cnnlab.workers.work import work

pytestmark = pytest.mark.slow

CONFIG = TrainingConfig(epochs=1, batch_size=512, threads=1)


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    """Start a cluster whose machines share nothing with the lab's home, and return it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CNNLAB_HOME", raising=False)
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("machines")))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        for _ in range(3):
            cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


@pytest.fixture
def cluster(machines, monkeypatch):
    """Have the scheduler send runs to the cluster, and return it."""
    monkeypatch.setenv("CNNLAB_RAY_ADDRESS", machines.address)
    yield machines
    if _made_scheduler.cache_info().currsize:
        scheduler().close()
        _made_scheduler.cache_clear()


def new_run(name="sequential", **recipe):
    return create_run(DEFINITIONS[name], replace(CONFIG, **recipe))


def trained_here(name, seed):
    run = new_run(name, seed=seed)
    with RunWriter.claim(run) as writer:
        list(work(run, writer))
    return run


def losses_of(run):
    history = run.history()
    return history.batches["loss"].tolist(), history.epochs[["train_loss", "test_loss", "test_accuracy"]].to_numpy()


def test_what_a_worker_would_write_is_written_from_parcels(monkeypatch):
    monkeypatch.setattr(snapshots, "MOST_SHARE", 1e9)  # no timing decides a test
    here, from_parcels = new_run(), new_run()
    with RunWriter.claim(here) as writer:
        list(work(here, writer))
    parcels = Parcels(from_parcels.identity)
    list(work(from_parcels, parcels))
    with RunWriter.claim(from_parcels) as writer:
        for write in parcels.take():
            write(writer)
    assert losses_of(from_parcels)[0] == losses_of(here)[0]
    theirs = here.load_weights()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in from_parcels.load_weights().items())
    assert kept_steps(from_parcels) == kept_steps(here) != []
    assert origin_of(from_parcels.read_weights()) == {"run": from_parcels.identity, "step": str(here.total_steps)}
    assert from_parcels.load_checkpoint()["position"] == {
        **here.load_checkpoint()["position"],
        "seconds": from_parcels.load_checkpoint()["position"]["seconds"],
    }
    assert from_parcels.status is Status.FINISHED


def test_a_stopped_run_keeps_a_checkpoint_here_and_goes_on_to_the_same_losses(cluster, wait_for):
    run = new_run(epochs=3)
    scheduler().start(run)
    wait_for(lambda: run.history().epochs["epoch"].any() and run.status is Status.RUNNING, 120)
    scheduler().stop(run)
    wait_for(lambda: run.status is Status.STOPPED)
    assert run.load_weights() is not None
    assert 0 < run.load_checkpoint()["position"]["step"] <= run.history().step < run.total_steps

    scheduler().start(run)
    wait_for(lambda: run.status is Status.FINISHED, 120)
    undisturbed = new_run(epochs=3)
    with RunWriter.claim(undisturbed) as writer:
        list(work(undisturbed, writer))
    assert losses_of(run)[0] == losses_of(undisturbed)[0]


def test_a_run_that_asks_for_more_than_any_machine_has_fails_with_the_reason(cluster, wait_for):
    run = new_run(threads=2)
    scheduler().start(run)
    wait_for(lambda: run.status is Status.FAILED)
    assert "asks for 2 threads, and no machine of the cluster has more than 1 core" in run.history().reason


def test_a_scheduler_of_one_sweep_sends_its_runs_alone(cluster, wait_for):
    other = new_run()
    enqueue(other)
    sweep = Sweep.start(Plan({**asdict(CONFIG), "seed": (0, 1)}))
    with closing(Scheduler(sweep.id)):
        wait_for(lambda: all(run.status is Status.FINISHED for run in sweep.runs()), 120)
    assert other.status is Status.QUEUED


def test_what_trains_when_the_dashboard_is_closed_is_interrupted_and_can_go_on(cluster, wait_for):
    run = new_run(epochs=50)
    scheduler().start(run)
    wait_for(lambda: run.history().step > 0, 120)
    scheduler().close()
    _made_scheduler.cache_clear()
    assert run.status is Status.INTERRUPTED
    assert run.can_resume


def test_a_run_that_no_machine_can_train_any_more_ends_with_that_reason_and_the_next_goes_on(cluster, wait_for):
    largest = cluster.add_node(num_cpus=2)
    run, next_run = new_run(threads=2, epochs=50), new_run()
    scheduler().start(run)
    wait_for(lambda: run.history().step > 0, 120)
    cluster.remove_node(largest, allow_graceful=False)
    scheduler().start(next_run)
    wait_for(lambda: run.status is Status.INTERRUPTED, 120)
    assert "asks for 2 threads, and no machine of the cluster has more than 1 core" in run.history().reason
    assert run.can_resume
    wait_for(lambda: next_run.status is Status.FINISHED, 120)


def test_runs_that_others_train_count_where_a_number_at_once_is_set(lab_home):
    (lab_home / "settings.json").write_text('{"parallel_runs": 1}')
    elsewhere, waiting = new_run(), new_run()
    enqueue(waiting)
    with RunWriter.claim(elsewhere) as writer:
        writer.starting()
        Sender(cluster=None)._send_waiting_runs()
    assert waiting.status is Status.QUEUED


def test_runs_over_three_machines_all_finish_with_the_losses_of_this_one_though_a_machine_dies(cluster, wait_for):
    recipes = [(name, seed) for name in ("sequential", "module") for seed in range(4)]
    runs = [new_run(name, seed=seed) for _ in range(3) for name, seed in recipes]
    enqueue_all(runs)
    scheduler()
    wait_for(lambda: sum(run.status is Status.FINISHED for run in runs) >= 10, 200)
    doomed = cluster.worker_nodes.copy().pop()
    cluster.remove_node(doomed, allow_graceful=False)
    wait_for(lambda: all(run.status is Status.FINISHED for run in runs), 200)

    for recipe, here in ((recipe, losses_of(trained_here(*recipe))) for recipe in recipes):
        for run in runs:
            if (run.model, run.config.seed) == recipe:
                assert losses_of(run)[0] == here[0]
                assert (losses_of(run)[1] == here[1]).all()
    assert all(kept_steps(run)[0] == 0 for run in runs)


def test_where_no_cluster_answers_runs_wait_and_the_reason_is_told(monkeypatch, wait_for):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("CNNLAB_RAY_ADDRESS", f"127.0.0.1:{port}")
    run = new_run()
    scheduler().start(run)
    wait_for(lambda: scheduler().cluster_problem)
    assert scheduler().cluster_problem.startswith(f"No Ray cluster answers at 127.0.0.1:{port} (Connection refused).")
    assert run.status is Status.QUEUED


@pytest.mark.parametrize("address", ["here", "ray://127.0.0.1:1", "127.0.0.1:", ":6379", "127.0.0.1:6379x", ""])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(NoCluster, match="it must be HOST:PORT, or auto"):
        _require_answer(address)
