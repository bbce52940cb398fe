/* SPDX-License-Identifier: ISC
 * child: postern-become's requests in work and the processes that came of them,
 * and those who wait for an answer.  For become.c alone.
 */
#ifndef SEND_CHILD_H
#define SEND_CHILD_H

#include "common/limits.h"
#include "common/loop.h"
#include "send/account.h"

enum {
	/* requests in work and processes that run, some that are ending too:
	 * of each kind so many, that none takes the room of another */
	LOCALS_MAX = LIMIT_LOCALS + LIMIT_PARKED + 100,
	RUNNERS_MAX = LOCALS_MAX,
	POP3DS_MAX = LIMIT_POP3 + 100,
	REFUSED_MAX = 64,
	CHILDREN = LOCALS_MAX + RUNNERS_MAX + POP3DS_MAX + REFUSED_MAX,
	CHILD_PID_DUE = -1
};

enum child_kind {
	CHILD_FREE,
	CHILD_LOCAL,
	CHILD_RUNNER, /* of a local's programs */
	CHILD_POP3D,
	CHILD_REFUSED,
	CHILD_KINDS
};

struct child {
	enum child_kind kind;
	pid_t pid; /* 0: none, or reaped; CHILD_PID_DUE: not told yet */
	unsigned starts;
	struct watch status;  /* fd -1: it runs, or it is known why not */
	struct watch control; /* to a local; fd -1: it has ended */
	bool asked, resumed;  /* qmgr waits for its job socket */
	int job_fd, qmgr_fd;  /* both ends, until the local has taken one */
	uint64_t key;
	char due; /* what is to be answered: A F to qmgr, K Z to userd; or 0 */
	enum verdict verdict;
	const char *text; /* of F and Z; lives for ever */
	struct account account;
	bool is_owner;
};

/* Who waits for answers; requests are read only while there is a place, so this
 * is no common/link. */
struct asker {
	struct watch watch; /* fd -1: down */
	bool blocked;	    /* the other side takes no more */
	bool end_due;	    /* E is to follow the resumed ones */
};

extern struct asker qmgr, userd;
extern struct child children[CHILDREN];

/* May there be one more of that kind? */
bool child_has_room(enum child_kind);
/* A place.  Without room for its kind it may find none, which is a bug. */
struct child *child_new(enum child_kind, uint64_t key);
/* Frees the place when nothing is left: no process, descriptor or answer. */
void child_free_if_over(struct child *);
/* Nobody waits for its job socket any more. */
void child_forget_request(struct child *);
/* Whose process that is, or NULL. */
struct child *child_find_pid(pid_t);
/* The running local of this account, or NULL. */
struct child *child_find_local(const struct account *, bool is_owner);
/* The account's runners of programs. */
size_t child_runners(const struct account *);

/* Says how its process ended, unless it was well. */
void child_log_end(const struct child *, int status);

/* Stops watching and closes. */
void child_drop_watch(struct watch *);
/* Its link is down; its requests are forgotten, their processes go on. */
void asker_lose(struct asker *);
/* Sends every answer that is due, as far as its link takes them. */
void asker_answer_all(struct asker *);
/* Answers a request now or when the link takes it.  May free the child, unless
 * it has a process or a descriptor. */
void asker_answer(
    struct child *, struct asker *, char type, enum verdict, const char *text);
/* Answers a request that made no process: F to qmgr, Z to userd. */
void asker_refuse(struct asker *, uint64_t key, enum verdict, const char *text);

#endif
