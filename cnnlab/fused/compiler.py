"""Compiles the lab's kernels, and keeps them in the lab's home."""

import ctypes
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from torch import Tensor

from cnnlab.errors import LabError
from cnnlab.storage.files import remove_unfinished, replacing, unfinished_suffix
from cnnlab.storage.home import home


class CannotFuse(LabError):
    """A network has no such block, or its kernel cannot be made here; the message says why."""


def library_of(source: Path, **definitions: int) -> ctypes.CDLL:
    """Return what a file of C gives with some names defined, compiled now or earlier.

    Raises
    ------
    CannotFuse
        If the compiler is missing or fails, or the library cannot be kept or loaded.
    """
    options = [*_OPTIONS, f"-mcpu={_cpu()}", *(f"-D{name}={value}" for name, value in definitions.items())]
    try:
        sources = [each.read_text(encoding="utf-8") for each in (source, _HEADER)]
        fingerprint = f"{sources} {options} {version('ziglang')} {sys.platform} {platform.machine()}"
        name = f"{source.stem}-{hashlib.sha256(fingerprint.encode()).hexdigest()[:16]}.so"
        library = home() / "kernels" / name
        with _lock_of(library):
            if not _is_whole(library):
                _compile(source, library, options)
        return ctypes.CDLL(str(library))
    except PackageNotFoundError as error:
        raise CannotFuse("the compiler for it, the package ziglang, is not installed") from error
    except OSError as error:
        raise CannotFuse(f"its kernel cannot be kept in {home() / 'kernels'} or loaded ({error})") from error


@cache
def kernel_of(source: Path, call: type[ctypes.Structure], **definitions: int) -> ctypes.CDLL:
    """Return a kernel that serves any sizes, compiled now or earlier; its source has the structure it is called with.

    Raises
    ------
    CannotFuse
        As `library_of` does.
    """
    return library_of(source, CALL_BYTES=ctypes.sizeof(call), **definitions)


@cache
def kernel_if_any(source: Path, call: type[ctypes.Structure]) -> ctypes.CDLL | None:
    """Return what `kernel_of` does; None where it cannot be."""
    with suppress(CannotFuse):
        return kernel_of(source, call)
    return None


def address_of(tensor: Tensor | None) -> int | None:
    """Return where a tensor's numbers begin, as a kernel is told it."""
    return None if tensor is None else tensor.data_ptr()


@cache
def _lock_of(_library: Path) -> threading.Lock:
    """Return what a thread holds while it compiles a kernel: another that wants the same has it sooner by waiting."""
    return threading.Lock()


_HEADER = Path(__file__).with_name("team.h")  # that the kernels include
# No C library is needed but memset and memcpy, which Python has loaded. The checks that zig would add are for looking
# for mistakes.
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
        for each in (source, _HEADER):
            Path(scratch, each.name).write_bytes(each.read_bytes())
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
