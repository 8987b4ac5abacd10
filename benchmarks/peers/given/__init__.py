"""What runs in the peers' own environments: their servers, and the one engine that all of them are given.

Nothing here imports anything of unisono's.
"""
