"""Measures what a run costs beyond its training, with many tiny runs: making, queueing, starting and writing it.

    PYTHONPATH=. python tests/benchmarks/cost_of_a_run.py [--runs 1 10 100] [--cluster]

Each run trains one epoch of six steps with one thread, on as many cores as there are. With --cluster they go to a Ray
cluster on this machine, one machine of one core for each core. A run's training goes from "started" to "finished" in
its log, evaluation included; what else its core was taken for is its cost. Last it measures what following runs in
training costs the process that writes down here what comes back: its share of a core, for each of them.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from cnnlab.data import mnist as data
from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.queue import enqueue_all
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import create_run
from cnnlab.storage.cores import available_cores
from cnnlab.training.recipe import TrainingConfig
from cnnlab.workers.scheduler import _made_scheduler, scheduler


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--cluster", action="store_true")
    arguments = parser.parse_args()
    cores = available_cores()
    with tempfile.TemporaryDirectory() as home:
        os.environ["CNNLAB_HOME"] = home
        data.load()
        with cluster(cores) if arguments.cluster else no_cluster():
            measure(1, cores)  # what only the first run of all pays for
            print("runs\tto make, ms\tto train, s\tcost beyond, s of a core\truns a minute")
            for count in arguments.runs:
                print("\t".join(measure(count, cores)), flush=True)
            if arguments.cluster:
                print(f"Following a run in training: {following(cores):.1%} of a core", flush=True)
            scheduler().close()
            _made_scheduler.cache_clear()


def measure(count: int, cores: int) -> list[str]:
    config = TrainingConfig(epochs=1, batch_size=10_000, threads=1)
    scheduler()
    begun = time.perf_counter()
    runs = [create_run(DEFINITIONS["sequential"], config) for _ in range(count)]
    enqueue_all(runs)
    made = time.perf_counter() - begun
    while any(run.status.is_active for run in runs):
        time.sleep(0.2)
    wall = time.perf_counter() - begun
    assert all(run.status == "finished" for run in runs)
    training = [seconds_of(run) for run in runs]
    cost = (wall * min(cores, count) - sum(training)) / count
    figures = (f"{1000 * made / count:.1f}", f"{statistics.median(training):.2f}", f"{cost:.2f}")
    return [f"{count:,}", *figures, f"{60 * count / wall:.0f}"]


def following(cores: int) -> float:
    runs = [create_run(DEFINITIONS["sequential"], TrainingConfig(epochs=15, threads=1)) for _ in range(cores)]
    enqueue_all(runs)
    while not all(run.last_epoch() for run in runs):
        time.sleep(0.2)
    sender = scheduler()._cluster._process._process.pid
    used, begun = processor_seconds_of(sender), time.perf_counter()
    while all(run.status.is_active for run in runs):
        time.sleep(0.2)
    share = (processor_seconds_of(sender) - used) / (time.perf_counter() - begun)
    while any(run.status.is_active for run in runs):
        time.sleep(0.2)
    return share / cores


def processor_seconds_of(process: int) -> float:
    user, system = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def seconds_of(run: Run) -> float:
    records = [json.loads(line) for line in (run.folder / "events.jsonl").read_text().splitlines()]
    at = {record["event"]: datetime.fromisoformat(record["at"]) for record in records if "at" in record}
    return (at["finished"] - at["started"]).total_seconds()


@contextmanager
def cluster(cores: int):
    from ray.cluster_utils import Cluster

    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    for _ in range(cores):
        started.add_node(num_cpus=1)
    os.environ["CNNLAB_RAY_ADDRESS"] = started.address
    try:
        yield
    finally:
        started.shutdown()


@contextmanager
def no_cluster():
    yield


if __name__ == "__main__":
    main()
