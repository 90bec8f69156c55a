"""What a person's session keeps between two runs of a page: the keys of ``st.session_state``, each named once.

The keys of widgets that nothing else reads stand where the widgets are made.
"""

from enum import StrEnum


class Key(StrEnum):
    """A key of the session's state."""

    # Every page
    VIEWER = "viewer"  # who looks, for the pace of live parts
    SCRIPTS = "scripts"  # how many the browser was given
    PROJECTION = "projection"  # larger type, fewer words
    RUN_ERROR = "run_error"  # what went wrong with an action on runs, until it is shown

    # Lessons
    NOTEBOOK = "notebook"  # what the learner has answered
    NAME_TYPED = "learner_name"
    NAME_IN_QUESTION = "name_in_question"  # somebody of that name has been here
    NAME_TO_REMEMBER = "name_to_remember"  # the browser is to be told who looks
    WHOSE = "whose"  # one's own runs are listed, or everyone's
    LESSON = "lesson"  # the name of the one that stands beside the pages, or None
    LESSON_PAGES = "lesson_pages"  # those opened since it does
    LESSON_ERROR = "lesson_error"  # what went wrong with an answer, until it is shown
    IS_TEACHER = "is_teacher"  # the board is shown in place of the lessons
    BOARD_LESSON = "board_lesson"  # the one that the teacher looks at
    BOARD_PART = "board_part"  # the tab
    LESSON_DRAWING = "lesson_drawing"  # what was on the canvas and kept when the step was turned to, behind that step
    LESSON_SOURCE = "lesson_source"  # what stood in the editor when it was begun

    # Write
    SOURCE = "source"  # what stands in the editor
    STARTED_FROM = "started_from"  # the example that was put there last
    NETWORK_NAME = "network_name"
    PAIR_TO_PROVE = "pair_to_prove"  # the two sources whose proof was asked for
    WRITE_PART = "write_part"  # the tab

    # Train
    PRESET_NUMBER = "preset_number"  # how often the list of recipes was made anew
    PRESET_CHOSEN = "preset_chosen"  # the one chosen last
    SNAPSHOTS = "snapshots"  # how many a run is to keep
    JUST_STARTED = "just_started"  # the page goes to the run, on a phone
    RUN_SEARCH = "run_search"
    RUN_ORDER = "run_order"  # what comes first, in the list and where runs are picked from
    LAST_RUN = "last_run"  # the run looked at last
    RUNS_SHOWN = "runs_shown"  # how many the list shows
    PARALLEL_RUNS = "parallel_runs"
    IMPORTS = "imports"  # how many archives were imported: each gets an empty uploader
    IMPORT_ERROR = "import_error"
    IMPORTED = "imported"  # the run that was, while one looks at it

    # Step
    STEPPED_RUN = "stepped_run"  # its source and recipe
    STEP = "step"  # the one that is shown, from 1
    STEP_GOAL = "step_goal"  # where one has set out for; None if nowhere
    STEP_START = "step_start"  # and from where
    STEP_PLAYS = "step_plays"  # one step after the other is shown
    STEP_PLAYED = "step_played"  # when the last of them was
    STEP_PART = "step_part"  # the station
    STEP_IMAGE = "step_image"  # of the batch
    STEP_PARAMETER = "step_parameter"  # its name
    STEP_WEIGHT = "step_weight"  # the place within it
    STEP_RATE = "step_rate"  # another learning rate

    # Compare
    CONFUSION_CELL = "confusion_cell"  # the matrix, the digit and the answer that were clicked

    # Draw: the canvas
    CANVAS_NUMBER = "canvas_number"  # a cleared canvas is a new one
    CANVAS_START = "canvas_start"  # the drawing that the canvas was made with
    CANVAS_NOW = "canvas_now"  # the drawing that it last sent
    CANVAS_PICTURE = "canvas_picture"  # what lies below the strokes
    CANVAS_IMAGE = "canvas_image"  # what Inspect sends: the test set, the image and the run
    TURN_TO_CANVAS = "turn_to_canvas"  # somebody far below has put something on it, or begins a round
    MOVE = "move"  # how far the drawing is moved before the networks see it, in pixels to the right and down
    ERASES = "erases"  # the pen is turned round
    BRUSH = "brush"  # its width, in pixels
    ANSWERING = "answering"  # the runs whose networks answer
    LOOKED_INTO_RUN = "looked_into_run"  # the one whose diagram is shown
    TEST_IMAGE = "test_image"
    UPLOADED_PICTURE = "uploaded_picture"
    PICTURE_ERROR = "picture_error"

    # Draw: my digits
    ROUND = "round"  # the place in a round that asks for each digit; missing outside one
    MEANT = "meant"  # the digit that a drawing was
    TO_KEEP = "to_keep"  # the same, and when the last stroke must have arrived
    KEPT = "kept"  # the digits kept since the page was opened, to take back
    MY_DIGITS_CHANGED = "my_digits_changed"  # the parts of the page that count them are old
    MY_DIGITS_ERROR = "my_digits_error"
    FINE_TUNING_ERROR = "fine_tuning_error"
    MY_DIGITS_FILE_ERROR = "my_digits_file_error"
    MY_DIGITS_TOLD = "my_digits_told"  # what came of an upload, until it is shown
    MY_DIGITS_UPLOADS = "my_digits_uploads"  # as IMPORTS

    # Inspect
    INSPECTED = "inspected"  # the run
    INSPECTED_IN_ADDRESS = "inspected_in_address"
    INSPECTED_CELL = "inspected_cell"  # the digit and the answer that were clicked
    LOOKED_INTO = "looked_into"  # the test image
    INSPECTED_SET = "inspected_set"  # of test images
    INSPECTED_PART = "inspected_part"  # the tab
    FILM_PLAYS = "film_plays"  # the run whose film does, or None
    FILM_TURNED_BACK = "film_turned_back"  # the run of which an earlier moment was chosen, or None
    FILM_TURNED = "film_turned"  # when its last frame came

    # Sweep
    SWEEP_KIND = "sweep_kind"  # how the runs are chosen
    SWEEP_FIELDS = "sweep_fields"  # the settings to try
    SWEEP_NETWORKS = "sweep_model"  # the networks to try
    SWEEP_EPOCHS = "sweep_epochs"
    SWEEP_SHOWN = "sweep_shown"
