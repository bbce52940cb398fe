# check-torture: the torture matrix with the large messages through every way
# in, and ten times the random line ends (SEED=N).  As root.
check-torture: all
	POSTERN_BUILD=$(abspath $(B)) POSTERN_BIN=$(abspath $(B))/bin TORTURE=all \
		SEED=$(or $(SEED),5) /usr/bin/python3 -m pytest -q \
		-p no:cacheprovider --tb=short tests/interop/test_torture.py
.PHONY: check-torture
