"""What is read of a source, in what time and memory; and texts by chance, each read or refused in a sentence.

PYTHONPATH=.:tests python tests/benchmarks/sources.py [--minutes 10] [--seed 0]
"""

import argparse
import random
import time
import tracemalloc
from contextlib import suppress

import torch
from hostile_sources import SOURCES

from cnnlab.models.definitions import DEFINITIONS
from cnnlab.models.reading.building import build
from cnnlab.models.reading.network import CannotRead
from cnnlab.models.reading.source import read
from cnnlab.models.reading.understanding import understand
from cnnlab.models.writing import CannotBeSequential, as_module, as_sequential
from cnnlab.ui.write.examples import EXAMPLES

PIECES = [
    *"()[]{},:=.*+-/#@\\\n",
    *["nn", "torch", "F", "self", "x", "def", "class", "return", "lambda", "10", "0", "-1", "1e9", "'a'", '"'],
    "    ",
    "**",
    "//",
]


def tried(source: str) -> bool:
    """Return whether a source is read; what else happens than a sentence is raised."""
    try:
        understood = understand(read(source))
    except CannotRead:
        return False
    if understood.can_train:
        module = build(understood.network).eval()
        assert module(torch.zeros(2, 1, 28, 28)).shape == (2, 10), source
        assert sum(each.numel() for each in module.parameters()) >= understood.parameters, source
        as_module(understood)
        with suppress(CannotBeSequential):
            as_sequential(understood)
    return True


def changed(source: str, chance: random.Random) -> str:
    """Return a source with some letters or words taken out, doubled, or put elsewhere."""
    for _ in range(chance.randint(1, 6)):
        start = chance.randrange(len(source) + 1)
        end = min(len(source), start + chance.choice([1, 1, 2, 5, 20, 80]))
        new = chance.choice(
            ["", source[start:end] * 2, chance.choice(PIECES), source[end:][:30], chr(chance.randrange(1, 0x2FFF))]
        )
        source = source[:start] + new + source[end:]
    return source


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    slowest, most, were_read = 0.0, 0, 0
    for source in SOURCES:
        begun = time.perf_counter()
        were_read += tried(source)
        slowest = max(slowest, time.perf_counter() - begun)
        tracemalloc.start()
        tried(source)
        most = max(most, tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    print(
        f"hostile: {len(SOURCES)}, of which {were_read} are read; at most {1000 * slowest:.0f} ms, {most / 1e6:.1f} MB"
    )
    chance = random.Random(given.seed)
    sources = [*EXAMPLES.values(), *(definition.source for definition in DEFINITIONS.values())]
    ends, count, were_read, slowest = time.monotonic() + 60 * given.minutes, 0, 0, 0.0
    while time.monotonic() < ends:
        source = changed(chance.choice(sources), chance)
        begun = time.perf_counter()
        were_read += tried(source)
        slowest = max(slowest, time.perf_counter() - begun)
        count += 1
    print(f"by chance: {count:,}, of which {were_read:,} are read; at most {1000 * slowest:.0f} ms")


if __name__ == "__main__":
    main()
