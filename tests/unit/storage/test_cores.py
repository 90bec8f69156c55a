import os

import pytest

from cnnlab.storage.cores import available_cores

CORES = len(os.sched_getaffinity(0))


@pytest.fixture
def groups(tmp_path):
    """Return a function that writes what Linux tells of control groups, and asks how many cores there are."""

    def cores(own, **files):
        (tmp_path / "own").write_text(own, encoding="utf-8")
        for name, content in files.items():
            path = tmp_path / "groups" / name.replace("__", "/").replace("cpu_", "cpu.")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        return available_cores(tmp_path / "groups", tmp_path / "own")

    return cores


def test_without_control_groups_all_cores_are_used(tmp_path):
    assert available_cores(tmp_path, tmp_path / "nothing") == CORES


@pytest.mark.parametrize(
    ("share", "cores"), [("max 100000", CORES), ("50000 100000", 1), ("100000 100000", 1), ("900000 100000", CORES)]
)
def test_a_containers_share_is_the_most(share, cores, groups):
    assert groups("0::/", cpu_max=share) == cores


@pytest.mark.skipif(CORES < 2, reason="needs two cores")
def test_part_of_a_core_more_is_one_more(groups):
    assert groups("0::/", cpu_max="150000 100000") == 2


def test_a_group_around_this_one_counts_too(groups):
    assert groups("0::/outer/inner", outer__cpu_max="50000 100000", outer__inner__cpu_max="max 100000") == 1


@pytest.mark.parametrize(("quota", "cores"), [("50000", 1), ("-1", CORES)])
def test_the_first_version_of_control_groups(quota, cores, groups):
    own = "5:memory:/docker/1\n4:cpu,cpuacct:/docker/1"
    assert groups(own, cpu__cpu_cfs_quota_us=quota, cpu__cpu_cfs_period_us="100000") == cores


@pytest.mark.parametrize("content", ["", "nonsense", "1", "max"])
def test_what_cannot_be_read_is_passed_over(content, groups):
    assert groups("0::/", cpu_max=content) == CORES
