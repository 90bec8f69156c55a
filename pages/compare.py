"""Choose runs, and see their curves, results and answers beside each other."""

from cnnlab.workers.child import start_first_worker

start_first_worker()  # before what takes a while to import

from functools import partial

import streamlit as st

from cnnlab.comparison.experiments import Experiment, by_experiment, by_seed
from cnnlab.comparison.labels import labels_of
from cnnlab.conclusions.defaults import pair_to_compare, runs_of_sweeps
from cnnlab.conclusions.people import People
from cnnlab.errors import LabError
from cnnlab.inference.test_set import Predictions, predictions_of
from cnnlab.models.definitions import DEFINITIONS, Definition
from cnnlab.runs.folder import NoSuchRun
from cnnlab.runs.log import Status
from cnnlab.runs.run import Run
from cnnlab.runs.shelf import create_run
from cnnlab.storage.cores import available_cores
from cnnlab.training.recipe import TrainingConfig
from cnnlab.ui.compare.answers import confusion_matrices_view, disagreements_view, verdicts_view
from cnnlab.ui.compare.curves import curves_view
from cnnlab.ui.compare.results import differences_view, results_view
from cnnlab.ui.compare.verdict import bad_ends_view, conclusion_view, people_of, report_button
from cnnlab.ui.frame.actions import attempt, show_error
from cnnlab.ui.frame.live import live
from cnnlab.ui.frame.page import begin_page
from cnnlab.ui.frame.torch_thread import ask
from cnnlab.ui.frame.wording import as_text
from cnnlab.ui.learners.who import learner
from cnnlab.ui.learners.whose import whose_switch
from cnnlab.ui.lessons.panel import lesson_panel
from cnnlab.ui.train.choice import RunChoice, runs_and_names
from cnnlab.ui.train.recipe_form import train_both_button
from cnnlab.wording import plural
from cnnlab.workers.scheduler import scheduler

CHOICE = RunChoice("compared", most=20)
REFRESH_SECONDS = 1.0
TUTORIALS_DEFINITIONS = [definition for definition in DEFINITIONS.values() if definition.tutorial_losses]


def start(definition: Definition, config: TrainingConfig) -> str:
    run = create_run(definition, config, made_by=learner())
    scheduler().start(run)
    return run.id


def start_and_choose(config: TrainingConfig) -> None:
    CHOICE.choose([start(definition, config) for definition in TUTORIALS_DEFINITIONS])


def complete_and_choose(experiments: list[Experiment], seeds: range, runs: list[Run]) -> None:
    """Choose a run for each experiment and seed, and start those that are missing."""
    chosen = []
    for experiment in experiments:
        there = by_seed(experiment, runs)
        for seed in seeds:
            is_there = seed in there
            chosen.append(there[seed].id if is_there else start(experiment.definition, experiment.with_seed(seed)))
    CHOICE.choose(chosen)


def stop(chosen: list[Run]) -> None:
    for run in chosen:
        scheduler().stop(run)


def seeds_popover(chosen: list[Run], runs: list[Run]) -> None:
    experiments = [experiment for experiment in by_experiment(chosen) if experiment.can_be_repeated]
    with st.popover("More seeds", icon=":material/casino:", disabled=not experiments):
        st.write("Train each chosen network with more seeds, and see how far chance alone moves its curve.")
        most = CHOICE.most // max(1, len(experiments))
        count = st.number_input("Seeds for each network and recipe, counted from 0", 1, most, min(5, most))
        missing = sum(len(set(range(count)) - set(by_seed(experiment, runs))) for experiment in experiments)
        st.button(
            f"Start {plural(missing, 'missing run')}" if missing else "Show them all",
            type="primary",
            on_click=attempt,
            args=(complete_and_choose, experiments, range(count), runs),
        )


def curves_and_results(chosen: list[Run]) -> None:
    curves_view(chosen)
    results_view(chosen)


