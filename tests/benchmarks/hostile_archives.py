"""Imports archives that were made to cost much, each in a process of its own, and prints seconds and memory.

    python tests/benchmarks/hostile_archives.py

Memory is what the process takes beyond what it took before the import.
"""

import io
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def archives() -> dict[str, bytes]:
    """Return archives by what is wrong with them."""
    from cnnlab.runs.log import line_of
    from cnnlab.runs.shelf import reference_runs
    from cnnlab.runs.transfer.archive import export_run

    with zipfile.ZipFile(io.BytesIO(export_run(reference_runs()[0]))) as file:
        sound = {name: file.read(name) for name in file.namelist()}
    batch = b'{"event": "batch", "step": 1, "epoch": 1, "loss": 1.0, "seconds": 1.0}\n'
    return {
        "sound": zipped(sound),
        "a log of 499,000 lines": zipped(sound | {"events.jsonl": many_steps(499_000, line_of)}),
        "the same of a thousand epochs": zipped(
            sound | {"events.jsonl": many_steps(469_000, line_of), "run.json": with_epochs(sound["run.json"], 1_000)}
        ),
        "a log of 63 MB of short lines": zipped(sound | {"events.jsonl": b'{"event":"x"}\n' * 4_500_000}),
        "a log of one line of 70 MB": zipped(sound | {"events.jsonl": b" " * 69_000_000}),
        "a log of the same step": zipped(sound | {"events.jsonl": batch * 400_000}),
        "weights of 300,000 tensors": zipped(sound | {"weights.safetensors": many_tensors(300_000)}),
        "weights of 20 MB": zipped(sound | {"weights.safetensors": one_tensor(4_900_000)}),
        "a checkpoint of 60,000 parts": zipped(sound | {"checkpoint.pt": many_parts(60_000)}),
        "a checkpoint of 40 MB": zipped(sound | {"checkpoint.pt": saved(9_900_000)}),
        "run.json nested 400,000 deep": zipped(sound | {"run.json": b"[" * 400_000}),
        "a gigabyte of zeros": zipped(sound | {"weights.safetensors": bytes(1_000_000_000)}),
    }


def with_epochs(manifest: bytes, epochs: int) -> bytes:
    """Return a run.json with another number of epochs."""
    content = json.loads(manifest)
    del content["sha256"]
    content["config"]["epochs"] = epochs
    return json.dumps(content).encode()


def zipped(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name, each in files.items():
            file.writestr(name, each)
    return content.getvalue()


def many_steps(count: int, line_of: Callable[[dict[str, Any]], bytes]) -> bytes:
    lines = [line_of({"event": "started", "step": 0})]
    lines += [
        line_of({"event": "batch", "step": step, "epoch": 1, "loss": 1.0, "seconds": 1.0 * step})
        for step in range(1, count)
    ]
    return b"".join(lines)


def many_tensors(count: int) -> bytes:
    header = json.dumps({f"{each:06}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for each in range(count)})
    return len(header).to_bytes(8, "little") + header.encode()


def one_tensor(count: int) -> bytes:
    import torch
    from safetensors.torch import save

    return save({"0.weight": torch.zeros(count)})


def many_parts(count: int) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for each in range(count):
            file.writestr(f"archive/data/{each}", b"")
    return content.getvalue()


def saved(count: int) -> bytes:
    import torch

    content = io.BytesIO()
    torch.save({"model": torch.zeros(count)}, content)
    return content.getvalue()


def import_one(path: Path) -> None:
    """Import an archive, and print how it went, the seconds, and the megabytes that it took."""
    from cnnlab.errors import LabError
    from cnnlab.runs.shelf import reference_runs
    from cnnlab.runs.transfer.archive import import_run

    reference_runs()[0].load_weights()
    content = path.read_bytes()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak is counted from here on
    before, started = memory("VmRSS"), time.perf_counter()
    try:
        import_run(content)
        told = "imported"
    except LabError as error:
        told = str(error)
    seconds = time.perf_counter() - started
    print(f"{seconds:.2f} s, {memory('VmHWM') - before:.0f} MB: {told}")


def memory(name: str) -> float:
    """Return a figure of this process's memory as Linux tells it, in MB: VmRSS is now, VmHWM the most so far."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in archives().items():
            path = Path(folder) / "archive.zip"
            path.write_bytes(content)
            home = Path(folder) / name.replace(" ", "-")
            environment = {**os.environ, "CNNLAB_HOME": str(home), "PYTHONPATH": str(ROOT)}
            ended = subprocess.run(
                [sys.executable, __file__, str(path)], env=environment, capture_output=True, text=True, check=False
            )
            print(f"{name} ({len(content) / 1000:,.0f} kB): {ended.stdout.strip() or ended.stderr[-300:]}", flush=True)


if __name__ == "__main__":
    import_one(Path(sys.argv[1])) if len(sys.argv) > 1 else main()
