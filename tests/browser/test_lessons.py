"""The eight lessons, each done from its first step to its end, with real training; and what else a learner does."""

from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from hand import canvas, draw, expect_rest, fill_in, run_of
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Locator, Page, expect

from cnnlab.lessons.checks import Check
from cnnlab.lessons.lesson import Kind, Lesson, Step
from cnnlab.lessons.shelf import all_lessons
from cnnlab.models.definitions import DEFINITIONS

pytestmark = pytest.mark.browser

LESSONS = all_lessons()[0]
SMALL_NETWORK = """nn.Sequential(
    nn.Flatten(),
    nn.Linear(784, 10),
)"""


def panel(page: Page) -> Locator:
    return page.get_by_test_id("stSidebar")


def repeat(act: Callable[[], None], see: Callable[[], None]) -> None:
    """Act until something is seen, as a person does: what is pressed while a page is made anew can be lost."""
    for _ in range(10):
        act()
        with suppress(AssertionError, PlaywrightError):
            see()
            return
    raise AssertionError("Nothing came of it, ten times.")


def draw_as_asked(page: Page, check: Check, place: int) -> None:
    """Draw with the pen, and where, a check asks for; what is drawn differs from step to step."""
    asked = dict(check.drawing)
    if asked:
        with run_of(page):
            page.get_by_role("button", name="Brush").click()
        width = page.get_by_role("slider", name="Brush width")
        width.press("Home" if "thinner" in asked else "End")
        page.keyboard.press("Escape")
        expect(width).to_be_hidden()
    if "in-corner" in asked:
        draw_strokes(page, 1, top=40)  # whose place is not the corner: nothing is done yet
        expect(panel(page).get_by_text("The lab sees when it is done.")).to_be_visible()
        clear(page)
        draw(page, [[(60, 40), (60, 90)]])
    elif "on-picture" in asked:
        page.get_by_role("button", name="Start from a picture").click()
        page.get_by_role("button", name="Show", exact=True).click()
        expect(page.get_by_text("Test image 0: a 7")).to_be_visible()
        page.keyboard.press("Escape")
        draw(page, [[(100, 100), (180, 100)]])
    else:
        draw_strokes(page, check.count, top=40 + 5 * place)


def draw_strokes(page: Page, count: int, top: int) -> None:
    clear(page)
    draw(page, [[(60 + 40 * number, top), (60 + 40 * number, 220)] for number in range(count)])


def clear(page: Page) -> None:
    expect(canvas(page)).to_have_count(1)
    canvas(page).evaluate("each => { each.dataset.before = 'yes'; }")
    repeat(
        page.get_by_role("button", name="Clear", exact=True).click,
        lambda: expect(page.locator("canvas[data-before]")).to_have_count(0, timeout=5_000),  # a new one comes
    )


def train(page: Page, **settings: str) -> None:
    for label, value in settings.items():
        fill_in(page, label.replace("_", " "), value)
    page.get_by_role("button", name="Start training").click()


def sweep(page: Page, plan: dict[str, str]) -> None:
    panel(page).get_by_role("button", name="Fill it in").click()
    expect(page.get_by_role("textbox", name="Seed", exact=True)).to_have_value(plan["seed"])
    expect(page.get_by_role("textbox", name="Learning rate", exact=True)).to_have_value(plan["learning_rate"])
    expect(page.get_by_role("spinbutton", name="Epochs of each")).to_have_value(plan["epochs"])
    expect_rest(page)
    page.get_by_role("button", name="Start the sweep").click()


def write(page: Page, source: str) -> None:
    editor = page.get_by_test_id("stMain").locator("textarea").first
    editor.fill(source)
    editor.press("Control+Enter")
    expect_rest(page)


def inspect(page: Page, shown: tuple[str, ...]) -> None:
    """Have Inspect show the newest run with a test set and a part."""
    runs = page.get_by_role("combobox", name="Run")
    repeat(lambda: runs.press("ArrowDown"), lambda: page.get_by_role("option").first.click(timeout=5_000))
    expect_rest(page)
    if "people" in shown:
        page.get_by_role("radio", name="Drawn by people").click()
        expect_rest(page)
    tabs = {"most-wrong": "What it gets most wrong", "how-sure": "How sure, how right"}
    for tab in set(shown) & tabs.keys():
        page.get_by_role("tab", name=tabs[tab]).click()


