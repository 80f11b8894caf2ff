"""A model of the package transformers as a module that returns logits alone."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class LogitsOf(nn.Module):
    """Logits of token ids and mask, each (n, length)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Logits (n, n_classes)."""
        longest = int(mask.sum(dim=1).max())
        logits: Tensor = self.model(input_ids=tokens[:, :longest], attention_mask=mask[:, :longest]).logits
        return logits
