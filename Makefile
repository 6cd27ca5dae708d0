# The front door. `make demo` and `make test` are all that a newcomer needs; both install
# what they use. Everything that is built stays in the cache, keyed by what it is built from.
SHELL := /bin/sh
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/portsip-ha
export CARGO_TARGET_DIR ?= $(CACHE)/target

CARGO_DEB_VERSION := 3.8.0
CARGO_DEB := $(CACHE)/tools/cargo-deb-$(CARGO_DEB_VERSION)/bin/cargo-deb
NEXTEST_VERSION := 0.9.143
# The one on PATH, if there is one: building it takes minutes.
NEXTEST := $(or $(shell command -v cargo-nextest),$(CACHE)/tools/cargo-nextest-$(NEXTEST_VERSION)/bin/cargo-nextest)
# The lab waits more than it computes: as the tests build it, without the minutes of a release build.
LAB := $(CARGO_TARGET_DIR)/debug/lab
DEB := $(CARGO_TARGET_DIR)/debian/portsip-ha.deb
# Tests that the Debian of the nodes makes a difference to.
SUITES_DIFFER := binary(image) | binary(network) | binary(failover) | binary(lab) & test(/^lan::/)
AGENTS := awsebs awseip awsipsrcaddr awsvip pbx
# What is built for the package, but two agents, which are copies of a third.
PROGRAMS := awsebs awsipsrcaddr pbx cib-gen ha-ctl portsip-ha-man
LAB_PROGRAMS := lab measure bare-request
export PORTSIP_HA_DEB := $(DEB)
export PORTSIP_HA_BIN := $(CARGO_TARGET_DIR)/release

.PHONY: demo demo-lan test test-suites test-long bench deb man lab lint build deps checkout clean help

help:
	@echo 'make demo   a three-node cluster, a power cut, a verdict (KEEP=1 leaves the lab up)'
	@echo 'make demo-lan   the same on three machines of a LAN with DRBD (9, if PORTSIP_HA_DRBD_MODULES names its modules)'
	@echo 'make test   everything that is checked before a change lands'
	@echo 'make test-suites   the main job on Debian 12 and on Debian 13'
	@echo 'make test-long     what takes hours: the suites, long outages, everything several times'
	@echo 'make bench  what cib-gen and the agents cost, the agents beside those that they replace'
	@echo '            (README=docs/reference.md writes it there)'
	@echo 'make deb    the package for Ubuntu 24.04, Debian 13 and Debian 12'
	@echo 'make lab    the command `lab`: make lab && $(LAB) --help'
	@echo 'make clean  remove what was built, the node images too'

demo: deb lab
	$(LAB) demo --deb $(DEB) $(if $(KEEP),--keep)

# With DRBD 8.4, which the nodes' kernel has, or 9, if PORTSIP_HA_DRBD_MODULES names a directory of modules with it.
demo-lan: deb lab
	$(LAB) demo --lan --deb $(DEB) $(if $(KEEP),--keep)

test: lint deb $(NEXTEST)
	$(NEXTEST) nextest run --locked --workspace --no-run
	$(LAB) image
	$(NEXTEST) nextest run --locked --workspace

# The same main job on each Debian that nodes can have.
test-suites: deb lab $(NEXTEST)
	for suite in bookworm trixie; do \
		SUITE=$$suite $(LAB) image && \
		SUITE=$$suite $(NEXTEST) nextest run --locked --package lab -E '$(SUITES_DIFFER)' || exit 1; \
	done

# What takes longer than a change should wait for: outages of ten minutes, services restarted for as long on
# both Debians, a deployment and an update killed twenty times, scenarios five times, the lab's own life-cycle tests twenty times.
test-long: deb $(NEXTEST) test-suites
	PORTSIP_HA_OUTAGE_SECONDS=600 PORTSIP_HA_KILLS=20 $(NEXTEST) nextest run --locked --package lab --profile long
	SUITE=trixie PORTSIP_HA_OUTAGE_SECONDS=600 $(NEXTEST) nextest run --locked --package lab --profile long \
		-E 'binary(failover) & test(for_long)'
	for run in 1 2 3 4 5; do \
		$(NEXTEST) nextest run --locked --package lab -E 'binary(failover) & !test(outages) | binary(lab) & test(/^lan::/)' || exit 1; done
	for run in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do \
		$(NEXTEST) nextest run --locked --package lab -E 'binary(lab) & !test(/^lan::/) | binary(vpc)' || exit 1; done

