"""What a byte costs: s3stream beside its peers, each writing to an S3 endpoint that stores nothing.

``python -m tests.benchmarks --help`` says how to run it.

A library is one entry in ``writers.LIBRARIES``, a workload one in ``workloads.WORKLOADS``.
"""
