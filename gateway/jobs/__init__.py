"""Work that outlives a request: the job table, its queue, worker loop and reaper (DESIGN.md §6)."""
