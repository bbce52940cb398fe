PROGS += postern-start postern-listen
postern-start_OBJS := $(addprefix start/,start.o plan.o family.o link.o \
	spawn.o rolesfile.o open.o sockets.o endpoint.o accounts.o caps.o \
	orphans.o)
postern-listen_OBJS := $(addprefix start/,listen.o admit.o handover.o limit.o)
