"""The tests. Read `tour/` first."""
