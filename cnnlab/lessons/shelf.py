"""The lessons that ship with the lab, and those that a teacher has put into its home."""

from functools import lru_cache
from pathlib import Path

from cnnlab.lessons.lesson import Lesson, UnreadableLesson
from cnnlab.lessons.reading import read_lesson
from cnnlab.storage.home import home, listing

_SHIPPED = Path(__file__).parent / "texts"


def own_lessons_folder() -> Path:
    """Return where a teacher's lessons lie."""
    return home() / "lessons"


def all_lessons() -> tuple[list[Lesson], list[UnreadableLesson]]:
    """Return the lessons, those of the lab first, and an error for each file that is none.

    A file of the home that has the name of one of the lab's stands in its place.

    Raises
    ------
    HomeError
        If the system does not let the lab see what is in the home.
    """
    lessons: dict[str, Lesson] = {}
    mistakes = []
    for folder, names in ((_SHIPPED, listing(_SHIPPED)), (own_lessons_folder(), listing(own_lessons_folder()))):
        for name in sorted(names):
            if name.endswith(".md") and not name.startswith("."):
                try:
                    lesson = _lesson_in(folder / name)
                    lessons[lesson.name] = lesson
                except UnreadableLesson as mistake:
                    mistakes.append(mistake)
    return list(lessons.values()), mistakes


def _lesson_in(path: Path) -> Lesson:
    try:
        file = path.stat()
        return _read(path, file.st_size, file.st_mtime_ns)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not written in UTF-8"
        raise UnreadableLesson(path.name, 1, f"it cannot be read: {reason}.") from error


@lru_cache(maxsize=256)
def _read(path: Path, _size: int, _modified: int) -> Lesson:
    return read_lesson(path.stem, path.read_text(encoding="utf-8"))
