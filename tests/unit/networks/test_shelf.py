import json

import pytest

from cnnlab.models.definitions import DEFINITIONS, UnknownDefinition
from cnnlab.models.reading.network import CannotRead
from cnnlab.networks.shelf import (
    UnfitName,
    all_networks,
    damaged_networks,
    delete_network,
    keep_network,
    kept_networks,
    network_named,
    networks_folder,
)
from cnnlab.storage.checksums import sealed, unsealed

ROWS = "nn.Sequential(nn.Flatten(), nn.Linear(784, 10))"
HIDDEN = "nn.Sequential(nn.Flatten(), nn.Linear(784, 20), nn.ReLU(), nn.Linear(20, 10))"


def test_a_network_stands_beside_the_labs_own_and_each_change_is_a_version():
    first, again, second = keep_network("Rows", ROWS), keep_network(" Rows ", ROWS), keep_network("Rows", HIDDEN)
    assert first is again
    assert [first.name, second.name] == ["Rows", "Rows v2"]
    assert list(all_networks()) == [*DEFINITIONS, "Rows v2", "Rows"]
    assert network_named("Rows").source == ROWS
    assert network_named("Rows v2").source == HIDDEN
    assert [kept.version for kept in kept_networks()] == [2, 1]


@pytest.mark.parametrize("name", ["", "  ", "x" * 41, "a\x1bb", "module", "nn.Sequential"])
def test_a_name_that_cannot_be_used_is_refused(name):
    with pytest.raises(UnfitName):
        keep_network(name, ROWS)
    assert kept_networks() == []


def test_what_cannot_be_trained_is_not_kept():
    with pytest.raises(CannotRead, match="Line 1"):
        keep_network("Rows", ROWS.replace("784", "785"))
    assert kept_networks() == []


def test_an_unknown_name_is_told_with_those_that_are_known():
    keep_network("Rows", ROWS)
    with pytest.raises(UnknownDefinition, match=r"no network named 'Lines': choose one of sequential, .*Rows"):
        network_named("Lines")


def test_a_file_that_was_changed_or_is_of_a_newer_version_is_left_out_and_named():
    keep_network("Rows", ROWS)
    (path,) = networks_folder().iterdir()
    told = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(told | {"name": "Lines"}), encoding="utf-8")
    newer = networks_folder() / "20990101-000000-000.json"
    newer.write_text(json.dumps({"format": 2, "name": "New", "version": 1, "source": ROWS}), encoding="utf-8")
    assert kept_networks() == []
    assert damaged_networks() == [path, newer]
    assert keep_network("Rows", HIDDEN).name == "Rows"
    assert path.exists()


@pytest.mark.parametrize("name", ["resnet", ["module"]])
def test_an_unknown_name_is_refused_with_the_known_ones(name):
    with pytest.raises(UnknownDefinition, match=": choose one of sequential, module"):
        network_named(name)


def test_a_network_knows_who_kept_it_and_can_be_deleted():
    for source, name in ((ROWS, "Ada"), (HIDDEN, None)):
        keep_network("Rows", source, name)
    nobodys, adas = kept_networks()
    assert (adas.made_by, nobodys.made_by) == ("Ada", None)
    delete_network(adas)
    delete_network(adas)
    assert kept_networks() == [nobodys]
    assert list(all_networks()) == [*DEFINITIONS, "Rows v2"]


def test_no_other_network_is_ever_called_what_a_deleted_one_was(lab_home):
    first, second = ROWS, HIDDEN
    titles = [keep_network("Mine", source).title for source in (first, second)]
    delete_network(next(kept for kept in kept_networks() if kept.title == "Mine v2"))
    titles.append(keep_network("Mine", second + "  # again").title)
    for kept in kept_networks():
        delete_network(kept)
    titles.append(keep_network("Mine", first).title)
    assert titles == ["Mine", "Mine v2", "Mine v3", "Mine v4"]
    assert "Mine" not in "".join(path.name for path in (lab_home / "networks").glob(".deleted-*"))


def test_a_network_that_an_earlier_version_kept_is_nobodys():
    keep_network("Rows", ROWS)
    (path,) = networks_folder().iterdir()
    told = unsealed(json.loads(path.read_text(encoding="utf-8")))
    del told["made_by"]
    path.write_text(json.dumps(sealed(told)), encoding="utf-8")
    assert [(kept.name, kept.made_by) for kept in kept_networks()] == [("Rows", None)]


def test_two_people_may_keep_the_same_network_under_the_same_name():
    names = [keep_network("Rows", ROWS, learner).name for learner in ("Ada", "Bob", "Ada", None)]
    assert names == ["Rows", "Rows v2", "Rows", "Rows v3"]
