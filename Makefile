# Every verb sets up what it needs by itself, with Python 3.11 or newer and nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := -m pip --disable-pip-version-check --quiet
# The tests start some 250 processes: each would compile our sources anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help system-deps install demo members test test-fast test-ray test-readers lint type e2e proof fuzz bench bench-peers bench-environments proto docs lock wheel clean

help: ## Show the verbs.
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'

# What tests and benchmarks use of Debian's, beside Python: crash points, a browser, a load generator, certificates,
# pictures of networks, what listens where, a library of perf_analyzer's.
DEBIAN := strace chromium nghttp2-client openssl graphviz iproute2 libb64-0d
system-deps: ## Install what Debian must bring, where apt-get is there and it is missing (as root).
	@if command -v apt-get >/dev/null && ! dpkg -s $(DEBIAN) >/dev/null 2>&1; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(DEBIAN); fi

# One environment, made by what is asked for: the demo's part first, what developing needs on top.
.venv/.demo: requirements/demo.lock pyproject.toml
	@echo "installing what the demo uses into .venv (a minute or two)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python $(PIP) install --require-hashes -r requirements/demo.lock
	@$(BIN)/python $(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: .venv/.demo requirements.lock
	@echo "installing what the tests use into .venv"
	@$(BIN)/python $(PIP) install --require-hashes -r requirements.lock
	@touch $@

# The stock clients hold back protobuf, so they live in an environment of their own.
.venv-clients/.done: requirements/clients.lock
	@echo "installing the stock Triton client into .venv-clients"
	@test -x .venv-clients/bin/python || $(PYTHON) -m venv .venv-clients
	@.venv-clients/bin/python $(PIP) install --require-hashes -r requirements/clients.lock
	@touch $@

# TensorFlow's own messages, which this client imports, are borrowed from .venv: so it does without TensorFlow.
.venv-tfs-clients/.done: requirements/tfs-clients.lock
	@echo "installing the stock TensorFlow Serving client into .venv-tfs-clients"
	@test -x .venv-tfs-clients/bin/python || $(PYTHON) -m venv .venv-tfs-clients
	@.venv-tfs-clients/bin/python $(PIP) install --no-deps --require-hashes -r requirements/tfs-clients.lock
	@touch $@

# NVIDIA's load generator, on Linux on x86-64. It needs Debian's libb64, which is unpacked beside it where apt
# has it; where it isn't to be had, the tests that use it say so and skip.
.venv-perf/.done: requirements/perf.lock
	@echo "installing perf_analyzer into .venv-perf"
	@test -x .venv-perf/bin/python || $(PYTHON) -m venv .venv-perf
	@.venv-perf/bin/python $(PIP) install --require-hashes -r requirements/perf.lock
	@cd .venv-perf && { { apt-get download libb64-0d || { apt-get update && apt-get download libb64-0d; }; } && \
	  dpkg -x libb64-0d_*.deb .; } >/dev/null 2>&1 || true
	@touch $@

# A real S3 API on loopback, for the tests of stores in buckets.
.venv-s3/.done: requirements/s3.lock
	@echo "installing moto, whose S3 server tests use, into .venv-s3"
	@test -x .venv-s3/bin/python || $(PYTHON) -m venv .venv-s3
	@.venv-s3/bin/python $(PIP) install --require-hashes -r requirements/s3.lock
	@touch $@

# Ray is large, and only its executor's tests need it.
.venv-ray/.done: requirements/ray.lock pyproject.toml
	@echo "installing Ray and what its tests use into .venv-ray"
	@test -x .venv-ray/bin/python || $(PYTHON) -m venv .venv-ray
	@.venv-ray/bin/python $(PIP) install --require-hashes -r requirements/ray.lock
	@touch $@

# What reads the results of scoring; Spark, which is large, and Java, which Debian must bring, are among it.
.venv-readers/.done: requirements/readers.lock
	@echo "installing what reads results into .venv-readers"
	@test -x .venv-readers/bin/python || $(PYTHON) -m venv .venv-readers
	@.venv-readers/bin/python $(PIP) install --require-hashes -r requirements/readers.lock
	@touch $@

# The peers of benchmarks/beside_peers.py, each by itself. PyTriton holds a build of Debian's interpreter.
PEERS := bentoml fastapi litserve mlserver pytriton ray-serve
.venv-peers/pytriton/.done: PYTHON := /usr/bin/python3
.venv-peers/%/.done: requirements/peers-%.lock
	@echo "installing $* into .venv-peers/$*"
	@test -x .venv-peers/$*/bin/python || $(PYTHON) -m venv .venv-peers/$*
	@.venv-peers/$*/bin/python $(PIP) install --require-hashes -r $<
	@touch $@

# Only benchmarks/refit.py uses it, where it is there.
.venv-autogluon/.done: requirements/autogluon.lock
	@echo "installing AutoGluon's ensemble selection into .venv-autogluon"
	@test -x .venv-autogluon/bin/python || $(PYTHON) -m venv .venv-autogluon
	@.venv-autogluon/bin/python $(PIP) install --no-deps --require-hashes -r requirements/autogluon.lock
	@touch $@

# Only for writing tests/support/pytorch/ anew, which is checked in: see requirements/torch.in.
.venv-torch/.done: requirements/torch.lock
	@echo "installing PyTorch and its exporter into .venv-torch"
	@test -x .venv-torch/bin/python || $(PYTHON) -m venv .venv-torch
	@.venv-torch/bin/python $(PIP) install --require-hashes -r $<
	@touch $@

.venv-profile/.done: requirements/profile.lock
	@test -x .venv-profile/bin/python || $(PYTHON) -m venv .venv-profile
	@.venv-profile/bin/python $(PIP) install --require-hashes -r $<
	@touch $@

install: .venv/.dev .venv-clients/.done .venv-tfs-clients/.done .venv-perf/.done .venv-s3/.done ## Set up the environments.

demo: .venv/.demo .venv-clients/.done ## Train, publish, serve, ask, refit and score on real digits.
	@$(BIN)/unisono demo

members: install ## Make the small members that the tests share; they do it themselves where it wasn't done.
	$(BIN)/python -c 'from tests.support.small_members import small_members; print(small_members())'

# OpenBLAS' threads wait for their next piece of work by asking for it again and again, unless told to sleep: as
# many processes as there are cores took nearly twice as long to refit.
test test-fast e2e: export OPENBLAS_THREAD_TIMEOUT = 4
# The order of the files is tests/conftest.py's.
test: install .venv-peers/fastapi/.done ## Run every test, with branch coverage; say which are skipped, and why.
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder --cov --cov-report=term -rs --durations=25 --durations-min=5

test-fast: install ## Run the tests that take no TensorFlow and no long load.
	$(BIN)/python -m pytest -m "not slow"

test-ray: .venv-ray/.done ## Run the tests of Ray, with two nodes on this machine, and of the manifests.
	.venv-ray/bin/python -m pytest tests/ray

test-readers: install .venv-readers/.done ## Read results with pyarrow, pandas, polars, DuckDB and Spark.
	$(BIN)/python -m pytest tests/readers

lint: install ## Check format, rules, layers, types, spelling, the Dockerfile and the compiled protos.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/hadolint deploy/Dockerfile
	$(BIN)/python protos/compile.py --check

type: install ## Check types only.
	$(BIN)/mypy

e2e: install ## Run the end-to-end tests: real processes, real members.
	$(BIN)/python -m pytest tests/e2e

wheel: install ## Build the wheel into dist/.
	$(BIN)/python -m hatchling build -t wheel

proof: install ## Run the long proofs whole; `make test` holds a sample of each.
	UNISONO_PROOF=whole $(BIN)/python -m pytest -m "slow or proof" tests

FUZZ_SECS ?= 120
fuzz: install ## Fuzz every decoder for FUZZ_SECS seconds; what is found is kept in .cache/fuzz/found.
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECS)

