"""Other systems at the same work, each in a process of its own: `python -m benchmarks.peers.ray_tasks 1000`.

None of these modules imports another's package, and nothing else imports these modules: a system that is not installed
is missed by nobody.
"""
