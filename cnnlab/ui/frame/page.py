"""The frame that every page stands in."""

import gc
import secrets
import sys
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import streamlit as st

from cnnlab.runs.folder import run_ids_in, runs_folder
from cnnlab.storage.home import HomeError, require_readable_home
from cnnlab.ui.frame.live import hear_script_runners_out
from cnnlab.ui.frame.session import Key
from cnnlab.ui.frame.wording import as_text
from cnnlab.workers.scheduler import scheduler

# A file of the lab's own: Streamlit would fetch a Material icon for the tab from the network.
_ICON = Path(__file__).parents[2] / "assets" / "icon.svg"

_PAGES = (
    ("app.py", "Home", ":material/home:"),
    ("pages/lessons.py", "Lessons", ":material/school:"),
    ("pages/write.py", "Write", ":material/edit_note:"),
    ("pages/step.py", "Step", ":material/footprint:"),
    ("pages/train.py", "Train", ":material/model_training:"),
    ("pages/compare.py", "Compare", ":material/compare_arrows:"),
    ("pages/draw.py", "Draw", ":material/draw:"),
    ("pages/inspect.py", "Inspect", ":material/search:"),
    ("pages/sweep.py", "Sweep", ":material/grid_on:"),
)

_ABOUT = (
    "**CNN Lab**: one network for handwritten digits, written in the two ways that PyTorch offers, trained here, "
    "compared, and tried on what you draw. All of it runs on this machine."
)

# Streamlit marks each link to the page one is on; among the runs, only the chosen one should be.
# Lines of text stay short on a wide screen, and the fields of the recipe stand in rows of four, or of two on a phone.
_STYLE = """
<style>
.stMainBlockContainer { max-width: 76rem; margin-inline: auto; padding-top: 1rem !important; }
/* The menu stands beside the navigation, or over it on a phone, and takes no clicks but its own. Beside it Streamlit
   would show a Stop that stops the page, not the run. */
.stAppHeader, .stAppToolbar { background: none; pointer-events: none; }
.stMainMenu, [data-testid="stExpandSidebarButton"] { pointer-events: auto; }
[data-testid="stExpandSidebarButton"] { width: auto; }
[data-testid="stExpandSidebarButton"]::after { content: "Lesson"; padding-inline: .3rem; }
.stStatusWidget { display: none; }
.stMainMenu button[aria-haspopup] > * { display: none; }
.stMainMenu button[aria-haspopup]::after { content: "◐"; font-size: 1.3rem; line-height: 1; }
.st-key-navigation { padding-inline-end: 3rem; }
.st-key-navigation { border-bottom: 1px solid rgba(128, 136, 152, .3); padding-bottom: .5rem; }
.st-key-recipe_fields {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(max(7.8rem, 22%), 1fr)); gap: .75rem 1rem;
}
.st-key-recipe_fields > * { width: 100%; }
[data-testid="stCaptionContainer"] { opacity: 1; }
[data-testid="stCaptionContainer"] p { color: color-mix(in srgb, currentColor 80%, transparent); }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
h1#content:focus { outline: none; }
.skip:not(:focus) { position: absolute; left: -100rem; }
.skip:focus { position: fixed; top: .5rem; left: .5rem; z-index: 1000000; padding: .5rem .9rem; border-radius: .5rem;
  background: #1c2333; color: #fff; outline: 3px solid #ffb454; }
.st-key-recipe_first_fields { display: grid; grid-template-columns: 1fr 1fr; gap: .75rem; }
.st-key-recipe_first_fields > * { width: 100%; }
.st-key-home_answers { flex: 1 1 21rem; min-width: min(100%, 21rem); }
@media (max-width: 1000px) { .st-key-projection_button { display: none; } }
@media (min-width: 641px) and (max-width: 800px) { .st-key-navigation { gap: 0; } }
@media (max-width: 640px) {
  .stMainBlockContainer { padding-top: 3rem !important; }
  .st-key-navigation { padding-inline-end: 0; }
  [class*="st-key-folded_"] { display: none; }
  .st-key-navigation { flex-wrap: nowrap; gap: 0; justify-content: space-between; }
  .st-key-navigation a { padding: .25rem .12rem; }
  .st-key-navigation a p { font-size: .8rem; }
  .st-key-navigation a > span:has([data-testid="stIconMaterial"]) { display: none; }
}
/* Where a lesson was closed, Streamlit leaves its place until another page is opened. */
[data-testid="stSidebar"]:not(:has(.stElementContainer)) { display: none; }
/* On a phone a lesson is a sheet below the page, so that one sees both. */
@media (max-width: 767px) {
  [data-testid="stSidebar"][data-collapsed="false"] {
    position: fixed !important; inset: auto 0 0 0; min-width: 100%; height: 45dvh !important;
    border-top: 1px solid rgba(128, 136, 152, .4);
  }
  [data-testid="stSidebarHeader"] { position: absolute; right: 0; height: auto; padding: .7rem; z-index: 1; }
  [data-testid="stSidebarUserContent"] { padding-top: 1rem; }
  [data-testid="stAppViewContainer"]:has([data-testid="stSidebar"][data-collapsed="false"]) [data-testid="stMain"] {
    padding-bottom: 45dvh;
  }
}
@media (max-width: 380px) { .st-key-navigation { flex-wrap: wrap; justify-content: start; } }
[class*="st-key-run_"] a:not(:hover) { background: none; }
[class*="st-key-run_chosen_"] a, [class*="st-key-run_chosen_"] a:not(:hover) { background: rgba(128, 136, 152, .22); }
[class*="st-key-run_"]:not([class*="st-key-run_chosen_"]) a span { font-weight: 400; }
[class*="st-key-sweep_"] summary { opacity: 1; }
[class*="st-key-run_"] [data-testid="stCaptionContainer"] { padding: .3rem 0 .2rem .6rem; }
</style>
"""


