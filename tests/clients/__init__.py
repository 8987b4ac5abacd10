"""Programs that use a stock client; run by `.venv-clients`, which has nothing of ours installed."""
