"""How many of the machine's cores this process may use."""

import os
from contextlib import suppress
from functools import cache
from math import ceil
from pathlib import Path


def available_cores(groups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """Return how many cores this process may use: those that it is bound to, and no more than its container's share.

    With more threads than that, each waits for the others to be let on again.

    Parameters
    ----------
    groups, own
        Where Linux tells of control groups, and which ones this process is in.

    References
    ----------
    The Linux kernel's documentation: Control Group v2, CPU interface files; CFS bandwidth control (v1).
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *(ceil(share) for share in _shares(groups, own))]))


@cache  # each recipe asks, and a container's share hardly ever changes
def _shares(groups: Path, own: Path) -> list[float]:
    """Return how many cores this process's groups, and those around them, may keep busy."""
    shares = []
    with suppress(OSError):
        for line in own.read_text(encoding="utf-8", errors="replace").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "cpu" not in controllers.split(","):
                continue
            root = groups / "cpu" if controllers else groups
            # In a container, the path may be the one that the group has outside: its files then lie at the root, which
            # is the last of the parents.
            group = Path(path.lstrip("/"))
            for folder in (group, *group.parents):
                shares += _share_of(root / folder)
    return shares


def _share_of(folder: Path) -> list[float]:
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        with suppress(OSError, ValueError):
            quota, period = " ".join((folder / name).read_text(encoding="ascii") for name in names).split()
            if quota != "max" and int(quota) > 0:
                return [int(quota) / int(period)]
    return []
