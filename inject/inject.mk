# postern-inject, and what it shares with postern-sendmail
PROGS += postern-inject
INJECT_PURE := inject/token.o inject/utf8.o inject/words.o inject/addrlist.o \
	inject/field.o inject/compose.o inject/text.o inject/qp.o \
	inject/envelope.o inject/outcome.o
INJECT_LETTER := inject/letter.o inject/handoff.o inject/caller.o \
	$(INJECT_PURE)
postern-inject_OBJS := inject/inject.o $(INJECT_LETTER)
