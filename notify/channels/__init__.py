"""The doors to the world: one contract (`base`), one file for each provider, and `catalog`, which knows them all."""
