"""Evaluation: ranking metrics over a whole catalogue, baselines, intervals, and reports.

In: scores and the targets. Out: metrics with confidence intervals, as values, Markdown and HTML.
"""
