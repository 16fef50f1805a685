"""The third stage: the search of a run among the paths of its supernet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from shlex import quote
from statistics import median

from autopanoptic.nas import Architecture, Result
from autopanoptic.panoptic.results.finalists import Shortlist, best_candidates, within_budget
from autopanoptic.panoptic.results.fronts import FRONT, SEARCHED, Fronts
from autopanoptic.panoptic.results.saved import ARCHITECTURE
from autopanoptic.panoptic.run.folder import Run
from autopanoptic.panoptic.run.prepare import prepared
from autopanoptic.panoptic.run.train_supernet import require_supernet, trained_supernet
from autopanoptic.panoptic.search.evaluator import error_name
from autopanoptic.panoptic.search.strategies import answer_of, strategy_of
from autopanoptic.panoptic.stages import comparison
from autopanoptic.panoptic.stages.prepare import NETWORKS
from autopanoptic.panoptic.stages.search import JOURNAL, Candidates, require_choices, searched_space

TRIALS = "search.json"
"""All trials of a run's search, once it has ended."""


def search(run: Run) -> Result:
    """Search a run's supernet by its settings, going on from its journal, without anything to compare with.

    The folder gets the journal, ``search.json``, plots and ``architecture.json``: the answer as far as shared weights
    tell, until `retrain` has trained the finalists. A search with a cost measures the hand-made family too, with which
    it has begun and whose costs set the budget of the answer.

    Args:
        run: The run, whose supernet is trained.

    Raises:
        FileNotFoundError: If the supernet is not trained.
        ValueError: If it was trained otherwise or the data are others, naming what differs, or there is no choice.
    """
    require_choices(run.settings)
    require_supernet(run)
    prepared(run)
    with run.stage("search"), candidates_of(run) as candidates:
        searched = find(run, candidates)
        finalists = _finalists(run, candidates, searched)
        if not (run.folder / NETWORKS / SEARCHED / ARCHITECTURE).exists():  # else it has been chosen by training
            finalists[0].save(run.folder / ARCHITECTURE)
    return searched


def candidates_of(run: Run) -> Candidates:
    """Return what a run searches among and compares by."""
    return Candidates(run.settings, trained_supernet(run), prepared(run), run.folder, progress=run.console.is_terminal)


