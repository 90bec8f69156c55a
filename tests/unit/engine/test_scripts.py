import re

import pytest

from cnnlab.engine.scripts import joined

COMPONENTS = [
    ("engine", "preparation", "pen"),
    ("diagram/trace", "diagram/layout", "diagram/sum", "diagram/diagram"),
    ("engine", "still"),
]


@pytest.mark.parametrize("names", COMPONENTS)
def test_what_is_joined_imports_nothing_and_exports_its_last_part(names):
    text = joined(*names)
    assert not re.search(r"^import ", text, re.MULTILINE)
    assert re.findall(r"^export .*?\(", text, re.MULTILINE) == ["export default function ("]


@pytest.mark.parametrize("names", COMPONENTS)
def test_no_two_parts_have_the_same_name_for_different_things(names):
    found = re.findall(r"^(?:const|let|function) (\w+)", joined(*names), re.MULTILINE)
    assert len(found) == len(set(found))


def test_of_one_module_alone_the_exports_stay():
    assert "export function networkOf(" in joined("engine")
