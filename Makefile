# `make demo` and `make test` need nothing but Debian 12 and a Rust toolchain; everything else they install themselves.

PREFIX ?= /usr/local
DESTDIR ?=
CARGO ?= cargo
SYSCONFDIR ?= /etc

BINDIR = $(DESTDIR)$(PREFIX)/bin
LIBEXECDIR = $(DESTDIR)$(PREFIX)/libexec/ldm
DATADIR = $(DESTDIR)$(PREFIX)/share
LIBDIR = $(DESTDIR)$(PREFIX)/lib

.PHONY: all deps tools build demo gallery test lint bench install

all: build

# What building, the demo and the tests need from Debian. Safe to run again; quick when everything is there.
deps:
	scripts/deps.sh

# Foreign greeters for the tests, unpacked under target/tools.
tools: deps
	scripts/tools.sh

# The catalogues where the greeter looks for them that was built beside them.
build:
	$(CARGO) build --release --workspace --locked
	po/compile.sh target/share/locale

demo: deps
	scripts/demo.sh

# Every theme, main scenario, language and size as a picture: target/gallery/index.html. GALLERY="default de 1024x768" draws less,
# GALLERY="default de 1024x768 all-scenarios" every scenario of that.
gallery: deps
	$(CARGO) build -p ldm --bin ldm-greeter -p ldm-tests --bin ldm-gallery --locked
	target/debug/ldm-gallery $(GALLERY)

test: deps
	scripts/test.sh

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

bench: deps
	@if [ -x benches/run.sh ]; then exec benches/run.sh; else echo 'There are no benches here.' >&2; exit 1; fi

# Only copies what `make build` made, so that it can run as root without a toolchain.
install:
	install -D -m 0755 target/release/ldm $(BINDIR)/ldm
	install -D -m 0755 target/release/ldm-greeter $(LIBEXECDIR)/ldm-greeter
	install -D -m 0755 target/release/ldm-server-helper $(BINDIR)/ldm-server-helper
	ln -sf ldm-server-helper $(BINDIR)/ltsp-localapps
	ln -sf ldm $(BINDIR)/ltsp-remoteapps
	# Either program is right on either side; a package of the client alone links it to ldm.
	ln -sf ldm-server-helper $(BINDIR)/ltsp-open
	if [ -d themes ]; then find themes -type f | while read -r f; do install -D -m 0644 "$$f" "$(DATADIR)/ldm/$$f" || exit 1; done; fi
	install -d $(LIBDIR)/systemd/system
	sed 's|@PREFIX@|$(PREFIX)|g' packaging/systemd/ldm.service > $(LIBDIR)/systemd/system/ldm.service
	install -D -m 0644 packaging/sysusers.d/ldm.conf $(LIBDIR)/sysusers.d/ldm.conf
	install -D -m 0644 packaging/tmpfiles.d/ldm.conf $(LIBDIR)/tmpfiles.d/ldm.conf
	for f in packaging/pam.d/*; do install -D -m 0644 "$$f" $(DESTDIR)$(SYSCONFDIR)/pam.d/$${f##*/} || exit 1; done
	if [ ! -e $(DESTDIR)$(SYSCONFDIR)/ldm/lts.conf ]; then \
		install -D -m 0644 packaging/lts.conf $(DESTDIR)$(SYSCONFDIR)/ldm/lts.conf; fi
	for f in docs/man/*.[1-8]; do install -D -m 0644 "$$f" $(DATADIR)/man/man$${f##*.}/$${f##*/} || exit 1; done
	umask 022 && po/compile.sh $(DATADIR)/locale