def do(page: Page, step: Step, place: int) -> None:
    """Do what a step asks for, on its page; what is drawn differs from step to step."""
    check = step.check
    settings = dict(check.settings)
    match check.name:
        case "drawn":
            draw_as_asked(page, check, place)
        case "moved":
            draw_strokes(page, 1, top=40)
            for _ in range(check.count):
                with run_of(page):
                    page.get_by_role("button", name="Right", exact=True).press("Enter")
        case "misread":
            draw_strokes(page, 1, top=40)  # a one
            with run_of(page):
                page.get_by_test_id("stButtonGroup").get_by_text("5", exact=True).click()
        case "stepped":
            page.get_by_role("button", name="Next step").click()
            expect_rest(page)
            page.get_by_role("button", name="10 steps").click()
        case "written":
            write(page, SMALL_NETWORK)
        case "no-list":
            write(page, DEFINITIONS["residual"].source)
        case "both":
            page.get_by_role("button", name="Recipe").click()
            fill_in(page, "Epochs", "1")
            page.keyboard.press("Escape")
            page.get_by_role("button", name="Train both").click()
        case "compared":
            sweep(page, dict(step.fill))
        case "rate-changed":
            train(page, Epochs="50", Learning_rate="0.001")
            page.get_by_role("button", name="Rate", exact=True).click()
            fill_in(page, "Learning rate from the next step on", "0.0001")
            page.get_by_role("button", name="Set it").click()
            expect(page.get_by_text("learning rate 0.0001 from step").first).to_be_visible()
            page.get_by_role("button", name="Stop", exact=True).click()
        case "own-network":
            page.get_by_role("button", name="Train it").click()
            expect(page.get_by_role("button", name="Start training")).to_be_visible()
            train(page, Epochs="1")
        case "trained":
            if "data" in settings:
                more = page.get_by_test_id("stExpander").filter(has_text="More settings").locator("summary")
                if page.get_by_role("combobox", name="Trained on").is_hidden():
                    more.click()
                    expect_rest(page)
                fill_in(page, "Shift (pixels)", str(settings.get("shift", 0)))
            if settings.get("data") == "mnist+pen":
                data = page.get_by_role("combobox", name="Trained on")
                data.scroll_into_view_if_needed()
                repeat(
                    lambda: data.press("ArrowDown"),
                    lambda: page.get_by_role("option", name="MNIST and pen digits").click(timeout=5_000),
                )
                expect(data).to_have_value("MNIST and pen digits")
                expect_rest(page)
            rate = {"Learning_rate": f"{settings['learning_rate']:g}"} if "learning_rate" in settings else {}
            train(page, Epochs=str(settings["epochs"]), **rate)
        case "opened":
            pass  # the page is
        case "inspected":
            inspect(page, check.shown)
        case unknown:
            raise AssertionError(f"no test does {unknown}")


def take(page: Page, lesson: Lesson, place: int) -> None:
    """Take one step of a lesson, and see that what comes after it is shown."""
    step, side = lesson.steps[place], panel(page)
    expect(side.get_by_text(f"Step {place + 1} of {len(lesson.steps)}")).to_be_visible()
    if step.page and urlsplit(page.url).path != f"/{step.page}":
        link = side.get_by_role("link", name=f"Go to {step.page.capitalize()}")
        link.click()
        expect(link).to_have_count(0)
        expect_rest(page)
    match step.kind:
        case Kind.PREDICT if step.choices:
            side.get_by_test_id("stRadio").get_by_text(plain(step.choices[0].text), exact=True).click()
            side.get_by_role("button", name="Predict").click()
        case Kind.PREDICT:
            side.get_by_label("Your prediction").fill("0.5")
            side.get_by_label("Your prediction").press("Enter")
            expect_rest(page)
            side.get_by_role("button", name="Predict").click()
        case Kind.DO:
            do(page, step, place)
            expect(side.get_by_role("button", name="Next")).to_be_visible(timeout=120_000)  # it was Skip
        case Kind.EXPLAIN:
            side.get_by_label("In your own words").fill("Because of <b>this</b>.")
            side.get_by_label("In your own words").press("Control+Enter")
            side.get_by_role("button", name="Keep it").click()
        case Kind.ASK:
            right = next(choice for choice in step.choices if choice.is_right)
            side.get_by_test_id("stRadio").get_by_text(plain(right.text), exact=True).click()
            expect(side.get_by_text("Right.")).to_be_visible()
    expect(side.get_by_role("button", name="Next")).to_be_visible()
    expect_rest(page)  # what else is on the page may be made anew just now, and the button with it
    side.get_by_role("button", name="Next").click()


def plain(text: str) -> str:
    return text.replace("`", "").replace("*", "")


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_a_lesson_is_done_from_its_first_step_to_its_end(lesson, open_page):
    page = open_page(f"/lessons?lesson={lesson.name}&step=1")
    for place in range(len(lesson.steps)):
        take(page, lesson, place)
    side = panel(page)
    expect(side.get_by_text("What you predicted, and what came")).to_be_visible()
    expect(side.get_by_text("3 of 3 questions answered rightly.")).to_be_visible()
    never_measured = 1 if lesson.name.startswith("8") else 0  # no network so small as this test's has 98 %
    expect(side.get_by_text("not measured yet")).to_have_count(never_measured)
    assert not page.get_by_test_id("stException").count()
    if lesson is not LESSONS[-1]:
        side.get_by_role("button", name="Next lesson").click()
        expect(side.get_by_text("Step 1 of")).to_be_visible()
    side.get_by_role("button", name="Close").click()
    expect(side).to_be_hidden()


def test_on_a_phone_a_lesson_is_a_sheet_below_the_page_and_stays_while_one_draws(open_page):
    page = open_page("/lessons?lesson=1-draw-and-be-read&step=2", viewport={"width": 390, "height": 844})
    page.get_by_test_id("stExpandSidebarButton").click()
    panel(page).get_by_role("link", name="Go to Draw").click()
    page.wait_for_url("**/draw*")
    expect(canvas(page)).to_have_count(1)
    expect(panel(page).get_by_text("Do: Draw a digit")).to_be_in_viewport()
    canvas(page).evaluate("each => each.scrollIntoView({ block: 'start' })")
    sheet, paper = panel(page).bounding_box(), canvas(page).bounding_box()
    assert sheet["width"] == 390
    assert sheet["y"] >= paper["y"] + paper["height"]  # all of it can be seen beside the lesson
    page.mouse.move(paper["x"] + 100, paper["y"] + 40)
    page.mouse.down()
    page.mouse.move(paper["x"] + 100, paper["y"] + 150, steps=8)
    page.mouse.up()
    expect(panel(page).get_by_role("button", name="Next")).to_be_visible()
    expect(panel(page)).to_have_attribute("data-collapsed", "false")
