"""Two small encoders of texts: the mean of word vectors, and a Transformer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metahpo.networks.text.vocabulary import PADDING, UNKNOWN
from metahpo.numerics.device import SINGLE


class MeanEncoder(nn.Module):
    """Logits of codes (n, length): mean and largest of the word vectors, dropout, one hidden layer or none.

    Parameters
    ----------
    n_codes, n_classes, size : int
        `size` is the length of a word vector.
    layers : int
        Hidden layers.
    dropout, word_dropout : float
        Of units, and of words in training.
    """

    def __init__(
        self, n_codes: int, n_classes: int, size: int, layers: int, dropout: float, word_dropout: float
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_codes, size, padding_idx=PADDING, dtype=SINGLE)
        nn.init.normal_(self.embedding.weight, std=size**-0.5)
        self.word_dropout = word_dropout
        hidden: list[nn.Module] = [nn.Dropout(dropout)]
        for layer in range(layers):
            hidden += [nn.Linear(size if layer else 2 * size, size, dtype=SINGLE), nn.SiLU(), nn.Dropout(dropout)]
        self.head = nn.Sequential(*hidden, nn.Linear(size if layers else 2 * size, n_classes, dtype=SINGLE))

    def forward(self, codes: Tensor) -> Tensor:
        """Logits."""
        codes = without_some_words(codes, self.word_dropout if self.training else 0.0)
        there = (codes != PADDING).unsqueeze(2)
        vectors = self.embedding(codes)
        mean = (vectors * there).sum(1) / there.sum(1).clamp(min=1)
        largest = vectors.masked_fill(~there, -torch.inf).amax(1)
        logits: Tensor = self.head(torch.cat([mean, largest], dim=1))
        return logits


class TransformerEncoder(nn.Module):
    """Logits of codes (n, length): word and place vectors, Transformer layers, mean, one linear layer."""

    def __init__(
        self,
        n_codes: int,
        n_classes: int,
        size: int,
        layers: int,
        dropout: float,
        word_dropout: float,
        max_length: int,
        heads: int,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_codes, size, padding_idx=PADDING, dtype=SINGLE)
        self.places = nn.Parameter(0.02 * torch.randn(max_length, size, dtype=SINGLE))
        nn.init.normal_(self.embedding.weight, std=size**-0.5)
        self.word_dropout = word_dropout
        layer = nn.TransformerEncoderLayer(
            size, heads, 2 * size, dropout, activation="gelu", batch_first=True, norm_first=True, dtype=SINGLE
        )
        self.layers = nn.TransformerEncoder(layer, max(1, layers), enable_nested_tensor=False)
        self.head = nn.Sequential(
            nn.LayerNorm(size, dtype=SINGLE), nn.Dropout(dropout), nn.Linear(size, n_classes, dtype=SINGLE)
        )

    def forward(self, codes: Tensor) -> Tensor:
        """Logits."""
        codes = without_some_words(codes, self.word_dropout if self.training else 0.0)
        there = codes != PADDING
        vectors = self.embedding(codes) + self.places[: codes.shape[1]]
        vectors = self.layers(vectors, src_key_padding_mask=~there)
        weight = there.unsqueeze(2).to(vectors.dtype)
        logits: Tensor = self.head((vectors * weight).sum(1) / weight.sum(1))
        return logits


def without_some_words(codes: Tensor, share: float) -> Tensor:
    """Codes (n, length) without the columns that are padding in every row; a share of the words becomes unknown."""
    codes = codes[:, : int((codes != PADDING).any(0).sum())]
    if share == 0.0:
        return codes
    return codes.masked_fill(
        (torch.rand(codes.shape, dtype=SINGLE, device=codes.device) < share) & (codes != PADDING), UNKNOWN
    )
