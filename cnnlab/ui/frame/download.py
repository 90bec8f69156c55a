"""A button for a file that is made when it is pressed."""

from collections.abc import Callable
from threading import Thread
from typing import Any

import streamlit as st
from streamlit.runtime import get_instance
from streamlit.runtime.scriptrunner import add_script_run_ctx, get_script_run_ctx


def download_button(
    label: str, make_file: Callable[[], bytes | str], *, file_name: str, mime: str, **options: Any
) -> None:
    """Show a button that downloads what `make_file` returns, and does not run the page again.

    Streamlit (1.67) lets a file that was made on a press go when any two pages of any people have run to their end,
    even if the browser has not fetched it yet; where pages show training, that is at once. So the file is also given
    to the person's session, as one of its page's own, which stay until that page runs anew.

    Parameters
    ----------
    options
        As `st.download_button` takes them.
    """
    session = get_script_run_ctx()

    def made_and_kept() -> bytes:
        made = make_file()
        content = made.encode() if isinstance(made, str) else made
        keeping = Thread(
            target=get_instance().media_file_mgr.add,
            args=(content, mime, f"download {label}", file_name),
            kwargs={"is_for_static_download": True},
        )
        add_script_run_ctx(keeping, session)
        keeping.start()
        keeping.join()
        return content

    st.download_button(label, made_and_kept, file_name=file_name, mime=mime, on_click="ignore", **options)
