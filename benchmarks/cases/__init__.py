"""The benchmarks, one a module.

Each module has `TITLE`, what it measures, and `run(say)`, which does it and says meanwhile how far
it is.
"""
