"""Registers 登记簿 taken away as files: one table, written as CSV, XLSX or PDF (policy.md §5)."""
