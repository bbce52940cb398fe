# A bare Debian 12: install/setup and the package, for real (root, debootstrap).
check-install:
	/usr/bin/python3 tests/install/bare.py $(INSTALL)

.PHONY: check-install
