import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnlab.errors import LabError
from cnnlab.sweeps.plan import Between, InvalidSweep, Plan, Search
from cnnlab.sweeps.plan_file import plan_as_json, plan_from_json, plan_in


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


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("epochs = [", "is not TOML"),
        ("epoch = [1, 2]", "'epoch' is no setting of a run; a sweep can try model, epochs"),
        ("epochs = []", "epochs has no values"),
        ("epochs = [1, 1]", "epochs has a value twice"),
        (
            "seed = [" + ",".join(map(str, range(101))) + "]\nepochs = [" + ",".join(map(str, range(1, 101))) + "]",
            "These are 10,100 runs; a sweep has at most 10,000",
        ),
        ("learning_rate = {low = 0.1, high = 0.2}", "say how many runs to draw"),
        ("learning_rate = {low = 0.1}", "must have low and high"),
        ("learning_rate = {low = 0.2, high = 0.1}\n[draws]\ncount = 3", "the first must be smaller"),
        ("learning_rate = {low = 0, high = 0.1, log = true}\n[draws]\ncount = 3", "above 0"),
        ("learning_rate = {low = 'a', high = 'b'}\n[draws]\ncount = 3", "must lie between two numbers"),
        ("learning_rate = {low = 0, high = 1e300}\n[draws]\ncount = 3", "neither beyond 1,000,000,000,000"),
        (f"epochs = {'9' * 5_000}", "not TOML"),
        ("seed = [1, 2]\n[draws]\ncount = 3", "fewer than 3 different runs"),
        ("seed = [1, 2]\n[draws]\ncount = 0", "allowed is a whole number from 1 to 10,000"),
        ("[draws]\nseed = 0", r"\[draws\] must have a count"),
        ("name = 3", "name is 3"),
        ("[search]\nat_once = 2", r"\[search\] must have runs"),
        ("[search]\nruns = 0", "runs of a search is 0"),
        ("[search]\nruns = 2\nsampler = 'best'", "allowed is one of tpe, random"),
        ("[search]\nruns = 2\n[draws]\ncount = 2", "leave out the draws, or the search"),
        ("validation = 0\n[search]\nruns = 2", "validation must be above 0"),
        ("validation = [0, 5000]\n[search]\nruns = 2", "validation must be above 0"),
        ("validation = {low = 0, high = 5000}\n[search]\nruns = 2", "validation must be above 0"),
        ("epochs = {low = 1, high = 3}\n[draws]\ncount = 10000", "fewer than 10,000 different runs"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused_in_a_sentence(content, words):
    with pytest.raises(InvalidSweep, match=words):
        plan_in(content.encode())[1].recipes()


def test_a_plan_is_read_from_toml():
    content = (
        'name = "Rates"\nmodel = "module"\nepochs = 3\nlearning_rate = {low = 0.001, high = 0.1, log = true}\n'
        "seed = [0, 1]\n[draws]\ncount = 4\nseed = 7\n"
    )
    name, plan = plan_in(content.encode())
    assert name == "Rates"
    rates = Between(0.001, 0.1, is_logarithmic=True)
    settings = {"model": "module", "epochs": 3, "learning_rate": rates, "seed": (0, 1)}
    assert plan == Plan(settings, draws=4, draws_seed=7)


def test_a_plan_may_begin_with_a_byte_order_mark_and_must_be_utf_8():
    assert plan_in("\ufeffname = 'Größer'".encode())[0] == "Größer"
    with pytest.raises(InvalidSweep, match="not TOML"):
        plan_in("name = 'Größer'".encode("latin-1"))


@given(st.text() | st.sampled_from(["name", "epochs", "draws"]).map(lambda field: f"{field} = [[1], {{}}, inf]"))
def test_any_text_is_a_plan_or_refused(content):
    try:
        plan_in(content.encode())[1].recipes()
    except LabError:
        return


def test_a_plan_is_the_same_after_it_was_kept():
    for plan in (
        Plan({"learning_rate": Between(0.001, 0.1, is_logarithmic=True), "epochs": (1, 2), "threads": 1}, 3, 7),
        Plan({"learning_rate": Between(0.001, 0.1)}, search=Search(5, 3, "random", 9)),
    ):
        assert plan_from_json(plan_as_json(plan)) == plan


def test_a_search_may_say_all_that_it_can():
    told = "learning_rate = {low = 0.1, high = 0.2}\n[search]\nruns = 7\nat_once = 2\nsampler = 'random'\nseed = 3"
    assert plan_in(told.encode())[1].search == Search(7, at_once=2, sampler="random", seed=3)


def test_a_plan_in_toml_is_read_as_it_is_written():
    content = b'name = "rates"\nepochs = [1, 2]\nlearning_rate = {low = 0.01, high = 0.1, log = true}\n'
    settings = {"epochs": (1, 2), "learning_rate": Between(0.01, 0.1, is_logarithmic=True)}
    assert plan_in(content + b"[draws]\ncount = 4\nseed = 3\n") == ("rates", Plan(settings, 4, 3))
    assert plan_in(content + b"[search]\nruns = 4\n") == ("rates", Plan(settings, search=Search(4)))
