"""Everything done to bytes for one recipient: marking, sealing, bundling.

Values in, values out: no database, no web framework, no clock. Files of strangers are opened in a child process only (`worker`).
"""
