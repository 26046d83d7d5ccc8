"""Pytest runs the examples in these pages; the settings of the site are no test."""

collect_ignore = ["conf.py", "_build"]
