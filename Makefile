# `make demo` and `make test` need nothing but Debian 12 and a Rust toolchain; everything else they install themselves.

PREFIX ?= /usr/local
DESTDIR ?=
CARGO ?= cargo
SYSCONFDIR ?= /etc

# A distribution's package (PREFIX=/usr) finds its units beside those of the system.
BINDIR = $(DESTDIR)$(PREFIX)/bin
SBINDIR = $(DESTDIR)$(PREFIX)/sbin
LIBEXECDIR = $(DESTDIR)$(PREFIX)/libexec
DATADIR = $(DESTDIR)$(PREFIX)/share
LIBDIR = $(DESTDIR)$(PREFIX)/lib

.PHONY: all deps tools build demo test lint bench install

all: build

# What building, the demo and the tests need from Debian. Safe to run again; quick when everything is there.
deps:
	scripts/deps.sh

# Foreign greeters for the tests, unpacked under target/tools.
tools: deps
	scripts/tools.sh

build:
	$(CARGO) build --release --workspace --locked

demo: deps
	scripts/demo.sh

test: deps
	scripts/test.sh

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

bench: deps
	@if [ -x benches/run.sh ]; then exec benches/run.sh; else echo 'There are no benches here.' >&2; exit 1; fi

# Only copies what `make build` made, so that it can run as root without a toolchain.
install:
	install -D -m 0755 target/release/ldm $(SBINDIR)/ldm
	install -D -m 0755 target/release/ldm-greeter $(LIBEXECDIR)/ldm-greeter
	install -D -m 0755 target/release/ldm-server-helper $(BINDIR)/ldm-server-helper
	if [ -d themes ]; then find themes -type f | while read -r f; do install -D -m 0644 "$$f" "$(DATADIR)/ldm/$$f" || exit 1; done; fi
	for f in packaging/systemd/*.service; do \
		if [ -e "$$f" ]; then install -d $(LIBDIR)/systemd/system && \
			sed 's|@PREFIX@|$(PREFIX)|g' "$$f" > $(LIBDIR)/systemd/system/$${f##*/}; fi; done
	for f in packaging/sysusers.d/*.conf packaging/sysusers/*.conf; do \
		if [ -e "$$f" ]; then install -D -m 0644 "$$f" $(LIBDIR)/sysusers.d/$${f##*/}; fi; done
	for f in packaging/tmpfiles.d/*.conf packaging/tmpfiles/*.conf; do \
		if [ -e "$$f" ]; then install -D -m 0644 "$$f" $(LIBDIR)/tmpfiles.d/$${f##*/}; fi; done
	for f in packaging/pam.d/*; do \
		if [ -e "$$f" ]; then install -D -m 0644 "$$f" $(DESTDIR)$(SYSCONFDIR)/pam.d/$${f##*/}; fi; done
	for f in packaging/ldm.conf packaging/etc/ldm.conf; do \
		if [ -e "$$f" ]; then install -D -m 0644 "$$f" $(DESTDIR)$(SYSCONFDIR)/ldm/ldm.conf; fi; done
	for f in docs/man/*.[1-8]; do \
		if [ -e "$$f" ]; then install -D -m 0644 "$$f" $(DATADIR)/man/man$${f##*.}/$${f##*/}; fi; done
	for f in po/*.po; do \
		if [ -e "$$f" ]; then lang=$${f##*/}; lang=$${lang%.po}; \
			install -d $(DATADIR)/locale/$$lang/LC_MESSAGES && \
			msgfmt -o $(DATADIR)/locale/$$lang/LC_MESSAGES/ldm.mo "$$f" || exit 1; fi; done
