"""Runs are taken along as archives: what they hold, how they may be packed, and how large they may be."""

import io
import stat
import tracemalloc
import zipfile

import pytest
import torch
from archives import everything, files_of, refuse, zipped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnlab.errors import LabError
from cnnlab.inference.test_set import predictions_of
from cnnlab.runs.folder import EXPORTED_FILES
from cnnlab.runs.log import Status
from cnnlab.runs.shelf import all_runs, delete_run, reference_runs
from cnnlab.runs.transfer import archive
from cnnlab.runs.transfer.archive import RefusedArchive, export_run, files_as_they_are, import_run


@pytest.mark.slow
def test_an_imported_run_is_a_new_one_that_tells_the_same(run):
    imported = import_run(export_run(run))
    assert imported.id > run.id
    assert [each.id for each in all_runs()] == [imported.id, run.id]
    for name in ("model", "config", "source", "created", "status"):
        assert getattr(imported, name) == getattr(run, name)
    assert imported.name == f"{run.name} (imported)"
    assert imported.history().batches.equals(run.history().batches)
    assert imported.last_epoch() == run.last_epoch()
    assert (predictions_of(imported).answers == predictions_of(run).answers).all()
    assert imported.damage() is None


def test_a_reference_run_can_be_taken_along():
    (reference, *_) = reference_runs()
    imported = import_run(export_run(reference))
    assert imported.status is Status.FINISHED
    assert imported.history().epochs.equals(reference.history().epochs)
    assert not imported.is_reference


def test_an_archive_that_was_unpacked_and_packed_again_is_read(run):
    files = files_of(export_run(run))
    beside = {f"__MACOSX/mine/._{name}": b"\0" for name in files} | {"mine/.DS_Store": b"\0", "mine/Thumbs.db": b"\0"}
    packed_again = zipped({"mine/": b"", **{f"mine/{name}": content for name, content in files.items()}, **beside})
    imported = import_run(packed_again)
    assert imported.history().batches.equals(run.history().batches)
    assert imported.read_weights() == run.read_weights()


def test_two_folders_or_files_beside_one_are_no_run(run):
    files = files_of(export_run(run))
    refuse(zipped({f"{'ab'[place % 2]}/{name}": files[name] for place, name in enumerate(files)}), "no run has")
    refuse(zipped({"run.json": b"{}", **{f"mine/{name}": content for name, content in files.items()}}), "no run has")
    refuse(zipped({f"mine/deeper/{name}": content for name, content in files.items()}), "no run has")


@pytest.mark.slow
def test_one_import_knows_nothing_of_the_one_before():
    archives = [export_run(run) for run in reference_runs()]
    for content, run in zip([*archives, *archives], [*reference_runs(), *reference_runs()], strict=True):
        assert import_run(content).history().batches.equals(run.history().batches)


def test_an_archive_of_the_same_run_is_the_same_byte_for_byte(run):
    assert export_run(run) == export_run(run)
    assert set(files_of(export_run(run))) == set(EXPORTED_FILES) - {"checkpoint.pt", "start.safetensors"}


def test_a_line_that_is_being_written_is_left_out(run):
    with run.log_path.open("a") as log:
        log.write('{"event": "batch", "st')
    assert files_of(export_run(run))["events.jsonl"].endswith(b"\n")


@pytest.mark.parametrize("content", [b"", b"PK", b"nonsense" * 100, zipped({})[:-1]])
def test_what_is_no_archive_is_refused(content):
    refuse(content, "no archive of a run")


@pytest.mark.parametrize(
    "name", ["../run.json", "/etc/passwd", "a/run.json", "run.json/", "..\\run.json", "C:\\x", "stop"]
)
def test_a_file_that_no_run_has_is_refused(name, run):
    refuse(zipped(files_of(export_run(run)) | {name: b"{}"}), "which no run has|damaged")


def test_a_file_that_is_there_twice_is_refused(run):
    content = io.BytesIO(zipped({"run.json": b"{}"}))
    with zipfile.ZipFile(content, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("run.json", b"{}")
    refuse(content.getvalue(), "twice")


def test_an_encrypted_file_is_refused(run):
    content = bytearray(zipped({"run.json": b"{}"}))
    content[6] |= 1  # where the file begins
    content[content.index(b"PK\x01\x02") + 8] |= 1  # and in the list of files
    refuse(bytes(content), "a link, encrypted, or packed")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFDIR, stat.S_IFCHR])
