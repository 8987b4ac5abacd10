"""What happens at the end of each epoch: Keras' own callbacks chosen by the configuration, and ours.

Every module here imports Keras; import them only where networks are trained.
"""
