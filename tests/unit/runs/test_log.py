import json
from zlib import crc32

import pytest

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.folder import FORMAT, DamagedRun, NewerRun
from cnnlab.runs.log import Line, line_of
from cnnlab.runs.shelf import create_run
from cnnlab.runs.writer import RunWriter
from cnnlab.training.events import BatchEvent, EpochEvent
from cnnlab.training.recipe import TrainingConfig


@pytest.fixture
def run():
    """Return a run of two steps and an epoch."""
    made = create_run(DEFINITIONS["module"], TrainingConfig(threads=1))
    with RunWriter.claim(made) as writer:
        writer.started(step=0, device="cpu")
        writer.append_training(BatchEvent(1, 1, 2.25, 0.1))
        writer.append_training(BatchEvent(2, 1, 1.125, 0.2))
        writer.append_training(EpochEvent(1, 2, 1.6875, 0.3, 0.9, 0.2, 300_000.0))
        writer.failed('It said ", "crc": 3} and more.')
    return made


def told(run):
    history = run.history()
    return history.batches.to_dict(), history.epochs.to_dict(), history.starts, history.reason, run.status


def test_a_learning_rate_may_change_from_the_first_step_on(run):
    with RunWriter.claim(run) as writer:
        writer.append(Line.LEARNING_RATE, step=1, learning_rate=0.01)
    assert run.learning_rates == {1: 0.01}


def test_the_speed_is_that_of_the_last_two_hundred_steps():
    made = create_run(DEFINITIONS["module"], TrainingConfig(threads=1))
    with RunWriter.claim(made) as writer:
        writer.started(step=0, device="cpu")
        for step in range(1, 301):
            writer.append_training(BatchEvent(step, 1, 1.0, step**2 / 1000))
    assert made.history().steps_per_second == pytest.approx(199 / (300**2 / 1000 - 101**2 / 1000))


def test_what_is_said_of_a_run_is_a_line_each(run):
    with RunWriter.claim(run) as writer:
        writer.queued(2)
        writer.starting()
        writer.learning_rate_set(step=3, learning_rate=0.5)
    told = [json.loads(line) for line in run.log_path.read_bytes().splitlines()[-3:]]
    assert [{name: value for name, value in line.items() if name not in ("at", "crc")} for line in told] == [
        {"event": "queued", "place": 2},
        {"event": "starting"},
        {"event": "learning rate", "step": 3, "learning_rate": 0.5},
    ]


def test_each_line_ends_with_the_sum_of_what_it_says(run):
    for line in run.log_path.read_bytes().splitlines():
        record = json.loads(line)
        crc = record.pop("crc")
        assert crc == crc32(json.dumps(record).encode())


def test_a_log_with_any_digit_changed_is_found_out(run):
    content = run.log_path.read_bytes()
    assert run.history().batches["loss"].tolist() == [2.25, 1.125]
    digits = [place for place, sign in enumerate(content) if chr(sign).isdigit()]
    for place in digits:
        other = b"1" if content[place : place + 1] != b"1" else b"2"
        run.log_path.write_bytes(content[:place] + other + content[place + 1 :])
        with pytest.raises(DamagedRun, match=r"events\.jsonl"):
            create_reader(run).history()


def test_a_log_with_any_byte_changed_is_found_out_or_says_the_same(run):
    content, before = run.log_path.read_bytes(), told(run)
    found_out = 0
    for place in range(len(content) - 1):  # the last one is the end of the last line
        run.log_path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        try:
            assert told(create_run_at(run)) == before
        except DamagedRun:
            found_out += 1
    assert found_out > 0.95 * len(content)


def test_a_line_that_loses_its_sum_is_found_out_where_those_before_have_one(run):
    with run.log_path.open("ab") as log:
        log.write(b'{"event": "batch", "step": 3, "loss": 1.0, "seconds": 0.3}\n')
    with pytest.raises(DamagedRun):
        create_reader(run).history()


def test_a_log_of_an_earlier_version_has_no_sums_and_goes_on_with_them(run):
    lines = [json.loads(line) for line in run.log_path.read_bytes().splitlines()]
    before = told(run)
    for line in lines:
        del line["crc"]
    run.log_path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert told(create_run_at(run)) == before
    with RunWriter.claim(run) as writer:
        writer.append_training(BatchEvent(3, 2, 0.5, 0.3))
    assert create_reader(run).history().step == 3


def test_a_run_that_a_newer_version_trained_on_is_said_to_be_one(run):
    with run.log_path.open("ab") as log:
        log.write(line_of({"event": "started", "step": 2, "format": FORMAT + 1}))
    assert isinstance(run.damage(), NewerRun)


def create_reader(run):
    """Return a reader that has not seen the log yet."""
    from cnnlab.runs.log import LogReader

    return LogReader(run.log_path)


def create_run_at(run):
    """Return the run as another process would find it."""
    from cnnlab.runs import log
    from cnnlab.runs.run import Run

    for cached in (log.log_reader, log.epochs_in, log.last_record_in):
        cached.cache_clear()
    return Run(run.folder)
