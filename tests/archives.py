"""Archives of runs that a test packs itself, what is in them, and how they are refused."""

import io
import zipfile

import pytest

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.runs.shelf import create_run
from cnnlab.runs.transfer.archive import RefusedArchive, import_run
from cnnlab.runs.writer import RunWriter
from cnnlab.storage.home import home
from cnnlab.training.events import BatchEvent, EpochEvent
from cnnlab.training.recipe import TrainingConfig
from cnnlab.training.state import TrainingState

CONFIG = TrainingConfig(epochs=2, threads=1, batch_size=30_000)


def stopped_run(name, seed=0):
    """Return a run that was stopped in its second epoch; its weights are those that a seed begins with."""
    made = create_run(DEFINITIONS["sequential"], CONFIG, name)
    state = TrainingState(DEFINITIONS["sequential"].build(seed), CONFIG)
    state.optimizer.step()
    state.epoch, state.batch, state.step = 2, 1, 3
    with RunWriter.claim(made) as writer:
        writer.started(step=0, device="cpu")
        for step in (1, 2):
            writer.append_training(BatchEvent(step, 1, 2 / step, 0.1 * step))
        writer.append_training(EpochEvent(1, 2, 1.5, 0.3, 0.9, 0.2, 300_000.0))
        writer.append_training(BatchEvent(3, 2, 0.5, 0.3))
        writer.save(state, weights=True)
        writer.stopped()
    return made


class Malicious:
    """Calls something where it is unpickled."""

    def __reduce__(self):
        return print, ("this must not be called",)


def files_of(content):
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return {name: file.read(name) for name in file.namelist()}


def zipped(files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name, each in files.items():
            file.writestr(name, each)
    return content.getvalue()


def refuse(content, words=""):
    """See that an archive is refused, and that nothing of it is left anywhere."""
    before = everything()
    with pytest.raises(RefusedArchive, match=words):
        import_run(content)
    assert everything() == before


def everything():
    return {path: path.read_bytes() if path.is_file() else None for path in home().parent.rglob("*")}
