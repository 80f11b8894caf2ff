"""MLflow: a callback of a search that writes its trials, one run each, below one parent run."""

from __future__ import annotations

from metahpo.integrations.callbacks import records
from metahpo.integrations.libraries import MLFLOW
from metahpo.trials.history import TrialHistory

MLFLOW.load()

from mlflow.entities import Metric, Param, RunTag  # noqa: E402
from mlflow.tracking import MlflowClient  # noqa: E402
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME  # noqa: E402
from mlflow.utils.time import get_current_time_millis  # noqa: E402

#: MLflow keeps this many characters of a parameter.
LONGEST = 500


class MLflowCallback:
    """Callback of :class:`metahpo.MetaSearchCV` that writes to MLflow: one parent run, and below it one run a trial.

    Only the process that searches writes, by a client of its own: the active run and the address of the tracking server
    that the program has set stay as they are. Runs are ended after each trial, so that a search that is interrupted
    leaves none open.

    Parameters
    ----------
    experiment : str, default="metahpo"
        Name of the experiment; it is made where it does not exist.
    run_name : str, default="search"
        Name of the parent run.
    tracking_uri : str, default=None
        None takes MLflow's own.
    parent_run_id : str, default=None
        Parent run that goes on, of a search that is resumed; its trials are not written again. None makes one.

    Attributes
    ----------
    parent_run_id : str or None
        None until the first trial.
    """

    def __init__(
        self,
        experiment: str = "metahpo",
        run_name: str = "search",
        *,
        tracking_uri: str | None = None,
        parent_run_id: str | None = None,
    ) -> None:
        self.experiment = experiment
        self.run_name = run_name
        self.tracking_uri = tracking_uri
        self.parent_run_id = parent_run_id
        self._n_written: int | None = None

    def __call__(self, history: TrialHistory) -> None:
        """Write the trials that are new."""
        client = MlflowClient(tracking_uri=self.tracking_uri)
        if self.parent_run_id is None:
            found = client.get_experiment_by_name(self.experiment)
            experiment_id = client.create_experiment(self.experiment) if found is None else found.experiment_id
            parent = client.create_run(experiment_id, tags={MLFLOW_RUN_NAME: self.run_name})
            self.parent_run_id, self._n_written = parent.info.run_id, 0
        experiment_id = client.get_run(self.parent_run_id).info.experiment_id
        if self._n_written is None:
            self._n_written = len(client.get_metric_history(self.parent_run_id, "trial"))
        for record in records(history, self._n_written):
            now = get_current_time_millis()
            steps = {**record.metrics, "trial": float(record.number)}
            metrics = [Metric(name, value, now, record.number) for name, value in steps.items()]
            tags = {MLFLOW_PARENT_RUN_ID: self.parent_run_id, MLFLOW_RUN_NAME: f"trial {record.number}"}
            child = client.create_run(experiment_id, tags=tags).info.run_id
            params = [Param(name, str(value)[:LONGEST]) for name, value in record.parameters.items()]
            client.log_batch(child, metrics, params, [RunTag("number", str(record.number))])
            client.set_terminated(child, "FINISHED" if "score" in record.metrics else "FAILED")
            client.log_batch(self.parent_run_id, metrics)
            self._n_written = record.number + 1
        client.set_terminated(self.parent_run_id)