def predictions_of_ended_runs(chosen: list[Run]) -> tuple[list[Run], list[Predictions]]:
    """Return the runs that can answer the test images, with their answers; of the others, say why they cannot."""
    answering, answers = [], []
    for run, label in zip(chosen, labels_of(chosen), strict=True):
        status = run.status
        if status.is_active:
            st.info(f"**{as_text(label)}** is not included yet: it is {status}.")
            continue
        try:
            answers.append(ask(predictions_of, run))
            answering.append(run)
        except LabError as error:
            if status is not Status.FAILED:  # the reason of its failure is told above
                st.warning(as_text(str(error)))
            continue
        if status is not Status.FINISHED:
            st.caption(
                f"**{as_text(label)}** is {status}: its answers come from its newest weights, which may come from the "
                "middle of an epoch; its table shows the last complete one."
            )
    return answering, answers


def answers_of(answering: list[Run], answers: list[Predictions], people: People) -> None:
    names = labels_of(answering)
    if len(answering) > 2:
        st.header("Each two networks", anchor=False)
        verdicts_view(names, [each.answers for each in answers], "mnist")
        by_name = zip(names, (people.answers.get(run.id) for run in answering), strict=True)
        asked = [(name, each) for name, each in by_name if each is not None]
        if len(asked) > 1:
            verdicts_view([name for name, _ in asked], [each for _, each in asked], "pen")
    st.header("Confusion matrices", anchor=False)
    st.fragment(confusion_matrices_view)(names, answers)
    st.header("Where they disagree", anchor=False)
    st.fragment(disagreements_view)(names, answers)


begin_page("Compare")
lesson_panel("compare")
actions = st.container(horizontal=True, vertical_alignment="center")

runs, names = runs_and_names()
CHOICE.take_from_address(runs, default=lambda: [run.id for run in pair_to_compare(runs.values(), runs_of_sweeps())])
with actions:
    if config := train_both_button(threads=max(1, available_cores() // len(TUTORIALS_DEFINITIONS))):
        attempt(start_and_choose, config)
        runs, names = runs_and_names()
show_error()

st.multiselect(
    "Runs",
    list(names),
    format_func=names.__getitem__,
    key=CHOICE.key,
    max_selections=CHOICE.most,
    placeholder="Choose runs to compare",
    label_visibility="collapsed",
)
CHOICE.put_into_address()
chosen = [runs[run_id] for run_id in st.session_state[CHOICE.key]]
try:
    for run in list(chosen):
        if damage := run.damage():
            st.error(as_text(str(damage)))
            chosen.remove(run)
    statuses = [run.status for run in chosen]
    is_live = any(status.is_active for status in statuses)
    with actions:
        seeds_popover(chosen, list(runs.values()))
        st.button(
            "Stop",
            icon=":material/stop:",
            disabled=not is_live,
            on_click=attempt,
            args=(stop, chosen),
            help="Stops these runs; weights and checkpoints are kept.",
        )
        whose_switch()
    if not chosen:
        st.info("Choose at least one run.")
        st.stop()
    verdict = st.container(gap="small")
    live(
        partial(curves_and_results, chosen),
        shown=statuses,
        now=lambda: [run.status for run in chosen],
        seconds=REFRESH_SECONDS,
        is_live=is_live,
        address=CHOICE.address,
    )
    with verdict:
        bad_ends_view(chosen)
        with st.spinner("Asking the networks about the test images"):
            answering, answers = predictions_of_ended_runs(chosen)
            people = people_of(answering)
        if len(answering) > 1:
            conclusion_view(answering, answers, people)
        else:
            st.caption("A verdict takes two runs that have ended.")
    with actions:
        report_button(chosen, answering, answers, people)
    if len(chosen) > 1:
        st.header("What differs", anchor=False)
        differences_view(chosen)
        if len(answering) > 1:
            answers_of(answering, answers, people)
except NoSuchRun:  # deleted from another tab just now
    st.rerun()
