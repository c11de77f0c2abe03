"""The witness: a program of its own that cosigns checkpoints of logs that only ever grow (C2SP tlog-witness).

It runs under another user, better on another person's machine, and knows nothing of the portal: standard library and
cryptography only.
"""