bench: bench-environments ## Run the benchmarks and write what they print to benchmarks/results/.
	$(BIN)/python benchmarks/run_all.py

bench-peers: bench-environments ## Measure unisono beside its peers, for docs/performance.md (20 minutes).
	$(BIN)/python benchmarks/beside_peers.py
	$(BIN)/python benchmarks/profile_request.py --page

# What can't be installed is listed by the benchmark, with the reason.
bench-environments: install .venv-profile/.done
	-@$(MAKE) --no-print-directory --keep-going $(PEERS:%=.venv-peers/%/.done)

proto: install ## Compile protos/ into the checked-in descriptors.
	$(BIN)/python protos/compile.py

docs: install ## Write the page of commands anew; run every command and check every reference of the docs.
	$(BIN)/python -m server.cli.commands_page
	$(BIN)/python -m pytest tests/test_docs.py

# Needs `uv` on the PATH. One resolution for every Python and platform; the others are parts of it.
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header
lock: ## Resolve the dependencies anew into the lock files.
	$(COMPILE) --upgrade pyproject.toml --extra dev -o requirements.lock
	$(COMPILE) pyproject.toml -c requirements.lock -o requirements/serve.lock
	$(COMPILE) requirements/build.in -c requirements.lock -o requirements/build.lock
	$(COMPILE) pyproject.toml requirements/build.in --extra training -c requirements.lock -o requirements/demo.lock
	$(COMPILE) pyproject.toml requirements/ray.in --extra ray -c requirements.lock -o requirements/ray.lock
	$(COMPILE) --upgrade requirements/clients.in -o requirements/clients.lock
	$(COMPILE) --upgrade --no-deps requirements/tfs-clients.in -o requirements/tfs-clients.lock
	$(COMPILE) --upgrade --no-deps requirements/autogluon.in -o requirements/autogluon.lock
	$(COMPILE) --upgrade requirements/perf.in -o requirements/perf.lock
	$(COMPILE) --upgrade requirements/profile.in -o requirements/profile.lock
	for peer in $(PEERS); do $(COMPILE) --upgrade requirements/peers-$$peer.in -o requirements/peers-$$peer.lock; done
	$(COMPILE) --upgrade requirements/s3.in -o requirements/s3.lock
	$(COMPILE) requirements/readers.in -c requirements.lock -o requirements/readers.lock
	-$(COMPILE) --upgrade requirements/torch.in -c requirements.lock -o requirements/torch.lock
	$(subst --universal,--python-platform x86_64-manylinux_2_28,$(COMPILE)) pyproject.toml --extra keras --extra gpu \
	  --no-emit-package onnxruntime -c requirements.lock -o requirements/gpu.lock

clean: ## Remove what the verbs above made.
	rm -rf .venv .venv-clients .venv-ray .venv-perf .venv-torch .venv-autogluon .venv-peers .venv-profile .venv-readers .venv-s3 .cache dist demo