def find(run: Run, candidates: Candidates) -> Result:
    """Search, say what was found and write it down."""
    if candidates.budget is not None:
        run.say(f"Candidates have {candidates.budget:.3g} GFLOPs at most")
    searched = candidates.searched()
    tell(run, run.settings.search.strategy, searched)
    searched.to_json(run.folder / TRIALS)
    searched.plot_history(run.folder / "history.png")
    searched.plot_options(run.folder / "options.png", top=max(1, searched.history.n_completed // 4))
    return searched


def tell(run: Run, name: str, result: Result) -> None:
    """Say what a search has found, and how sure that is."""
    objective, best = run.settings.search.objective, result.best
    count, stopped = result.history.n_completed, len(result.history) - result.history.n_completed
    given_up = f" and {stopped} given up" if stopped else ""
    run.say(
        f"{name}, best of {count} candidates{given_up} ({best.architecture.id}): {objective} on nas_val "
        f"{best.metrics[objective]:.1f}"
    )
    errors = [found[error_name(objective)] for found in _metrics(result) if error_name(objective) in found]
    if errors and name == run.settings.search.strategy:
        run.say(precision(objective, errors))


def precision(objective: str, errors: Sequence[float]) -> str:
    """Say how sure the candidates' values are, given their standard errors over images in percent."""
    return (
        f"A candidate's {objective} has a standard error of {median(errors):.2f} over the images of nas_val, of "
        f"{max(errors):.2f} at most"
    )


def tell_answer(run: Run, searched: Result) -> None:
    """Say what a search for quality alone answers."""
    answer = _answer(run, searched)
    value = comparison.on_nas_val(searched, answer)
    shown = "no result" if value is None else f"{value:.1f}"
    run.say(f"answer ({answer.id}): {run.settings.search.objective} on nas_val {shown}")


def compare_fronts(run: Run, candidates: Candidates, searched: Result, drawn: Result | None = None) -> Fronts:
    """Measure the hand-made family, and show the front of a search with a cost beside its and that of random draws."""
    made = candidates.family(candidates.by_hand(), known=searched)
    limit = candidates.budget if run.settings.search.cost == "gflops" else None
    fronts = Fronts.of(searched, drawn, made, images=len(prepared(run).nas_val), limit=limit)
    run.console.print(fronts.table())
    return fronts


def shortlist_of(run: Run, searched: Result, fronts: Fronts | None) -> Shortlist:
    """Return the candidates of which some are trained, the search's answer first.

    Args:
        run: The run.
        searched: Its search.
        fronts: What sets the budget, where the search has a cost.
    """
    if fronts is None:
        return best_candidates(searched, first=_answer(run, searched))
    return within_budget(searched, fronts)


def finalists_of(run: Run, searched: Result, fronts: Fronts | None) -> list[Architecture]:
    """Return the candidates that are trained where their paths alone decide; arguments as of `shortlist_of`."""
    found = shortlist_of(run, searched, fronts)
    return found.finalists(found.candidates, run.settings.search.finalists)


def trained_of(run: Run, searched: Result, fronts: Fronts | None) -> list[Architecture]:
    """Return all candidates that are trained, be it a little; arguments as of `shortlist_of`."""
    asked = run.settings.search
    if not asked.screened:
        return finalists_of(run, searched, fronts)
    found = shortlist_of(run, searched, fronts)
    a_little = found.screened(asked.screened, asked.finalists)
    return list(dict.fromkeys([*a_little, *found.finalists(a_little, asked.finalists)]))


def require_finished_search(run: Run) -> None:
    """Refuse to go on without a search.

    Raises:
        FileNotFoundError: If it has not ended; says how it does.
    """
    for name in (TRIALS, *([] if run.settings.search.cost is None else [FRONT])):
        if not (run.folder / name).exists():
            raise FileNotFoundError(
                f"there is no {run.folder / name}: the run has not ended its search; "
                f"`autopanoptic panoptic search --name {quote(run.folder.name)}` does"
            )


def finished_search(run: Run) -> tuple[Result, Fronts | None]:
    """Read a search that has ended, and its fronts where it had a cost."""
    require_finished_search(run)
    found = Result.from_journal(run.folder / JOURNAL)
    # The journal knows nothing of the limits that the answer has to keep.
    searched = Result(searched_space(run.settings, prepared(run)), found.history, found.ended)
    return searched, None if run.settings.search.cost is None else Fronts.load(run.folder)


def _finalists(run: Run, candidates: Candidates, searched: Result) -> list[Architecture]:
    """Say what a search by itself answers, and return it with the other candidates that may be trained."""
    if run.settings.search.cost is None:
        tell_answer(run, searched)
        return finalists_of(run, searched, None)
    fronts = compare_fronts(run, candidates, searched)
    if not (run.folder / FRONT).exists():  # else it may have the random draws as well
        fronts.save(run.folder)
        fronts.draw(run.folder / "front.png", searched)
    chosen = fronts.chosen(SEARCHED)
    run.say(
        f"answer ({chosen.architecture.id}): {fronts.objective} on nas_val {chosen.value:.1f}, "
        f"{fronts.cost} {chosen.cost:.3g} of {fronts.budget:.3g}"
    )
    return finalists_of(run, searched, fronts)


def _answer(run: Run, searched: Result) -> Architecture:
    asked = run.settings.search
    return answer_of(strategy_of(asked.strategy, asked.trials, searched.space), searched)


def _metrics(result: Result) -> list[Mapping[str, float]]:
    return [trial.metrics for trial in result.history.completed]
