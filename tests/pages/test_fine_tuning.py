"""Fine-tune on my digits, on Draw: what it needs, and what it says of a network that did."""

import pytest
import torch
from own_digits import own_digits

from cnnlab.comparison.statistics import accuracy_interval
from cnnlab.drawing.my_digits import add, delete_all, my_digits
from cnnlab.fine_tuning.recipe import parted
from cnnlab.inference.test_set import pen_accuracy_of
from cnnlab.runs.log import Status
from cnnlab.runs.shelf import all_runs, create_fine_tuned_run, delete_run, find_run
from cnnlab.runs.transfer.archive import export_run, import_run
from cnnlab.runs.writer import RunWriter
from cnnlab.training.evaluation import predict_logits
from cnnlab.training.events import EpochEvent
from cnnlab.wording import percent

pytestmark = pytest.mark.slow

REFERENCE = "reference-sequential"


@pytest.fixture
def draw_page(app):
    """Return the lab, opened on Draw with a reference run."""
    app.switch_page("pages/draw.py")
    app.query_params["runs"] = REFERENCE
    return app.run()


def keep(count):
    """Keep digits that people drew, thick enough that the reference misreads some."""
    add(own_digits(count, width=34))


def button(page, label):
    return next(each for each in page.button if each.label == label)


def fine_tuned(page, parent_id=REFERENCE):
    """Show a run that has been fine-tuned on one's own digits; its weights are those of the run for drawing."""
    run = create_fine_tuned_run(find_run(parent_id), parted(my_digits().digits)[0])
    with RunWriter.claim(run) as writer:
        writer.started(step=0, device="cpu")
        writer.append_training(EpochEvent(1, run.total_steps, 0.1, 0.1, 0.9876, 3.0, 20_000.0, pen_accuracy=0.9765))
        writer.save_weights(find_run("reference-drawing").load_weights(), run.total_steps)
        writer.finished()
    page.query_params["runs"] = run.id
    page.run()
    assert not page.exception
    return run


def right_of(run_id, digits):
    """Return how many digits a run's weights read right."""
    run = find_run(run_id)
    model = run.definition.build(seed=0)
    model.load_state_dict(run.load_weights())
    answers = predict_logits(model, torch.from_numpy(digits.images).unsqueeze(1)).argmax(1).numpy()
    return int((answers == digits.labels).sum())


def test_it_takes_ten_digits_to_train_on(draw_page):
    keep(9)
    draw_page.run()
    assert button(draw_page, "Fine-tune").disabled
    assert any("It takes 10 digits to train on" in each.value for each in draw_page.caption)
    keep(40)
    draw_page.run()
    to_train_on, held_out = parted(my_digits().digits)
    assert not button(draw_page, "Fine-tune").disabled
    told = f"{len(to_train_on)} digits to train on, {len(held_out)} held out."
    assert told in [each.value for each in draw_page.caption]


def test_a_press_makes_a_run_that_waits_and_answers_first(draw_page):
    keep(40)
    draw_page.run()
    button(draw_page, "Fine-tune").click().run()
    assert not draw_page.exception
    (run,) = all_runs()
    assert run.status.is_active
    assert list(run.load_start().own_digits) == parted(my_digits().digits)[0]
    assert draw_page.multiselect(key="answering").value == [run.id, REFERENCE]
    assert any(each.proto.text == "Next in the queue" for each in draw_page.get("progress"))
    assert draw_page.selectbox(key="fine_tuned").options == ["Reference: nn.Sequential"]
    button(draw_page, "Stop").click().run()
    assert run.status is Status.STOPPED
    assert any("did not train to its end" in each.value for each in draw_page.caption)


def test_before_and_after_are_counted_on_the_digits_that_it_has_not_seen(draw_page):
    keep(120)
    run = fine_tuned(draw_page)
    unseen = my_digits().without(run.load_start().own_digits)
    assert set(unseen.digits) == set(parted(my_digits().digits)[1])
    table = next(each.value for each in draw_page.table if "My held-out digits" in each.value)
    for row, run_id in enumerate((REFERENCE, "reference-drawing")):
        right = right_of(run_id, unseen)
        low, high = accuracy_interval(right, len(unseen))
        interval = f"95 % interval {100 * low:.2f} to {percent(high)}"
        told = f"{right} of {len(unseen)}: {percent(right / len(unseen))} ({interval})"
        assert table["My held-out digits"][row] == told
    references = find_run(REFERENCE), find_run("reference-drawing")
    assert table["MNIST's test images"].tolist() == [percent(each.last_epoch().test_accuracy) for each in references]
    assert table["Drawn by people"].tolist() == [percent(pen_accuracy_of(each)) for each in references]
    assert any("On your held-out digits, " in each.value for each in draw_page.markdown)
    assert not draw_page.warning


def test_a_digit_drawn_afterwards_is_held_out_too(draw_page):
    keep(40)
    run = fine_tuned(draw_page)
    before = len(my_digits().without(run.load_start().own_digits))
    keep(60)
    draw_page.run()
    table = next(each.value for each in draw_page.table if "My held-out digits" in each.value)
    assert f" of {before + 20}: " in table["My held-out digits"][0]


def test_who_deletes_his_digits_still_sees_what_came_of_a_run(draw_page):
    keep(40)
    fine_tuned(draw_page)
    delete_all()
    draw_page.run()
    assert not draw_page.exception
    table = next(each.value for each in draw_page.table if "My held-out digits" in each.value)
    assert table["My held-out digits"].tolist() == ["–", "–"]
    assert button(draw_page, "Fine-tune").disabled


def test_fewer_than_thirty_are_said_to_be_too_few(draw_page):
    keep(40)
    run = fine_tuned(draw_page)
    count = len(my_digits().without(run.load_start().own_digits))
    assert count < 30
    assert draw_page.warning[0].value.startswith(f"{count} held-out digits are too few to tell")


def test_all_runs_are_asked_the_digits_that_none_of_them_was_trained_on(draw_page):
    keep(60)
    run = fine_tuned(draw_page)
    draw_page.query_params["runs"] = f"{run.id},{REFERENCE}"
    draw_page.run()
    unseen = my_digits().without(run.load_start().own_digits)
    right = [right_of("reference-drawing", unseen), right_of(REFERENCE, unseen)]
    told = [f"{each} of {len(unseen)}" for each in right]
    assert draw_page.table[0].value["My digits"].tolist() == told
    asked = f"Asked are the {len(unseen)} of them that none of these runs was trained on."
    assert asked in [each.value for each in draw_page.caption]
    compare = draw_page.switch_page("pages/compare.py")
    compare.query_params["runs"] = f"{run.id},{REFERENCE}"
    compare.run()
    assert compare.dataframe[0].value["my_digits"].tolist() == pytest.approx(
        [100 * each / len(unseen) for each in right]
    )


def test_before_is_told_of_the_weights_that_it_began_with_also_when_the_other_run_is_gone(draw_page):
    keep(60)
    parent = import_run(export_run(find_run(REFERENCE)))
    fine_tuned(draw_page, parent.id)
    delete_run(parent)
    draw_page.run()
    table = next(each.value for each in draw_page.table if "My held-out digits" in each.value)
    assert table["MNIST's test images"][0] == percent(find_run(REFERENCE).last_epoch().test_accuracy)


def test_where_what_it_began_with_is_gone_the_page_says_so_and_answers(draw_page):
    keep(40)
    run = fine_tuned(draw_page)
    run.start_path.unlink()
    draw_page.run()
    assert not draw_page.exception
    assert any("safetensors is gone" in each.value for each in draw_page.error)
