"""What candidates are expected to cost on a task, from the costs that experience recorded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metahpo.recommendation.candidates import Candidates
from metahpo.recommendation.experience import Experience
from metahpo.tasks.task import Task

#: Limit -> column of the trials table with what was recorded of it.
RECORDED = {"max_train_seconds": "seconds", "max_predict_seconds": "predict_seconds", "max_memory": "memory_bytes"}


def expected_costs(
    experience: Experience, candidates: Candidates, task: Task, limit: str = "max_train_seconds"
) -> NDArray[np.float64] | None:
    """Expected cost of each candidate, shape (m,), in the unit of a limit; None where it was not recorded."""
    model = experience.cost(candidates.space, RECORDED[limit])
    if model is None:
        return None
    return model.seconds(experience.meta_dataset.encoder(candidates.space).encode(candidates.configurations), task)
