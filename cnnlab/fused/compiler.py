"""Compiles the lab's kernels, and keeps them in the lab's home."""

import ctypes
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from cnnlab.errors import LabError
from cnnlab.storage.files import remove_unfinished, replacing, unfinished_suffix
from cnnlab.storage.home import home

SOURCE = Path(__file__).with_name("block.c")
# All that the kernel keeps at hand for an image must fit into a core's cache, and on the stack of a thread.
MOST_BYTES_AT_HAND = 256 * 1024
_LANES = 8


class CannotFuse(LabError):
    """A network has no such block, or its kernel cannot be made here; the message says why."""


class Batch(ctypes.Structure):
    """What a kernel is called with: the ``Batch`` of block.c, which is compiled only if it has the same size."""

    _fields_ = (
        *(
            (name, ctypes.c_void_p)
            for name in (
                "images",
                "weight",
                "bias",
                "pooled",
                "winners",
                "pooled_gradient",
                "weight_gradients",
                "bias_gradients",
                "images_gradient",
            )
        ),
        *((name, ctypes.c_int32) for name in ("count", "outputs_first", "slices", "taken")),
    )


@cache
def compiled(height: int, width: int, inputs: int, outputs: int) -> ctypes.CDLL:
    """Return the kernel for a block of these sizes, compiled now or earlier.

    Raises
    ------
    CannotFuse
        If the sizes do not suit it, or the compiler is missing or fails.
    """
    if height < 4 or width < 4:
        raise CannotFuse(f"a block has images of {height} × {width}, too small for a convolution and a pooling")
    weights = outputs * 3 * (3 * inputs + _LANES)
    at_hand = 4 * (2 * height * width * inputs + 3 * weights + height * width * outputs // 4)
    if at_hand > MOST_BYTES_AT_HAND:
        raise CannotFuse(
            f"a block of {inputs} to {outputs} channels on {height} × {width} needs {at_hand // 1024:,} kB at hand, "
            f"and the kernel is made for {MOST_BYTES_AT_HAND // 1024} kB, which fit into a core's cache"
        )
    sizes = {"HEIGHT": height, "WIDTH": width, "INPUTS": inputs, "OUTPUTS": outputs}
    sizes["BATCH_BYTES"] = ctypes.sizeof(Batch)
    return library_of(SOURCE, sizes)


def library_of(source: Path, definitions: dict[str, int]) -> ctypes.CDLL:
    """Return what a file of C gives with some names defined, compiled now or earlier.

    Raises
    ------
    CannotFuse
        If the compiler is missing or fails, or the library cannot be kept or loaded.
    """
    options = [*_OPTIONS, f"-mcpu={_cpu()}", *(f"-D{name}={value}" for name, value in definitions.items())]
    try:
        fingerprint = (
            f"{source.read_text(encoding='utf-8')} {options} {version('ziglang')} {sys.platform} {platform.machine()}"
        )
        name = f"{source.stem}-{hashlib.sha256(fingerprint.encode()).hexdigest()[:16]}.so"
        library = home() / "kernels" / name
        if not _is_whole(library):
            _compile(source, library, options)
        return ctypes.CDLL(str(library))
    except PackageNotFoundError as error:
        raise CannotFuse("the compiler for it, the package ziglang, is not installed") from error
    except OSError as error:
        raise CannotFuse(f"its kernel cannot be kept in {home() / 'kernels'} or loaded ({error})") from error


# No C library is needed; the checks that zig would add are for looking for mistakes.
_OPTIONS = ("-shared", "-fPIC", "-O3", "-nostdlib", "-fno-sanitize=undefined")


def _cpu() -> str:
    """Return which processors to compile for: those like this one, as far as the kernel can make use of it."""
    return "x86_64_v3" if torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512") else "baseline"


def _is_whole(library: Path) -> bool:
    """Return whether a kernel is there, and as it was compiled: a flipped bit would end every run that uses it."""
    try:
        return _sum_path(library).read_text(encoding="ascii") == hashlib.sha256(library.read_bytes()).hexdigest()
    except (OSError, ValueError):
        return False


def _sum_path(library: Path) -> Path:
    return library.with_suffix(".sha256")


def _compile(source: Path, library: Path, options: list[str]) -> None:
    library.parent.mkdir(parents=True, exist_ok=True)
    remove_unfinished(library.parent)
    scratch_folder = tempfile.TemporaryDirectory(dir=library.parent, prefix=".zig.", suffix=unfinished_suffix())
    with scratch_folder as scratch:
        Path(scratch, source.name).write_bytes(source.read_bytes())
        # All names are relative: the linker does not take a % in a path, and the home's may have one.
        places = {"ZIG_GLOBAL_CACHE_DIR": "cache", "ZIG_LOCAL_CACHE_DIR": "cache"}
        command = [sys.executable, "-m", "ziglang", "cc", *options, source.name, "-o", library.name]
        compiler = subprocess.run(
            command, cwd=scratch, capture_output=True, encoding="utf-8", errors="replace", env=os.environ | places
        )
        if compiler.returncode:
            lines = compiler.stderr.strip().splitlines() or ["no reason given"]
            reason = next((line for line in lines if "error:" in line), lines[-1])
            raise CannotFuse(f"the compiler failed: {reason}")
        content = Path(scratch, library.name).read_bytes()
    with replacing(library) as unfinished:
        unfinished.write_bytes(content)
    with replacing(_sum_path(library)) as unfinished:
        unfinished.write_text(hashlib.sha256(content).hexdigest(), encoding="ascii")
