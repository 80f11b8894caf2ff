"""Meta-features: documented, deterministic numbers that describe a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.metafeatures.canonical_order import category_codes
    from metahpo.metafeatures.classes import LOG_ROWS
    from metahpo.metafeatures.definition import MetaFeature
    from metahpo.metafeatures.extraction import META_FEATURES, extract
    from metahpo.metafeatures.others import (
        MetaFeatureGroup,
        groups_among,
        meta_features_named,
        register_meta_features,
        unregister_meta_features,
    )

__all__ = [
    "LOG_ROWS",
    "META_FEATURES",
    "MetaFeature",
    "MetaFeatureGroup",
    "category_codes",
    "extract",
    "groups_among",
    "meta_features_named",
    "register_meta_features",
    "unregister_meta_features",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
