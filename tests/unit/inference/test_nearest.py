import pytest
import torch
import torch.nn.functional as F

from cnnlab.inference.nearest import Directions, _lengths_left


def directions(count, features, kinds, seed=0):
    """Return directions around a few that differ much, as those of digits do."""
    generator = torch.Generator().manual_seed(seed)
    around = torch.rand(kinds, features, generator=generator)[torch.arange(count) % kinds]
    return F.normalize(around + 0.1 * torch.randn(count, features, generator=generator), dim=1)


@pytest.mark.parametrize(("features", "kinds"), [(10, 3), (96, 10), (400, 10), (400, 2_000)])
def test_the_nearest_of_few_and_of_many_questions_are_those_of_all_products(features, kinds):
    kept, asked = directions(2_000, features, kinds), directions(20, features, kinds, seed=1)
    expected = (asked @ kept.half().float().T).sort(dim=1, descending=True).values[:, :5]
    found = Directions(kept)
    assert torch.allclose(found.nearest_cosines(asked, 5), expected, atol=1e-6)
    assert torch.allclose(found.nearest_cosines(asked[:3], 5), expected[:3], atol=1e-6)


def test_without_a_question_there_is_no_answer():
    assert Directions(directions(50, 20, 3)).nearest_cosines(torch.empty(0, 20), 5).shape == (0, 5)


def test_what_is_kept_itself_is_its_own_nearest():
    kept = directions(50, 400, 10)
    assert Directions(kept).nearest_cosines(kept[7:8], 1).item() == pytest.approx(1, abs=1e-3)


def test_what_lies_across_all_that_is_kept_is_far_from_it():
    kept = F.normalize(torch.cat([torch.rand(50, 399), torch.zeros(50, 1)], dim=1), dim=1)
    asked = torch.zeros(1, 400)
    asked[0, -1] = 1
    assert Directions(kept).nearest_cosines(asked, 5).abs().max() < 1e-6


def test_of_a_few_questions_what_lies_far_off_is_not_looked_at_in_full():
    generator = torch.Generator().manual_seed(0)
    given = torch.randn(1_008, 20, generator=generator) @ torch.randn(20, 300, generator=generator)
    kept, asked = F.normalize(given, dim=1).split([1_000, 8])
    found, whole = Directions(kept), kept.half()
    for question, cosines in zip(asked, asked @ whole.float().T, strict=True):
        nearest = cosines.topk(12).values
        found._all = whole.where(cosines[:, None] >= nearest[-1], torch.nan)
        assert torch.allclose(found.nearest_cosines(question[None], 5)[0], nearest[:5], atol=1e-6)


def test_what_lies_across_is_what_pythagoras_leaves_and_never_less_than_nothing():
    axes, _ = torch.linalg.qr(torch.randn(50, 12, generator=torch.Generator().manual_seed(0)))
    given = directions(20, 50, 3)
    across = given - given @ axes @ axes.T
    torch.testing.assert_close(_lengths_left(given, given @ axes), across.norm(dim=1), atol=1e-5, rtol=0)
    assert _lengths_left(torch.tensor([0.6, 0.8]), torch.tensor([1.0001])).item() == 0
