import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnlab.drawing import my_digits as module
from cnnlab.drawing.my_digits import (
    InvalidDigits,
    MyDigit,
    add,
    delete_all,
    keep,
    lines_of,
    my_digits,
    my_digits_path,
    parse,
    strokes_in,
    take_back,
)
from cnnlab.drawing.strokes import Stroke
from cnnlab.storage.home import HomeError

SEVEN = (Stroke(20, ((70.0, 70.0), (200.0, 70.0), (190.0, 90.0), (150.0, 160.0), (120.0, 240.0))),)
ONE = (Stroke(20, ((140.0, 50.0), (140.0, 230.0))),)
RECORD = {"digit": 1, "strokes": [{"width": 20, "points": [[140, 50], [140, 230]]}]}


def line(**changes):
    return json.dumps(RECORD | changes).encode()


def stroke(**changes):
    return [RECORD["strokes"][0] | changes]


def test_at_first_there_are_none():
    digits = my_digits()
    assert len(digits) == digits.damaged == 0
    assert digits.images.shape == (0, 28, 28)
    assert digits.labels.shape == (0,)


def test_kept_digits_are_there_with_their_strokes_and_prepared_images():
    keep(7, SEVEN)
    keep(1, ONE)
    digits = my_digits()
    assert digits.digits == (MyDigit(7, SEVEN), MyDigit(1, ONE))
    assert digits.labels.tolist() == [7, 1]
    assert digits.images.shape == (2, 28, 28)
    assert digits.images.max() == 1


def test_a_digit_can_be_taken_back_whoever_came_after_it_and_all_deleted():
    kept = keep(7, SEVEN)
    assert keep(7, SEVEN) is None
    keep(1, ONE)
    take_back(kept)
    take_back(kept)
    assert my_digits().labels.tolist() == [1]
    delete_all()
    delete_all()
    assert len(my_digits()) == 0


@pytest.mark.parametrize("strokes", [(), (Stroke(20, ((140.0, 140.0),)),)])
def test_an_empty_drawing_or_a_dot_is_not_kept(strokes):
    with pytest.raises(InvalidDigits, match="cannot be kept"):
        keep(3, strokes)
    assert not my_digits_path().exists()


def test_what_is_downloaded_can_be_uploaded_and_nothing_is_kept_twice():
    keep(7, SEVEN)
    keep(1, ONE)
    content = my_digits_path().read_bytes()
    digits = parse(content)
    assert add(digits) == 0
    delete_all()
    assert add(digits) == 2
    assert my_digits_path().read_bytes() == content


def test_a_damaged_line_is_left_out_counted_and_not_thrown_away():
    keep(7, SEVEN)
    with my_digits_path().open("ab") as file:
        file.write(b'{"digit": 1, "stro')
    assert (len(my_digits()), my_digits().damaged) == (1, 1)
    keep(1, ONE)
    assert (my_digits().labels.tolist(), my_digits().damaged) == ([7, 1], 1)
    assert b'"stro\n' in my_digits_path().read_bytes()


@pytest.mark.parametrize(
    "damaged",
    [
        b"7",
        b"not JSON",
        b"[" * 100_000,
        b"\xff\xfe",
        line(digit=10),
        line(digit=True),
        line(digit="7"),
        line(more=1),
        line(strokes=[]),
        line(strokes="7"),
        line(strokes=[7]),
        line(strokes=stroke() * 51),
        line(strokes=stroke(width=0)),
        line(strokes=stroke(width=101)),
        line(strokes=stroke(width=float("nan"))),
        line(strokes=stroke(points=[])),
        line(strokes=stroke(points=[[1, 2, 3]])),
        line(strokes=stroke(points=[[1, "2"]])),
        line(strokes=stroke(points=[[1, 1e9]])),
        line(strokes=stroke(points=[[1, float("inf")]])),
        line(strokes=stroke(points=[[1, 2]] * 5_001)),
        line(strokes=stroke(points=[[1, 10**400]])),
        line(strokes=stroke(width=10**400)),
        line(strokes=stroke(points=[[-2800, -2800], [2800, 2800]] * 10)),
        line(strokes=stroke(points=[[140, 140]])),
        line(strokes=stroke(more=1)),
    ],
)
def test_a_file_with_a_line_that_cannot_be_is_refused_with_its_number(damaged):
    with pytest.raises(InvalidDigits, match="Line 2 is not a digit that the lab has kept: "):
        parse(line() + b"\n" + damaged)


def test_an_empty_a_long_and_a_large_file_are_refused(monkeypatch):
    with pytest.raises(InvalidDigits, match="0 lines"):
        parse(b"\n\n")
    with pytest.raises(InvalidDigits, match="2,001 lines"):
        parse((line() + b"\n") * 2_001)
    with pytest.raises(InvalidDigits, match="21 MB"):
        parse(b" " * 21_000_000)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_read(content):
    try:
        digits = parse(content)
    except InvalidDigits:
        return
    assert digits


places = st.tuples(st.floats(0, 280).map(lambda x: round(x, 1)), st.floats(0, 280).map(lambda x: round(x, 1)))
drawings = st.lists(
    st.builds(Stroke, st.integers(6, 40), st.lists(places, min_size=2, max_size=9).map(tuple)), min_size=1
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.integers(0, 9), drawings)
def test_what_is_kept_is_read_again_as_it_was(lab_home, digit, strokes):
    delete_all()
    try:
        keep(digit, strokes)
    except InvalidDigits:  # a dot
        return
    assert my_digits().digits == (MyDigit(digit, tuple(strokes)),)
    assert parse(my_digits_path().read_bytes()) == [MyDigit(digit, tuple(strokes))]


