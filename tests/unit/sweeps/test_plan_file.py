import pytest

from cnnlab.sweeps.plan import Between, InvalidSweep, Plan, Search
from cnnlab.sweeps.plan_file import plan_as_json, plan_in


def test_a_plan_may_have_a_million_bytes():
    content = b"seed = [1, 2]\n"
    assert plan_in(content + b"#" * (1_000_000 - len(content))) == (None, Plan({"seed": (1, 2)}))
    with pytest.raises(InvalidSweep, match="more than 1 MB, which"):
        plan_in(content + b"#" * (1_000_001 - len(content)))


def test_what_a_plan_does_not_say_is_seed_0_two_runs_at_once_and_tpe():
    assert plan_in(b"seed = [1, 2]\n[draws]\ncount = 1\n")[1] == Plan({"seed": (1, 2)}, 1, 0)
    assert plan_in(b"[search]\nruns = 3\n")[1].search == Search(3, 2, "tpe", 0)
    assert plan_in(b"seed = [1, 2]\n[draws]\n") == (None, Plan({"seed": (1, 2)}))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("name = ['a']", "name is ['a']; it must be a text."),
        ("draws = 3", "[draws] must have a count, can have a seed, and nothing else."),
        ("[draws]\ncount = 3\nmost = 4", "[draws] must have a count, can have a seed, and nothing else."),
        ("[draws]\ncount = 3\nseed = 1.0", "The seed of [draws] is 1.0; allowed is a whole number."),
        ("[draws]\ncount = 3\nseed = true", "The seed of [draws] is True; allowed is a whole number."),
        *(
            (content, "[search] must have runs, can have at_once, sampler, seed, and nothing else.")
            for content in ("search = 3", "[search]", "[search]\nruns = 3\nbest = 4", "[search]\nseed = 3")
        ),
        *(
            (f"epochs = {table}", "epochs must have low and high, can have log, and nothing else.")
            for table in ("{}", "{low = 1}", "{high = 2}", "{low = 1, high = 2, step = 1}", "{log = true}")
        ),
    ],
)
def test_what_a_table_of_a_plan_must_have_is_told(content, told):
    with pytest.raises(InvalidSweep) as error:
        plan_in(content.encode())
    assert str(error.value) == told


@pytest.mark.parametrize(("log", "is_logarithmic"), [("true", True), ("false", False), ("1", False), ("'yes'", False)])
def test_powers_of_ten_are_equally_probable_only_where_log_is_true(log, is_logarithmic):
    content = f"learning_rate = {{low = 0.1, high = 0.2, log = {log}}}\n[draws]\ncount = 2"
    assert plan_in(content.encode())[1].settings == {"learning_rate": Between(0.1, 0.2, is_logarithmic)}


def test_a_kept_plan_says_all_that_it_tries():
    settings = {"learning_rate": Between(0.1, 0.2, True), "seed": (1, 2), "epochs": 3}
    told = {"learning_rate": {"low": 0.1, "high": 0.2, "log": True}, "seed": [1, 2], "epochs": 3}
    assert plan_as_json(Plan(settings, 2, 5)) == {"settings": told, "draws": 2, "draws_seed": 5, "search": None}
    search = {"runs": 4, "at_once": 3, "sampler": "random", "seed": 9}
    assert plan_as_json(Plan(settings, search=Search(4, 3, "random", 9)))["search"] == search
