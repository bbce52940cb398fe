# postern-inject, and what it shares with postern-sendmail
PROGS += postern-inject
INJECT_PURE := inject/token.o inject/utf8.o inject/words.o inject/phrase.o \
	inject/addrlist.o inject/field.o inject/compose.o inject/text.o \
	inject/qp.o inject/envelope.o inject/outcome.o
INJECT_LETTER := inject/letter.o inject/handoff.o inject/caller.o \
	$(INJECT_PURE)
postern-inject_OBJS := inject/inject.o $(INJECT_LETTER)
TESTS += test_addrlist test_inject_text test_compose
test_addrlist_OBJS := tests/unit/test_addrlist.o $(INJECT_PURE)
test_inject_text_OBJS := tests/unit/test_inject_text.o $(INJECT_PURE)
test_compose_OBJS := tests/unit/test_compose.o $(INJECT_PURE)
FUZZ += fuzz_addrlist fuzz_compose fuzz_inject_text
fuzz_addrlist_OBJS := tests/fuzz/fuzz_addrlist.o $(INJECT_PURE)
fuzz_compose_OBJS := tests/fuzz/fuzz_compose.o $(INJECT_PURE)
fuzz_inject_text_OBJS := tests/fuzz/fuzz_inject_text.o $(INJECT_PURE)
