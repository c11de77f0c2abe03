"""The company's policy as data and pure decisions: parameters (policy.md §10) and the release decision (policy.md §4)."""
