"""Sampling: log density, mode, proposals, kernels, chains, diagnostics."""
