# postern-dnsd: the DNS, through libunbound.
PROGS += postern-dnsd
postern-dnsd_OBJS := dns/dnsd.o dns/resolver.o dns/events.o dns/answer.o
postern-dnsd_LIBS := -lunbound

TESTS += test_answer
test_answer_OBJS := tests/unit/test_answer.o dns/answer.o

FUZZ += fuzz_dns_answer
fuzz_dns_answer_OBJS := tests/fuzz/fuzz_dns_answer.o dns/answer.o
