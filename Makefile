# The front door. Meson and Ninja do the building; the targets here fetch what is missing and
# call the one script that knows each job.

BUILD ?= build
PREFIX ?= /usr/local
REGEX ?=
LIST ?=

.PHONY: all deps demo demo-clean check check-quick tempest soak bench fmt install deb docs clean help

all: deps $(BUILD)/build.ninja
	@ninja -C $(BUILD)

deps:
	@tools/deps build

$(BUILD)/build.ninja:
	@meson setup $(BUILD) --prefix=$(PREFIX)

demo:
	@demo/up

demo-clean:
	@demo/down

check:
	@tests/check

check-quick:
	@tests/check --quick

tempest: all
	@tests/tempest/run $(if $(REGEX),--regex '$(REGEX)') $(if $(LIST),--list '$(LIST)') $(TEMPEST_ARGS)

soak: all
	@YUN_BUILD=$(BUILD) YUN_SOAK_SECONDS=600 tests/e2e/soak

bench: all
	@tools/deps bench
	@tests/bench/run

fmt:
	@command -v clang-format >/dev/null || tools/deps test
	@find src tests -name '*.[ch]' | xargs clang-format -i

install: all
	@meson install -C $(BUILD) --no-rebuild

deb:
	@tools/deps build deb
	@tools/make-deb

docs: all
	@tools/api-coverage $(BUILD)/src/cmd/yund > docs/api-coverage.md

clean:
	@rm -rf $(BUILD)

help:
	@echo 'make               install missing build packages (root or sudo), build into $(BUILD)/'
	@echo 'make demo          a whole cloud on this machine, with a guest to log in to (root)'
	@echo 'make demo-clean    remove everything that make demo made'
	@echo 'make check         every test; ends with "N passed, N failed, N skipped" (root for real guests)'
	@echo 'make check-quick   the part of it that takes under five minutes'
	@echo 'make tempest REGEX=tempest.api.identity    Tempest against a throwaway cloud'
	@echo 'make tempest LIST=tests/tempest/scs-0128.load-list'
	@echo '                   TEMPEST_ARGS=--simulated takes simulated hosts in place of real guests'
	@echo 'make soak          ten minutes of several tenants, with kills'
	@echo 'make bench         measure, print a table with the limits, store it as JSON'
	@echo 'make fmt           clang-format on all C'
	@echo 'make install       install under PREFIX ($(PREFIX))'
	@echo 'make deb           the Debian package, into $(BUILD)-deb/'
	@echo 'make docs          write docs/api-coverage.md from the route tables'
