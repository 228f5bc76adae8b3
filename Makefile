# The two commands of the README are `make run` and `make test`. Everything goes into .venv.
PYTHON ?= python3
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --require-hashes
OFFLINE := { echo "The packages could not be installed: pip says above why. Without a network that is the reason; try again when there is one."; exit 1; }
# pip says nothing while it unpacks. What goes on saying so ends with it.
BEAT := { while sleep 5 >/dev/null 2>&1; do echo "Still at it."; done & } ; beat=$$!; trap 'kill $$beat' EXIT
LINK := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .

.PHONY: whatsapp fresh readme pictures run test demo check lint types bench lock clean

run: .venv/runtime
	$(BIN)/mcp-messenger serve $(if $(PORT),--port $(PORT))

demo: .venv/runtime
	$(BIN)/mcp-messenger demo

test: .venv/development
	$(BIN)/python -m pytest -n auto --dist worksteal

check: lint types test

lint: .venv/development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: .venv/development
	$(BIN)/pyright

bench: .venv/development
	$(BIN)/python -m tests.benchmarks

readme: .venv/development
	$(BIN)/python -m tests.readme

pictures: .venv/development
	$(BIN)/python -m tests.pictures

# The first minutes of somebody new: a clone of what is committed, the README's commands, and the sandbox's first reply.
fresh:
	$(PYTHON) -m tests.fresh_clone

# What WhatsApp Web needs besides Node.js and Chromium, as locked; no browser is downloaded.
whatsapp:
	cd providers/whatsappweb/bridge && PUPPETEER_SKIP_DOWNLOAD=1 npm ci --omit=dev --omit=optional

lock:
	uv pip compile -q --universal --generate-hashes --no-header --no-annotate -p 3.11 pyproject.toml --group build -o requirements.lock
	uv pip compile -q --universal --generate-hashes --no-header --no-annotate -p 3.11 pyproject.toml --group dev -c requirements.lock -o tests/requirements.lock

clean:
	rm -rf .venv dist .pytest_cache .ruff_cache .hypothesis

.venv/python:
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON) here. Install Python 3.11 or newer, or name yours: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c "import sys; sys.version_info >= (3, 11) or sys.exit('Python 3.11 or newer is needed: make PYTHON=python3.12 ...')"
	@echo "Making .venv, which takes a few seconds."
	@$(PYTHON) -m venv .venv
	@echo > $@

.venv/runtime: .venv/python requirements.lock pyproject.toml
	@echo "Installing what it needs into .venv: about 20 seconds, this time only."
	@$(BEAT); $(INSTALL) -r requirements.lock || $(OFFLINE)
	@$(LINK)
	@echo > $@

.venv/development: .venv/python requirements.lock tests/requirements.lock pyproject.toml
	@echo "Installing what the tests need into .venv: about a minute, this time only."
	@$(BEAT); $(INSTALL) -r tests/requirements.lock || $(OFFLINE)
	$(LINK)
	@echo > .venv/runtime
	@echo > $@
