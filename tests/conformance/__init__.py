"""The conformance suite: rules that any sampler or metric must keep, adapters for ours and others',
and `python -m conformance`, which makes the table."""
