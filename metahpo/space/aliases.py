"""Names that different libraries give to the same hyperparameter."""

from __future__ import annotations

#: Groups of names; in each, the most common name first. A name may be in more than one group.
SAME: tuple[tuple[str, ...], ...] = (
    ("learning_rate", "lr", "eta", "learning_rate_init", "step_size", "shrinkage", "learn_rate", "lr0", "eta0"),
    ("batch_size", "batch", "minibatch_size", "mini_batch_size", "bs", "train_batch_size"),
    ("weight_decay", "wd", "l2", "l2_penalty", "alpha", "decay", "l2_reg"),
    ("dropout", "dropout_rate", "p_dropout", "drop_rate", "dropout_p", "drop"),
    ("width", "hidden_size", "hidden_dim", "n_units", "units", "hidden_units", "n_hidden", "hidden"),
    ("depth", "n_layers", "num_layers", "layers", "n_hidden_layers", "num_hidden_layers"),
    ("epochs", "n_epochs", "num_epochs", "max_epochs", "max_iter"),
    ("momentum", "mu", "beta1", "beta_1"),
    ("activation", "activation_function", "nonlinearity", "act"),
    ("optimiser", "optimizer", "solver"),
    ("schedule", "lr_schedule", "scheduler", "lr_scheduler"),
    ("label_smoothing", "smoothing"),
    ("normalisation", "normalization", "norm", "batch_norm"),
    ("n_estimators", "num_boost_round", "num_iterations", "n_iter", "num_round", "num_trees", "n_trees", "iterations",
     "nrounds", "max_iter", "num_rounds"),
    ("num_leaves", "max_leaf_nodes", "max_leaves", "num_leaf"),
    ("min_child_samples", "min_samples_leaf", "min_data_in_leaf", "min_data_per_leaf", "min_leaf"),
    ("max_depth", "depth", "tree_depth"),
    ("min_child_weight", "min_sum_hessian_in_leaf", "min_sum_hessian", "min_hessian"),
    ("reg_lambda", "lambda_l2", "l2_regularization", "lambda", "l2_leaf_reg", "reg_l2"),
    ("reg_alpha", "lambda_l1", "alpha", "l1_regularization", "reg_l1"),
    ("subsample", "bagging_fraction", "sub_row", "subsample_rate", "max_samples"),
    ("colsample_bytree", "feature_fraction", "sub_feature", "max_features", "mtry", "colsample"),
    ("C", "c", "cost", "inverse_regularization"),
    ("gamma", "kernel_gamma", "rbf_gamma"),
    ("kernel", "kernel_type"),
    ("degree", "poly_degree"),
    ("epsilon", "svr_epsilon"),
    ("n_neighbors", "k", "n_neighbours", "num_neighbors", "neighbors"),
    ("weights", "weighting"),
    ("l1_ratio", "elastic_net_param", "mixing"),
    ("alpha", "lambda", "penalty_strength", "regularization"),
    ("class_weight", "class_weights"),
    ("criterion", "split_criterion"),
)  # fmt: skip


def plain_name(name: str) -> str:
    """A name without the path to it in a pipeline: ``clf__lr`` and ``model.optimizer.lr`` are ``lr``."""
    return name.rpartition("__")[2].rpartition(".")[2].rpartition(":")[2] or name


def likeness(name: str, other: str) -> int:
    """How sure it is that two names mean the same: 3 equal, 2 equal but for case and path, 1 aliases, 0 not at all."""
    if name == other:
        return 3
    one, two = plain_name(name).lower().replace("-", "_"), plain_name(other).lower().replace("-", "_")
    if one == two:
        return 2
    return int(any(one in group and two in group for group in _LOWER))


_LOWER = tuple(frozenset(name.lower() for name in group) for group in SAME)
