# postern-dnsd: the DNS, through libunbound.
PROGS += postern-dnsd
postern-dnsd_OBJS := dns/dnsd.o dns/resolver.o dns/events.o dns/answer.o
postern-dnsd_LIBS := -lunbound
