/* SPDX-License-Identifier: ISC
 * supervise: one filter program over one message: runs it, waits for its end,
 * and ends all that it leaves behind.  A process of its own, a child of keeper,
 * outside of the sandbox, as posternf.
 */
#ifndef FILTER_SUPERVISE_H
#define FILTER_SUPERVISE_H

#include "common/facts.h"
#include "filter/command.h"

struct supervise {
	const struct command *command;
	const char *queue;  /* path of postern-queue */
	uint64_t processes; /* RLIMIT_NPROC of the program; 0: as it is */
	uid_t also;	    /* as command_check */
	uint32_t slot;
	int timeout_ms;
	struct facts facts;
	int body_fd, envelope_fd;
	int answer_fd; /* SOCK_SEQPACKET to the role */
	int signal_fd; /* of SIGCHLD and SIGTERM, both blocked */
	pid_t keeper;  /* its parent */
};

/* Sends `X` u32 slot, u8 verdict, u8 result (outcome.h), str text, str why, and
 * exits 0; on SIGTERM and when its parent is gone it ends all of its own and
 * exits 111 without. */
_Noreturn void supervise(const struct supervise *);

#endif
