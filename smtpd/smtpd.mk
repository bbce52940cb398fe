PROGS += postern-smtpd
smtpd_PURE := smtpd/command.o smtpd/data.o smtpd/line.o smtpd/received.o \
	smtpd/reply.o smtpd/session.o
postern-smtpd_OBJS := smtpd/smtpd.o smtpd/serve.o smtpd/net.o smtpd/stream.o \
	$(smtpd_PURE)
