# Each target makes the virtual environment it needs in .venv. PYTHON=python3.12 chooses the Python, ARGS="..." passes options on.
PYTHON ?= python3
BIN := .venv/bin
WORKERS = $$($(BIN)/python -c "import os; print(min(8, os.cpu_count()))")

# as ddpm_course.memory.keep_freed does for the commands: malloc keeps what a layer frees
test lab: export MALLOC_TRIM_THRESHOLD_ = 1073741824
test lab: export MALLOC_MMAP_THRESHOLD_ = 1073741824

help: ## this list (the default)
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

demo: $(BIN)/installed ## train on digits, sample and measure: runs/demo/index.html, in 2 to 4 minutes on 2 cores
	$(BIN)/ddpm-course demo $(ARGS)

test: $(BIN)/installed-dev ## run every notebook and every test
	OMP_NUM_THREADS=1 $(BIN)/nbdev-test --n-workers $(WORKERS)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

lab: $(BIN)/installed-dev ## open the course in JupyterLab
	$(BIN)/jupyter lab nbs/index.ipynb $(ARGS)

bench: $(BIN)/installed-dev ## speed and memory against diffusers, as ratios, also in runs/bench.json
	@mkdir -p runs
	$(BIN)/python benchmarks/bench.py --out runs/bench.json $(ARGS)

conformance: $(BIN)/installed-dev ## hold samplers and metrics, ours and others', to the same rules: nbs/results/conformance.json
	PYTHONPATH=tests OMP_NUM_THREADS=1 $(BIN)/python -m conformance.publish --out nbs/results/conformance.json $(ARGS)

docs: quarto $(BIN)/installed-dev ## build the site in _docs (needs Quarto)
	OMP_NUM_THREADS=1 $(BIN)/python -m ddpm_course.site
	PATH="$(CURDIR)/$(BIN):$$PATH" OMP_NUM_THREADS=1 $(BIN)/nbdev-docs $(ARGS)
	$(BIN)/python -m ddpm_course.site.measure _docs

slides: quarto $(BIN)/installed-dev ## build a deck of slides for each part in _docs/slides (needs Quarto)
	rm -rf _slides
	$(BIN)/python -m ddpm_course.site.slides _slides
	PATH="$(CURDIR)/$(BIN):$$PATH" quarto render _slides
	@mkdir -p _docs/slides
	cp _slides/rendered/*.html _docs/slides

chapter: $(BIN)/installed-dev ## NAME=17_adams: a new chapter from the template
	$(BIN)/python -m ddpm_course.site.chapter $(NAME)

quarto:
	@command -v quarto >/dev/null || { echo "this needs Quarto 1.7 or later on the PATH: https://quarto.org/docs/get-started/" >&2; exit 1; }

$(BIN)/pip:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { echo "$(PYTHON) is not Python 3.11 or later; name another with make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv .venv || { $(PYTHON) -m venv --without-pip .venv && $(PYTHON) -m pip --python .venv install pip; } # Debian may lack ensurepip

$(BIN)/installed: settings.ini setup.py pyproject.toml | $(BIN)/pip
	$(BIN)/pip install -e .
	@touch $@

$(BIN)/installed-dev: settings.ini setup.py pyproject.toml | $(BIN)/pip
	$(BIN)/pip install -e ".[dev]"
	@touch $@ $(BIN)/installed

.PHONY: help demo test lab bench conformance docs slides chapter quarto
