# Needs Python 3.11 or later and make; everything else is installed into .venv*.
# `make demo` and `make test` do all that they need, from the set-up on.

PYTHON ?= python3
# Further interpreters that the tests run on, where the machine has them.
OTHER_PYTHONS ?= 3.12 3.13 3.14
# Lambda's Pythons that the layer is for.
RUNTIMES ?= 3.11 3.12 3.13 3.14
# How long `make soak` takes.
SECONDS ?= 660
# How many cases of each input `make fuzz` tries.
CASES ?= 100000

BIN := .venv/bin
PIP_INSTALL := -m pip install -qq --disable-pip-version-check
AND_SAY_WHAT_WAS_NOT_RUN = OTHER_PYTHONS="$(OTHER_PYTHONS)" MAKE="$(MAKE)" $(PYTHON) tools/not_run.py

.PHONY: help demo docs test prove prove-short fuzz-short isolation isolation-short coverage mutants mutants-short setup lint format tests tests-on-others model soak rules cuts hangs bench bench-short bench-check examples deploy-local layer wheel lock clean count vectors fuzz shared-runs

help:  ## show this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1\t/' | expand -t 24

demo: .venv/.ready .venv-engine/.ready  ## watch handlers take, lose and take over leases
	@$(BIN)/python -m demo

test:  ## lint, types, examples, and all tests on PYTHON: some ten minutes
	@$(AND_SAY_WHAT_WAS_NOT_RUN) lint examples tests

prove:  ## what takes longer: more than an hour
	@$(AND_SAY_WHAT_WAS_NOT_RUN) prove-short isolation-short mutants-short cuts hangs tests-on-others

prove-short: model rules bench-check fuzz-short  ## the part of it that CI runs: some six minutes
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory docs; \
	else echo "NOT BUILT: the site, whose diagrams need npm"; fi

setup: .venv/.ready .venv-engine/.ready .venv-sam/.ready .node-pyright/.ready  ## install what development needs

lint: setup  ## formatting, lint, strict types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	.venv-sam/bin/cfn-lint --include-checks I --ignore-checks I4010 -- template.yaml monitoring.yaml serverlessrepo/template.yaml

count:  ## count the lines of code that mutual exclusion needs
	@$(PYTHON) tools/sloc.py

vectors: .venv/.ready  ## write docs/vectors.json from the testkit's cases
	@$(BIN)/python tools/vectors.py

format: setup  ## rewrite the code in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

