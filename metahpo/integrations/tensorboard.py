"""TensorBoard: a callback of a search that writes its trials, and the curves of an evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from metahpo.evaluation.regret import mean_regret
from metahpo.integrations.callbacks import records
from metahpo.integrations.libraries import TENSORBOARD
from metahpo.trials.history import TrialHistory

if TYPE_CHECKING:
    from metahpo.evaluation.result import EvaluationReport

TENSORBOARD.load()

from tensorboardX import SummaryWriter  # noqa: E402


class TensorBoardCallback:
    """Callback of :class:`metahpo.MetaSearchCV` that writes to TensorBoard: one step a trial.

    Only the process that searches writes. Each trial has a file of its own, so that a search that is interrupted leaves
    whole ones. Where a search is resumed, the trials that are in the folder are not written again.

    Parameters
    ----------
    folder : path
        Folder of the run.

    Examples
    --------
    >>> from metahpo.integrations.tensorboard import TensorBoardCallback
    >>> search = MetaSearchCV(SVC(), callback=TensorBoardCallback("runs/svm"))  # doctest: +SKIP
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = str(folder)
        self._n_written: int | None = None

    def __call__(self, history: TrialHistory) -> None:
        """Write the trials that are new."""
        if self._n_written is None:  # the last trial is new
            self._n_written = self._n_there(len(history) - 1)
        elif len(history) < self._n_written:  # another search
            self._n_written = 0
        for record in records(history, self._n_written):
            numbers = {k: float(v) for k, v in record.parameters.items() if type(v) in (int, float)}
            with SummaryWriter(self.folder, filename_suffix=_suffix(record.number)) as writer:
                for name, value in record.metrics.items():
                    writer.add_scalar(name, value, record.number)
                for name, value in numbers.items():
                    writer.add_scalar(f"parameters/{name}", value, record.number)
                text = ", ".join(f"{name}={value!r}" for name, value in record.parameters.items())
                writer.add_text("configuration", text, record.number)
        self._n_written = len(history)

    def _n_there(self, most: int) -> int:
        """Trials of the folder, from the first on."""
        numbers = (number for number in range(most) if not any(Path(self.folder).glob(f"*{_suffix(number)}")))
        return next(numbers, most)


def _suffix(number: int) -> str:
    """End of the name of the file of a trial."""
    return f".{number:06d}"


def write_report(report: EvaluationReport, folder: Path | str) -> None:
    """Write the curves of an evaluation: a run a method, a step a trial, so that TensorBoard lays them over each other.

    Scalars ``regret/SPACE`` (mean over tasks; ``regret/all spaces`` where there are several) and their standard errors
    over families, ``regret_standard_error/SPACE``; the text of each run is the summary of the report.

    Parameters
    ----------
    report : EvaluationReport
    folder : path
        The runs are ``FOLDER/METHOD``.
    """
    curves = mean_regret(report.regrets)
    for method in report.methods:
        with SummaryWriter(str(Path(folder) / method)) as writer:
            own = curves[curves["method"] == method]
            for column, tag in (("regret", "regret"), ("standard_error", "regret_standard_error")):
                known = own.dropna(subset=[column])
                for space, trial, value in zip(known["space"], known["trial"], known[column], strict=True):
                    writer.add_scalar(f"{tag}/{space}", float(value), int(trial))
            writer.add_text("summary", "\n\n".join(report.summary_sentences()), 0)
