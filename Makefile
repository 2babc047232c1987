# The commands of this repository. `make help` lists them.

GO ?= go
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.7.0

.PHONY: help render test golden fresh lint bench bench-peers e2e ci

help: ## print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

render: ## write the production manifests to out/
	$(GO) run ./cmd/render -o out

test: ## run all tests
	$(GO) test ./...

golden: ## accept what is rendered: run every golden test that there is with -update
	@failed=0; for dir in $$(grep -rl --include='*_test.go' 'flag.Bool("update"' . | xargs -n 1 dirname | sort -u); do \
	  (cd $$dir && $(GO) test . -run '^TestGolden' -update) || failed=1; \
	done; exit $$failed

fresh: ## fail where a golden file is not what is rendered
	@state() { git status --porcelain; git diff; }; before=$$(state); \
	$(MAKE) --no-print-directory golden && [ "$$(state)" = "$$before" ] || { git --no-pager diff; git status --short; exit 1; }

lint: ## check formatting, vet, staticcheck
	@test -z "$$(gofmt -l .)" || { echo "gofmt would change:"; gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

bench: ## run the Go benchmarks, in the form that benchstat reads
	$(GO) test ./render/... -run '^$$' -bench . -benchmem -count 6

bench-peers: ## compare with kustomize and helm, which are built here
	$(GO) run ./internal/bench

e2e: ## apply and deploy to a real kube-apiserver, ask a real Traefik, run the workflow, and sign in to a real app: all are built here
	cd e2e && $(GO) test -count=1 -parallel 6 -timeout 30m .
	cd e2e && $(GO) test -count=1 ./workflow
	cd e2e/signin && $(GO) test -count=1

ci: ## everything that must hold before a change lands
	bash .ci/run
