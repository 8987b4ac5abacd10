"""Ensembles in other people's pipelines: Ray Data, Spark, Beam. None of them is needed to import this."""
