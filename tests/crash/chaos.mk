# Load of every kind while roles die and halt, the disk is full, the suite is
# stopped (MINUTES=30 SEED=1; GENTLE=1: nobody dies); as root.
chaos: all
	POSTERN_BUILD=$(abspath $(B)) tests/crash/chaos.py \
		$(if $(MINUTES),--minutes $(MINUTES)) \
		$(if $(SEED),--seed $(SEED)) $(if $(GENTLE),--gentle)
.PHONY: chaos
