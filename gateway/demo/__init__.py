"""The demo: the invented company of policy.md §9, its main job over HTTP, and a portal left up to look around in."""
