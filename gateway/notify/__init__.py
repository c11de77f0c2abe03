"""Telling people: the notification catalogue, the in-app list and the mail outbox (policy.md §6)."""