# Measured by programs that cost little themselves, and beside the cib-gen of the package.
bench: deb
	cargo build --locked --release --workspace $(addprefix --bin ,$(LAB_PROGRAMS))
	$(PORTSIP_HA_BIN)/lab bench-renderings $(if $(README),--readme $(README))
	$(PORTSIP_HA_BIN)/lab bench --deb $(DEB) $(if $(README),--readme $(README))

lint: deps
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --quiet

# Each program with the AWS SDK takes minutes to link. Of the three agents with it, which are one program,
# only awsebs is linked; the other two are copies.
build: deps
	cargo build --locked --release --workspace $(addprefix --bin ,$(PROGRAMS))
	for agent in awseip awsvip; do \
		cp --remove-destination $(PORTSIP_HA_BIN)/awsebs $(PORTSIP_HA_BIN)/$$agent || exit 1; done

lab: deps
	cargo build --locked --workspace $(addprefix --bin ,$(LAB_PROGRAMS))
	@echo $(LAB)

# cargo-deb's compression looks back 8 MB, which is not as far as from one program with the SDK to its last copy.
deb: build man $(CARGO_DEB)
	@mkdir -p $(dir $(DEB))
	rm -rf $(DEB).d
	$(CARGO_DEB) deb --no-build --no-strip --fast -p portsip-ha-agents --output $(DEB).fast
	dpkg-deb --raw-extract $(DEB).fast $(DEB).d
	dpkg-deb --root-owner-group -Zxz -z9 --build $(DEB).d $(DEB)
	rm -rf $(DEB).d $(DEB).fast
	packaging/check-deb $(DEB)

# Manual pages and completions. The pages bear the date of the package's version.
man: build
	rm -rf $(PORTSIP_HA_BIN)/man $(PORTSIP_HA_BIN)/completions
	cd $(PORTSIP_HA_BIN) && \
	date=$$(date -u -d "$$(dpkg-parsechangelog -l $(CURDIR)/packaging/debian/changelog -S Date)" +%F) && \
	./portsip-ha-man agents --date "$$date" man $(addprefix ./,$(AGENTS)) && \
	./portsip-ha-man commands --date "$$date" man && \
	./portsip-ha-man completions completions
	gzip -9nf $(PORTSIP_HA_BIN)/man/*.[17]

$(CACHE)/tools/cargo-nextest-$(NEXTEST_VERSION)/bin/cargo-nextest:
	cargo install cargo-nextest --version $(NEXTEST_VERSION) --locked \
		--root $(CACHE)/tools/cargo-nextest-$(NEXTEST_VERSION)

$(CARGO_DEB):
	cargo install cargo-deb --version $(CARGO_DEB_VERSION) --locked --no-default-features \
		--root $(CACHE)/tools/cargo-deb-$(CARGO_DEB_VERSION)

deps: checkout
	@packaging/install-build-dependencies

# Cargo sees by the times of files only what it has to build, and not that another checkout, with other
# files and another path, built last. Its own crates are then built anew; the dependencies stay.
checkout:
	@mkdir -p $(CARGO_TARGET_DIR)
	@test "$$(cat $(CARGO_TARGET_DIR)/checkout 2>/dev/null)" = "$(CURDIR)" || \
	for profile in dev release; do \
		cargo clean --quiet --locked --profile $$profile \
			-p portsip-ha-agents -p cib-gen -p ec2 -p ha-ctl -p lab -p portsip-ha-man || exit 1; done
	@echo "$(CURDIR)" >$(CARGO_TARGET_DIR)/checkout

clean:
	-test ! -x $(LAB) || $(LAB) down
	rm -rf $(CACHE)
