"""Samplers and pruners by name, new for each trial, so that a killed search goes on as it would have."""

import numpy as np
import optuna

from .config import SearchConfig

# TPE and CMA-ES draw so many at random before they learn.
STARTUP_TRIALS = 8
# Trials before the median is asked, and epochs of a trial before it may be ended.
PRUNING_TRIALS, PRUNING_EPOCHS = 4, 2


def sampler(search: SearchConfig, number: int) -> optuna.samplers.BaseSampler:
    """Return what draws trial `number`: what it draws depends on that, the seed and the trials before alone.

    A sampler that lived through the whole search would draw from a state that a kill takes away.
    """
    seed = int(np.random.SeedSequence([search.seed, number]).generate_state(1)[0])
    if search.sampler == "tpe":
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS)
    if search.sampler == "nsga2":
        # Five generations, if the trials suffice for ones that can recombine at all.
        return optuna.samplers.NSGAIISampler(seed=seed, population_size=max(4, search.trials // 5))
    if search.sampler == "cmaes":
        return optuna.samplers.CmaEsSampler(
            seed=seed, n_startup_trials=STARTUP_TRIALS, warn_independent_sampling=False
        )
    if search.sampler == "gp":
        from .gaussian import GaussianProcessSampler  # noqa: PLC0415 - scikit-learn is heavy

        return GaussianProcessSampler(seed)
    return optuna.samplers.RandomSampler(seed=seed)


def pruner(search: SearchConfig) -> optuna.pruners.BasePruner:
    """Return what ends trials early."""
    if search.pruner == "median":
        return optuna.pruners.MedianPruner(PRUNING_TRIALS, PRUNING_EPOCHS)
    if search.pruner == "halving":
        return optuna.pruners.SuccessiveHalvingPruner()
    return optuna.pruners.NopPruner()
