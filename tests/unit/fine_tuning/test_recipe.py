from cnnlab.drawing.my_digits import MyDigit
from cnnlab.drawing.strokes import Stroke
from cnnlab.fine_tuning.recipe import fine_tuning_recipe, parted
from cnnlab.training.recipe import TrainingConfig


def drawn(digit, x, *, erases=False):
    return MyDigit(digit, (Stroke(20, ((x, 50.0), (x, 230.0)), erases),))


def test_of_each_digit_the_first_is_trained_on_and_the_next_held_out():
    digits = [drawn(digit, 100.0 + time) for time in range(3) for digit in (1, 7)]
    to_train_on, held_out = parted(digits)
    assert to_train_on == [drawn(1, 100.0), drawn(7, 100.0), drawn(1, 102.0), drawn(7, 102.0)]
    assert held_out == [drawn(1, 101.0), drawn(7, 101.0)]


def test_a_digit_that_is_added_leaves_the_others_on_their_side():
    digits = [drawn(digit, 100.0 + time) for time in range(3) for digit in (1, 7)]
    for before, after in zip(parted(digits), parted([*digits, drawn(1, 200.0), drawn(3, 90.0)]), strict=True):
        assert after[: len(before)] == before


def test_a_digit_with_a_stroke_of_the_eraser_is_held_out():
    erased, whole = drawn(1, 100.0, erases=True), drawn(1, 110.0)
    assert parted([erased, whole]) == ([whole], [erased])


def test_seed_threads_and_backend_stay():
    config = TrainingConfig(seed=7, threads=1, kernels="torch", augment=True, validation=5_000, optimizer="adam")
    recipe = fine_tuning_recipe(config)
    assert (recipe.seed, recipe.threads, recipe.kernels) == (7, 1, "torch")
    assert (recipe.data, recipe.validation, recipe.augment) == ("mnist+pen", 0, False)
