"""Slow measurements; results in `benchmarks/results/`, each with its machine and commit."""