# The size of the page's text is what all of Streamlit's sizes are told in.
_PROJECTED = """
<style>
html { font-size: 20px; }
.stMainBlockContainer { max-width: none; }
.stMainBlockContainer [data-testid="stCaptionContainer"] { display: none; }
</style>
"""

# Streamlit sends no header that keeps other sites from showing a page in a frame, where they could have somebody click
# on Delete without knowing. So a page that finds itself in one takes itself away.
_SCRIPT = """
<script>
if (window.self !== window.top) {
  document.body.textContent = "CNN Lab is shown inside another page. Open it in a window of its own.";
}
// What scrolls can be reached by keyboard.
window.cnnlabFocus ??= new MutationObserver(() => {
  for (const code of document.querySelectorAll(".stCode pre:not([tabindex])")) code.tabIndex = 0;
});
window.cnnlabFocus.observe(document.body, { childList: true, subtree: true });
// Streamlit folds a phone's sidebar at the first press beside it: a lesson would be gone as soon as one draws.
document.body.onmousedown = (event) => {
  const isPhone = matchMedia("(max-width: 767px)").matches;
  if (isPhone && document.querySelector(".stSidebar[data-collapsed=false]")) event.stopPropagation();
};
document.querySelector(".skip").onclick = (event) => {
  event.preventDefault();
  document.querySelector("#content").focus();
};
</script>
"""


def begin_page(title: str) -> None:
    """Set up the page: its title, and the links to the others. Every page calls this first.

    Whichever is opened first, runs that were waiting when the lab was last closed go on. The heading is for screen
    readers alone: the link in the navigation tells everybody else where they are.
    """
    scheduler()
    hear_script_runners_out()
    _print_board_address()
    _spare_the_imported_modules(len(sys.modules))
    st.set_page_config(
        page_title=f"{title} · CNN Lab",
        page_icon=str(_ICON),
        layout="wide",
        # With an item of its own, the menu is there in the minimal toolbar too, and the choice of light or dark in it.
        menu_items={"Get help": None, "Report a bug": None, "About": _ABOUT},
    )
    # On the theme's own colour, the name of what is chosen could hardly be read.
    selected = f"<style>[data-selected='true'] p {{ color: {theme_color('textColor')}; }}</style>"
    skip = '<a class="skip" href="#content">Skip to the page</a>'
    st.html(_STYLE + selected + skip + _SCRIPT, unsafe_allow_javascript=True)
    with st.container(horizontal=True, key="navigation", vertical_alignment="center"):
        for path, label, icon in _PAGES:
            st.page_link(path, label=label, icon=icon)
        _projection_button()
    st.html(f'<h1 id="content" tabindex="-1" class="unseen">{title}</h1>')
    try:
        require_readable_home()
        run_ids_in(runs_folder())
    except HomeError as error:
        st.error(as_text(str(error)))
        st.stop()


def _projection_button() -> None:
    """Show the switch of the projection mode: larger type, and fewer words, for a class that looks at a wall."""
    is_projected = st.session_state.get(Key.PROJECTION, False)
    st.button(
        "Leave the projection mode" if is_projected else "For a projector",
        icon=":material/cancel_presentation:" if is_projected else ":material/present_to_all:",
        key="projection_button",
        type="tertiary",
        help="Larger type, and fewer words",
        on_click=st.session_state.__setitem__,
        args=(Key.PROJECTION, not is_projected),
    )
    if is_projected:
        st.html(_PROJECTED)


_BOARD_KEY = secrets.token_urlsafe(12)


def is_board_key(key: str) -> bool:
    """Return whether somebody has the key to the teacher's board, which this server has printed."""
    return secrets.compare_digest(key.encode(), _BOARD_KEY.encode())


@cache
def _print_board_address() -> None:
    """Print the address of the teacher's board into the terminal in which the lab was started, once."""
    print(f"  The teacher's board: {lab_address()}/lessons?board={_BOARD_KEY}\n", flush=True)


def lab_address() -> str:
    """Return the address of the lab as whoever looks calls it, without a page."""
    asked, path = urlsplit(st.context.url or ""), str(st.get_option("server.baseUrlPath")).strip("/")
    return (f"{asked.scheme}://{asked.netloc}" if asked.netloc else "") + (f"/{path}" if path else "")


@cache
def _spare_the_imported_modules(count: int) -> None:
    """Keep the garbage collector from looking at what was imported, each time that more was.

    Streamlit collects after every run of a page or a fragment; with PyTorch and its thousands of objects in the
    process, that is most of what a live page costs.
    """
    gc.collect()
    gc.freeze()


def scroll_to_on_a_phone(key: str) -> None:
    """Bring the container with a key to the top of a window that is as narrow as a phone's."""
    run_script(f"if (innerWidth <= 640) {_SCROLL.format(key=key)}")


def scroll_to(key: str) -> None:
    """Bring the container with a key to the top of the window."""
    run_script(_SCROLL.format(key=key))


_SCROLL = """{{
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  document.querySelector(".st-key-{key}").scrollIntoView({{ behavior: calm ? "auto" : "smooth" }});
}}"""


def run_script(script: str) -> None:
    """Let the browser run a script, each time that this is called."""
    # The number makes each call another script: the browser runs none again that is there already.
    number = st.session_state[Key.SCRIPTS] = st.session_state.get(Key.SCRIPTS, 0) + 1
    st.html(f'<script data-number="{number}">{script}</script>', unsafe_allow_javascript=True)


def theme_color(name: str) -> str:
    """Return a colour of the theme that the page is shown in, such as textColor."""
    return st.get_option(f"theme.{st.context.theme.type or 'light'}.{name}")
