# The front door. `make demo` and `make test` are all that a newcomer needs; both install
# what they use. Everything that is built stays in the cache, keyed by what it is built from.
SHELL := /bin/sh
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/portsip-ha
export CARGO_TARGET_DIR ?= $(CACHE)/target

CARGO_DEB_VERSION := 3.8.0
CARGO_DEB := $(CACHE)/tools/cargo-deb-$(CARGO_DEB_VERSION)/bin/cargo-deb
LAB := $(CARGO_TARGET_DIR)/release/lab
DEB := $(CARGO_TARGET_DIR)/debian/portsip-ha.deb
AGENTS := awsebs awseip awsipsrcaddr awsvip pbx
export PORTSIP_HA_DEB := $(DEB)
export PORTSIP_HA_BIN := $(CARGO_TARGET_DIR)/release

.PHONY: demo test bench deb man lab lint build deps clean help

help:
	@echo 'make demo   a three-node cluster, a power cut, a verdict (KEEP=1 leaves the lab up)'
	@echo 'make test   everything that is checked before a change lands'
	@echo 'make bench  what cib-gen and the agents cost, the agents beside those that they replace'
	@echo '            (README=README.md writes it there)'
	@echo 'make deb    the package for Ubuntu 24.04 and Debian 12'
	@echo 'make lab    the command `lab`: make lab && $(LAB) --help'
	@echo 'make clean  remove what was built, the node images too'

demo: deb
	$(LAB) demo --deb $(DEB) $(if $(KEEP),--keep)

test: lint deb
	$(LAB) image
	cargo test --locked --workspace

bench: deb
	$(LAB) bench-renderings $(if $(README),--readme $(README))
	$(LAB) bench --deb $(DEB) $(if $(README),--readme $(README))

lint: deps
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --quiet

build: deps
	cargo build --locked --release --workspace

lab: build
	@echo $(LAB)

deb: build man $(CARGO_DEB)
	@mkdir -p $(dir $(DEB))
	$(CARGO_DEB) deb --no-build --no-strip -p portsip-ha-agents --output $(DEB)
	packaging/check-deb $(DEB)

# Manual pages and completions. The pages bear the date of the package's version.
man: build
	cd $(PORTSIP_HA_BIN) && \
	date=$$(date -u -d "$$(dpkg-parsechangelog -l $(CURDIR)/packaging/debian/changelog -S Date)" +%F) && \
	./portsip-ha-man agents --date "$$date" man $(addprefix ./,$(AGENTS)) && \
	./portsip-ha-man command --date "$$date" man && \
	./portsip-ha-man completions completions
	gzip -9nf $(PORTSIP_HA_BIN)/man/*.[17]

$(CARGO_DEB):
	cargo install cargo-deb --version $(CARGO_DEB_VERSION) --locked --no-default-features \
		--root $(CACHE)/tools/cargo-deb-$(CARGO_DEB_VERSION)

deps:
	@packaging/install-build-dependencies

clean:
	-test ! -x $(LAB) || $(LAB) down
	rm -rf $(CACHE)
