"""The search: it asks the strategy, runs the evaluator, and writes everything down."""