tests: setup  ## the tests on PYTHON
	$(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder

tests-on-others: setup .venv-oldest/.ready  ## the tests on other interpreters, boto3, engines
	@PYTHONS="$(OTHER_PYTHONS)" tests/on_others.sh

model: .venv-model/.ready  ## check the protocol's model, whole and without each of its rules
	@.venv-model/bin/python -m proof.model.check

soak: .venv/.ready .venv-engine/.ready  ## real processes under fire, for SECONDS (660)
	@$(BIN)/python -m proof.soak --seconds $(SECONDS)

shared-runs: .venv/.ready .venv-engine/.ready  ## callers that share a run: 100,000 simulated, 1,000 real ones: ten minutes
	@$(BIN)/python -m proof.rebuilds 100000
	@$(BIN)/python -m proof.callers 1000

fuzz: .venv/.ready  ## broken and hostile replies, log lines and rows, CASES (100000) of each
	@$(BIN)/python -m proof.fuzz --cases $(CASES)

fuzz-short: .venv/.ready  ## the same with a tenth of the cases
	@$(BIN)/python -m proof.fuzz --cases 10000

rules: .venv/.ready .venv-engine/.ready  ## take each rule away, and see its test fail
	@$(BIN)/python -m proof.rules

cuts: .venv/.ready  ## an exception, or a hang, at each point of each way to use a lease: five minutes
	@$(BIN)/python -m proof.cuts $(CUTS)

hangs: .venv/.ready .venv-engine/.ready  ## 200 hangs at random moments, and when the handler is told
	@$(BIN)/python -m proof.hangs

isolation: .venv/.ready .venv-engine/.ready  ## demo and tests with each variable that leads elsewhere: forty minutes
	@$(BIN)/python -m proof.isolation $(ISOLATION)

isolation-short: .venv/.ready .venv-engine/.ready  ## the same with all of them at once
	@$(BIN)/python -m proof.isolation --short

coverage: .venv/.ready .venv-engine/.ready  ## which lines and branches no test runs: twelve minutes
	@$(BIN)/python -m proof.covering --again

.coverage/data: | .venv/.ready .venv-engine/.ready
	@echo "Measuring which test runs which line (again after new tests: make coverage) ..."
	@$(BIN)/python -m proof.covering --again >/dev/null

mutants: .coverage/data  ## change one small thing at a time, and see a test fail; MUTANTS (200), SEED (the day)
	@$(BIN)/python -m proof.mutants $(if $(MUTANTS),--mutants $(MUTANTS)) $(if $(SEED),--seed $(SEED))

mutants-short: .coverage/data  ## the same with 20
	@$(BIN)/python -m proof.mutants --mutants 20 $(if $(SEED),--seed $(SEED))

bench: .venv-bench/.ready .venv-engine/.ready .node-bench/.ready  ## compare with the floor and the peers: half an hour
	@PYTHONPATH=layer/python:tools .venv-bench/bin/python -m benchmarks $(BENCH)

bench-short: .venv-bench/.ready .venv-engine/.ready .node-bench/.ready  ## the same, to see that it works: a minute and a half
	@PYTHONPATH=layer/python:tools .venv-bench/bin/python -m benchmarks --short $(BENCH)

bench-check: .venv-bench/.ready .venv-engine/.ready  ## the parts that take no time: requests, own CPU, telling
	@PYTHONPATH=layer/python:tools .venv-bench/bin/python -m benchmarks --short --only counts --only overhead --only telemetry

examples: .venv-sam/.ready .venv-examples/.ready  ## check the examples: the CDK, Terraform, a store of your own
	PYTHONPATH=layer/python:tools .venv-examples/bin/python -m pytest -q examples

deploy-local: setup  ## deploy the template to the embedded engine, and use it
	$(BIN)/python -m pytest -v tests/platform/test_stack.py

docs: .venv-docs/.ready .node-docs/.ready  ## build the pages as a site, into site/
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --quiet
	@echo "site/index.html"

layer:  ## compile the layer ahead, for each of Lambda's Pythons that is here: less CPU for a cold start
	@# Bytecode that is there already may be anybody's: its checked hash is the source's, not its own.
	@find layer -name __pycache__ -prune -exec rm -rf {} +
	@find layer -name '*.py[co]' -delete
	@for version in $(RUNTIMES); do \
	  if python$$version -c '' 2>/dev/null; \
	  then python$$version -m compileall -q -f --invalidation-mode checked-hash layer/python; \
	  else echo "NOT COMPILED for Python $$version, which is not here"; fi; \
	done

wheel: setup  ## build the package for PyPI into dist/
	$(BIN)/python -m build --no-isolation --outdir dist

lock:  ## resolve requirements/*.in anew
	@requirements/lock.sh

clean:  ## remove everything that was installed or built
	rm -rf .venv* .node-* dist site .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/.ready: .venv/.requirements pyproject.toml
	@$(BIN)/python $(PIP_INSTALL) --no-build-isolation --no-deps --editable .
	@touch $@

.venv/.requirements: requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11")'
	@echo "Setting up .venv (once, about half a minute) ..."
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python $(PIP_INSTALL) --no-deps --require-hashes -r requirements/dev.txt
	@touch $@

# The engine and the deployment tool pin what they need: each has an environment of its own.
.venv-%/.ready: requirements/%.txt
	@echo "Setting up .venv-$* (once) ..."
	@$(PYTHON) -m venv --clear .venv-$*
	@.venv-$*/bin/python $(PIP_INSTALL) --no-deps --require-hashes -r requirements/$*.txt
	@touch $@

# The second type checker. Without npm its tests are skipped, and say so.
.node-pyright/.ready: requirements/pyright/package-lock.json
	@if command -v npm >/dev/null; then \
	  echo "Setting up .node-pyright (once) ..."; \
	  mkdir -p .node-pyright && cp requirements/pyright/package*.json .node-pyright/ \
	  && (cd .node-pyright && npm ci --silent --no-audit --no-fund) && touch $@; \
	fi

# What draws the site's diagrams. It needs npm.
.node-docs/.ready: requirements/mermaid/package-lock.json
	@echo "Setting up .node-docs (once) ..."
	@mkdir -p .node-docs && cp requirements/mermaid/package*.json .node-docs/
	@cd .node-docs && npm ci --silent --no-audit --no-fund
	@touch $@

# Peers of the benchmark: it goes on without them where there is no Node.js.
.node-bench/.ready: benchmarks/node/package-lock.json
	@if command -v npm >/dev/null; then \
	  mkdir -p .node-bench && cp benchmarks/node/package*.json .node-bench/ \
	  && (cd .node-bench && npm ci --silent --no-audit --no-fund) && touch $@; \
	fi
