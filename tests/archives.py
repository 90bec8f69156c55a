"""Archives of runs that a test packs itself, and how they are refused."""

import io
import zipfile

import pytest

from cnnlab.runs.transfer.archive import RefusedArchive, import_run
from cnnlab.storage.home import home
from cnnlab.training.recipe import TrainingConfig

CONFIG = TrainingConfig(epochs=2, threads=1, batch_size=30_000)


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
