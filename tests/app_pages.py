"""The lab's pages without a browser: opened, pressed and read."""

from streamlit.testing.v1 import AppTest


def opened(app: AppTest, page: str = "lessons", **address: str) -> AppTest:
    """Open a page, with an address, and see that it runs to its end."""
    shown = app.switch_page(f"pages/{page}.py" if page != "home" else "app.py")
    for name, value in address.items():
        shown.query_params[name] = value
    shown.run()
    assert not shown.exception
    return shown


def press(page: AppTest, label: str) -> None:
    """Press the first button with a label."""
    next(each for each in page.button if each.label == label).click().run()
    assert not page.exception


def said(page: AppTest) -> list[str]:
    """Return the texts of a page."""
    return [each.value for each in (*page.markdown, *page.caption, *page.info)]


def number_in(text: str) -> float:
    """Return a number that the Step page has written: −1.5 · 10⁻⁴."""
    digits, _, power = text.replace("\u00a0", "").replace("−", "-").partition("·10")
    return float(digits) * 10 ** int(power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")) or 0)