def test_there_can_be_too_many(monkeypatch):
    monkeypatch.setattr(module, "MOST_DIGITS", 1)
    keep(7, SEVEN)
    with pytest.raises(InvalidDigits, match="at most 1 digits"):
        keep(1, ONE)


def test_a_home_that_cannot_be_written_is_said(lab_home, monkeypatch):
    (lab_home / "file").touch()
    monkeypatch.setenv("CNNLAB_HOME", str(lab_home / "file"))
    with pytest.raises(HomeError):
        keep(7, SEVEN)


def test_what_is_kept_is_rounded_to_a_tenth_of_a_pixel():
    keep(7, (Stroke(16, ((70.04, 70.26), (200.123456, 70.0), (120.0, 239.96))),))
    assert my_digits().digits[0].strokes[0].points == ((70.0, 70.3), (200.1, 70.0), (120.0, 240.0))


@pytest.mark.parametrize(
    "at_the_limit",
    [
        line(strokes=stroke(width=1)),
        line(strokes=stroke(width=100)),
        line(strokes=stroke(points=[[-2800, 140], [2800, 140]])),
        line(strokes=stroke(points=[[140, -2800], [140, 2800]])),
    ],
)
def test_what_lies_just_within_the_limits_is_read(at_the_limit):
    assert len(parse(at_the_limit)) == 1


def test_a_digit_of_a_newer_version_is_told_apart_from_damage_and_kept():
    keep(1, ONE)
    with my_digits_path().open("ab") as file:
        file.write(b'{"format": 3, "digit": 7, "ink": "AAAA"}\n')
    assert (len(my_digits()), my_digits().damaged, my_digits().newer) == (1, 0, 1)
    keep(7, SEVEN)
    assert my_digits().newer == 1


def test_strokes_of_the_eraser_are_kept_and_earlier_versions_see_a_newer_line():
    eraser = Stroke(30, ((140.0, 70.0), (140.0, 71.0)), erases=True)
    keep(7, [*SEVEN, eraser])
    keep(1, ONE)
    assert my_digits().digits[0].strokes[-1] == eraser
    erased, plain = (json.loads(line) for line in my_digits_path().read_bytes().splitlines())
    assert erased["format"] == 2
    assert "format" not in plain
    assert set(plain["strokes"][0]) == {"width", "points"}
    assert parse(my_digits_path().read_bytes()) == list(my_digits().digits)


def test_a_stroke_erases_or_does_not():
    record = {"digit": 7, "strokes": [{"width": 20, "points": [[70, 70], [140, 200]], "erases": 1}]}
    with pytest.raises(InvalidDigits, match='"erases" must be true or false'):
        parse(json.dumps(record).encode())


def test_each_learner_has_digits_of_his_own(lab_home):
    for learner in ("Ada", "Bob", None):
        keep(1, ONE, learner)
    assert keep(7, SEVEN, "ADA")
    assert [each.digit for each in my_digits("Ada").digits] == [1, 7]
    take_back(MyDigit(1, ONE), "Ada")
    delete_all("Bob")
    assert [each.digit for each in my_digits("Ada").digits] == [7]
    assert (len(my_digits("Bob")), len(my_digits())) == (0, 1)
    assert my_digits_path().parent == lab_home


def test_a_file_may_be_as_long_and_as_large_as_the_limits():
    assert len(parse((line() + b"\n") * 2_000)) == 2_000
    content = line() + b"\n"
    assert len(parse(content + b" " * (20_000_000 - len(content)))) == 1
    with pytest.raises(InvalidDigits, match="has 20 MB; at most 20 MB are read"):
        parse(content + b" " * (20_000_001 - len(content)))


@pytest.mark.parametrize(("size", "told"), [(20_499_990, 20), (20_500_001, 21)])
def test_how_large_a_file_is_is_said_in_whole_megabytes(size, told):
    with pytest.raises(InvalidDigits, match=f"has {told} MB; at most 20 MB"):
        parse(bytes(size))


@pytest.mark.parametrize(
    "at_the_limit",
    [
        line(digit=9),
        line(digit=0),
        line(strokes=stroke() * 50),
        line(strokes=stroke(points=[[140, 50], [140, 60]] * 2_500)),  # 4,999 ways of 10 pixels
        line(strokes=stroke(points=[[140, 0], [140, 2_000]] * 13)),  # 50,000 pixels
    ],
)
def test_a_digit_may_have_as_much_as_the_limits(at_the_limit):
    assert len(parse(at_the_limit)) == len(strokes_in(at_the_limit)) == 1


@pytest.mark.parametrize(
    ("damaged", "told"),
    [
        (line(strokes=[]), '"strokes" must be a list of 1 to 50'),
        (line(strokes=stroke() * 51), '"strokes" must be a list of 1 to 50'),
        (line(strokes=stroke(points=[])), '"points" must be a list of'),
        (line(strokes=stroke(points="12")), '"points" must be a list of'),
        (line(strokes=stroke(points=7)), '"points" must be a list of'),
        (line(strokes=stroke(points=[[1, 2]] * 5_001)), "at most 5,000 points"),
        (line(strokes=stroke(points=[[0, 0], [2_001, 0]] * 13)), "at most 50,000 pixels long"),
    ],
)
def test_what_is_wrong_with_a_line_is_said(damaged, told):
    with pytest.raises(InvalidDigits, match=told):
        strokes_in(damaged)


def test_digits_are_written_as_they_are_read():
    digits = [MyDigit(7, SEVEN), MyDigit(1, ONE)]
    assert parse(lines_of(digits)) == digits
    assert lines_of(digits).count(b"\n") == 2
