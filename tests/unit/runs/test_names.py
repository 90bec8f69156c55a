import pytest

from cnnlab.runs.names import InvalidName, checked_name


@pytest.mark.parametrize("name", ["a", "a" * 80, "größer 7", "👨\u200d👩"])
def test_a_line_of_up_to_eighty_characters_is_a_name(name):
    assert checked_name(f"  {name} ") == name


@pytest.mark.parametrize(("name", "length"), [("", 0), ("  ", 0), ("a" * 81, 81), ("a\tb", 3), ("a\nb", 3)])
def test_nothing_too_much_and_what_cannot_be_printed_is_no_name(name, length):
    with pytest.raises(InvalidName, match=rf"1 to 80 characters that can be printed; this one has {length}, or"):
        checked_name(name)