def test_a_link_or_another_special_file_is_refused(kind, run):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        entry = zipfile.ZipInfo("run.json")
        entry.external_attr = (kind | 0o777) << 16
        file.writestr(entry, "/etc/passwd")
    refuse(content.getvalue(), "a link, encrypted, or packed")


def test_a_run_that_is_larger_than_what_can_be_imported_is_not_exported(run, monkeypatch):
    monkeypatch.setattr(archive, "_MOST_UNPACKED_BYTES", 1_000)
    with pytest.raises(RefusedArchive, match="Mine has 0 MB; an archive holds at most 0 MB"):
        export_run(run)


def test_a_run_exactly_as_large_as_that_is_exported(run, monkeypatch):
    size = sum(map(len, files_of(export_run(run)).values()))
    monkeypatch.setattr(archive, "_MOST_UNPACKED_BYTES", size)
    assert export_run(run)
    monkeypatch.setattr(archive, "_MOST_UNPACKED_BYTES", size - 1)
    with pytest.raises(RefusedArchive):
        export_run(run)


def test_the_files_of_an_archive_are_of_the_first_day_that_an_archive_can_name(run):
    with zipfile.ZipFile(io.BytesIO(export_run(run))) as file:
        assert {entry.date_time for entry in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_another_way_to_pack_is_refused(method):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as file:
        file.writestr("run.json", "{}")
    refuse(content.getvalue(), "a link, encrypted, or packed")


@pytest.mark.slow
def test_a_gigabyte_of_zeros_is_refused_before_it_is_unpacked(run):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file, file.open("events.jsonl", "w") as bomb:
        for _ in range(1_000):
            bomb.write(bytes(1_000_000))
    tracemalloc.start()
    refuse(content.getvalue(), "events.jsonl in this archive has over 70 MB")
    assert tracemalloc.get_traced_memory()[1] < 200_000_000
    tracemalloc.stop()


def test_a_bomb_that_says_it_is_small_is_refused(run):
    content = bytearray(zipped({"run.json": bytes(1_000_000)}))
    place = content.rindex(b"PK\1\2")
    content[place + 24 : place + 28] = (10).to_bytes(4, "little")
    refuse(bytes(content), "damaged")


def test_very_many_files_are_refused_before_they_are_listed(monkeypatch):
    content = zipped({f"{number}": b"" for number in range(20_000)})
    monkeypatch.setattr(archive.zipfile, "ZipFile", None)  # nothing is listed
    refuse(content, "lists 20,000 files")


@pytest.mark.slow
def test_the_form_of_archives_with_more_than_65535_files_is_refused(monkeypatch):
    content = zipped({f"{number}": b"" for number in range(70_000)})
    monkeypatch.setattr(archive.zipfile, "ZipFile", None)
    refuse(content, "no archive of a run")


def test_that_form_is_refused_also_where_the_archive_says_that_it_has_few(run):
    content = export_run(run)
    assert content[-22:-18] == b"PK\5\6"
    refuse(content[:-22] + b"PK\6\7" + bytes(16) + content[-22:], "no archive of a run")


def test_too_many_bytes_are_refused(monkeypatch, run):
    monkeypatch.setattr(archive, "MOST_BYTES", 1_000)
    refuse(export_run(run), "at most 0 MB are read")


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bits=st.integers(1, 255), cut=st.booleans())
def test_an_archive_with_any_byte_changed_is_refused_or_the_same_run(run, place, bits, cut):
    content = bytearray(export_run(run))
    index = int(place * len(content))
    if cut:
        del content[index:]
    else:
        content[index] ^= bits
    before = everything()
    try:
        imported = import_run(bytes(content))
    except LabError:
        assert everything() == before
        return
    assert imported.history().batches.equals(run.history().batches)
    weights = run.load_weights()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in imported.load_weights().items())
    delete_run(imported)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run.json", b" " * 1_000_001),
        ("name.txt", b"x" * 10_001),
        ("weights.safetensors", bytes(20_000_001)),
        ("checkpoint.pt", bytes(40_000_001)),
    ],
)
def test_a_file_larger_than_any_run_has_is_refused(name, content, run):
    refuse(zipped(files_of(export_run(run)) | {name: content}), f"{name} in this archive has over")


def test_the_files_of_a_run_that_cannot_be_read_come_along_as_they_are(run):
    run.manifest_path.write_bytes(b"nonsense")
    (run.folder / "new-kind").write_bytes(b"of file")
    files = files_of(files_as_they_are(run.id))
    assert (files["run.json"], files["new-kind"]) == (b"nonsense", b"of file")
    assert files["events.jsonl"] == run.log_path.read_bytes()
