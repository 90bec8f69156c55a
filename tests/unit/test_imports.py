"""What is not imported before it is needed: each second of it is one that somebody waits, in each process."""

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "not_needed"),
    [
        ("cnnlab.workers.child", {"torch", "numpy", "pandas", "streamlit"}),
        ("cnnlab.workers.process", {"pandas", "pyarrow", "scipy", "plotly", "altair", "streamlit"}),
        ("cnnlab.ui.answers.bars", {"scipy"}),
    ],
)
def test_a_module_imports_nothing_large_that_it_can_do_without(module, not_needed):
    code = f"import sys, {module}; print(*sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert not_needed & set(printed.stdout.split()) == set()
