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

golden: ## accept what is rendered: rewrite every golden file
	$(GO) test ./apps -run TestGolden -update
	$(GO) test ./render/check/report -run TestRulesPage -update
	cd examples/data && $(GO) test . -run TestGolden -update

fresh: golden ## fail where a golden file was not what is rendered
	@git --no-pager diff --exit-code -- golden examples
	@test -z "$$(git status --porcelain -- golden examples)" || { git status --porcelain -- golden examples; exit 1; }

lint: ## check formatting, vet, staticcheck
	@test -z "$$(gofmt -l .)" || { echo "gofmt would change:"; gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

bench: ## run the Go benchmarks, in the form that benchstat reads
	$(GO) test ./render/... -run '^$$' -bench . -benchmem -count 6

bench-peers: ## compare with kustomize and helm, which are built here
	$(GO) run ./bench

e2e: ## apply and deploy to a real kube-apiserver, and sign in to a real app: all are built here
	cd e2e && $(GO) test -count=1 -parallel 6 .
	cd e2e/signin && $(GO) test -count=1

ci: ## everything that must hold before a change lands
	bash .ci/run
