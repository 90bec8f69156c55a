"""How a test reads the numbers off a page."""

import json
from collections.abc import Callable

import pandas as pd
import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Dataframe


@pytest.fixture
def open_page(app: AppTest) -> Callable[..., AppTest]:
    """Return a function that opens a page, given its name and its query parameters."""

    def open_it(name: str, **query: str) -> AppTest:
        page = app.switch_page(f"pages/{name}.py")
        for key, value in query.items():
            page.query_params[key] = value
        page.run()
        assert not page.exception
        return page

    return open_it


@pytest.fixture
def drawn() -> Callable[[AppTest], list[pd.DataFrame]]:
    """Return a function that tells the points that each Altair chart of a page draws."""

    def points(page: AppTest) -> list[pd.DataFrame]:
        tables = []
        for chart in page.get("vega_lite_chart"):
            content = chart.proto.data.data or chart.proto.datasets[0].data.data
            tables.append(pa.ipc.open_stream(content).read_pandas())
        return tables

    return points


@pytest.fixture
def spec() -> Callable[[AppTest], dict]:
    """Return a function that tells how the first Altair chart of a page is drawn, in Vega-Lite's language."""
    return lambda page: json.loads(page.get("vega_lite_chart")[0].proto.spec)


@pytest.fixture
def figures() -> Callable[[AppTest], list[dict]]:
    """Return a function that tells the Plotly figures of a page."""
    return lambda page: [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]


@pytest.fixture
def html() -> Callable[[AppTest], str]:
    """Return a function that tells the HTML that a page writes itself."""
    return lambda page: " ".join(each.proto.body for each in page.get("html"))


@pytest.fixture
def metrics() -> Callable[[AppTest], dict[str, str]]:
    """Return a function that tells the numbers that a page shows in large type."""
    return lambda page: {each.label: each.value for each in page.metric}


@pytest.fixture
def formats() -> Callable[[Dataframe], dict[str, str]]:
    """Return a function that tells in which format a table shows the numbers of each column."""

    def read(table: Dataframe) -> dict[str, str]:
        columns = {name: column.get("type_config") or {} for name, column in json.loads(table.proto.columns).items()}
        return {name: told["format"] for name, told in columns.items() if told.get("format")}

    return read
