import ctypes
import hashlib
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from cnnlab.fused import block, compiler
from cnnlab.fused.block import BlockSizes
from cnnlab.fused.compiler import CannotFuse

FIRST_BLOCK = BlockSizes(height=28, width=28, inputs=1, outputs=8, kernel=3, padding=0, pool=2)


@pytest.fixture
def nothing_compiled(lab_home):
    (lab_home / "kernels").unlink()
    block.compiled.cache_clear()
    yield
    block.compiled.cache_clear()


@pytest.mark.usefixtures("nothing_compiled")
def test_a_kernel_is_compiled_once_and_kept_in_the_home(lab_home, monkeypatch):
    block.compiled(FIRST_BLOCK)
    assert sorted(file.suffix for file in (lab_home / "kernels").iterdir()) == [".sha256", ".so"]
    block.compiled.cache_clear()
    monkeypatch.setattr(subprocess, "run", None)
    block.compiled(FIRST_BLOCK)


@pytest.mark.usefixtures("nothing_compiled")
def test_what_a_process_that_was_killed_left_is_removed(lab_home):
    left = lab_home / "kernels" / ".zig.abc.999999999.0"
    left.mkdir(parents=True)
    block.compiled(FIRST_BLOCK)
    assert not left.exists()


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_compiled")
@pytest.mark.parametrize("damage", [lambda content: content[:-1] + bytes([content[-1] ^ 1]), lambda content: b""])
def test_a_kernel_with_a_changed_byte_is_compiled_again_and_never_loaded(damage, lab_home, monkeypatch):
    block.compiled(FIRST_BLOCK)
    (library,) = (lab_home / "kernels").glob("*.so")
    whole = library.read_bytes()
    library.unlink()  # the file that this process has loaded stays as it is
    library.write_bytes(damage(whole))
    loaded = []
    monkeypatch.setattr(compiler.ctypes, "CDLL", lambda path: loaded.append(Path(path).read_bytes()))
    block.compiled.cache_clear()
    block.compiled(FIRST_BLOCK)
    assert loaded == [library.read_bytes()]
    assert hashlib.sha256(loaded[0]).hexdigest() == library.with_suffix(".sha256").read_text(encoding="ascii")


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_compiled")
def test_a_kernel_of_an_earlier_version_without_a_sum_is_compiled_again(lab_home):
    block.compiled(FIRST_BLOCK)
    (kept,) = (lab_home / "kernels").glob("*.sha256")
    kept.unlink()
    block.compiled.cache_clear()
    block.compiled(FIRST_BLOCK)
    assert kept.exists()


@pytest.mark.usefixtures("nothing_compiled")
def test_a_home_whose_name_the_linker_does_not_take_has_its_kernels_too(lab_home, monkeypatch):
    monkeypatch.setenv("CNNLAB_HOME", str(lab_home / "My%20Project"))
    block.compiled(FIRST_BLOCK)
    assert len(list((lab_home / "My%20Project" / "kernels").glob("*.so"))) == 1


@pytest.mark.parametrize(
    ("capability", "cpu"), [("DEFAULT", "baseline"), ("AVX2", "x86_64_v3"), ("AVX512", "x86_64_v3")]
)
def test_kernels_are_compiled_for_the_wide_numbers_of_a_processor_that_has_them(capability, cpu, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert compiler._cpu() == cpu


@pytest.mark.usefixtures("nothing_compiled")
def test_a_missing_compiler_is_told(monkeypatch):
    def missing(name):
        raise compiler.PackageNotFoundError(name)

    monkeypatch.setattr(compiler, "version", missing)
    with pytest.raises(CannotFuse, match="ziglang, is not installed"):
        block.compiled(FIRST_BLOCK)


@pytest.mark.usefixtures("nothing_compiled")
def test_a_compiler_that_fails_is_told_and_leaves_nothing_behind(lab_home, monkeypatch):
    monkeypatch.setattr(compiler, "_OPTIONS", ("-no-such-option",))
    with pytest.raises(CannotFuse, match=r"the compiler failed: .*no-such-option"):
        block.compiled(FIRST_BLOCK)
    assert list((lab_home / "kernels").iterdir()) == []


@pytest.mark.usefixtures("nothing_compiled")
def test_a_kernel_whose_batch_is_not_pythons_is_not_compiled(monkeypatch):
    class Longer(block.Batch):
        _fields_ = (("added", ctypes.c_int32),)

    monkeypatch.setattr(block, "Batch", Longer)
    with pytest.raises(CannotFuse, match=r"block\.py has another Batch"):
        block.compiled(FIRST_BLOCK)


@pytest.mark.usefixtures("nothing_compiled")
def test_two_threads_that_want_a_kernel_at_once_compile_it_once(monkeypatch):
    compiled, compile_it = [], compiler._compile
    monkeypatch.setattr(compiler, "_compile", lambda *given: compiled.append(given) or compile_it(*given))
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(block.compiled, [FIRST_BLOCK] * 2))
    assert len(compiled) == 1
