"""Artifacts and images against real files, a real HTTP server on loopback, and the real go command."""
