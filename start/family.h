/* SPDX-License-Identifier: ISC
 * family: what postern-start knows of the roles that it runs.
 */
#ifndef FAMILY_H
#define FAMILY_H

#include "common/loop.h"
#include "start/endpoint.h"
#include "start/plan.h"

enum { FAMILY_ROLES = 16, FAMILY_LINKS = 32, FAMILY_OLD = 16 };

enum family_state {
	FAMILY_DOWN,	 /* not running; started at due_ms */
	FAMILY_STARTING, /* runs, has not said that it is ready */
	FAMILY_READY
};

struct child {
	const struct plan_role *plan;
	/* What it is born with; opened once, kept over restarts. */
	uid_t uid;
	gid_t gid;
	int program_fd; /* of the binary */
	int dir_fd;	/* -1: none */
	int sockets[PLAN_SOCKETS];
	size_t socket_count;
	bool passed; /* its TCP sockets came from the supervisor */
	struct endpoint listens[PLAN_SOCKETS]; /* else: what was configured */
	size_t listen_count;
	bool unwanted; /* plan->only_with says nothing, or plan->tcp none */
	/* The process that runs now. */
	enum family_state state;
	pid_t pid; /* 0: none */
	struct watch channel;
	int64_t born_ms, due_ms; /* clock_mono_ms */
	int64_t since;		 /* seconds since 1970 */
	unsigned fails;		 /* early deaths in a row */
	unsigned restarts;
	unsigned landlock; /* the version it said it is confined by; 0: none */
};

/* A template that has been replaced and ends by itself. */
struct old_child {
	pid_t pid; /* 0: this place is free */
	const struct plan_role *plan;
	int channel_fd;
};

struct family {
	struct child roles[FAMILY_ROLES];
	size_t count;
	struct old_child old[FAMILY_OLD];
	bool linked[FAMILY_LINKS];
	int control_dirfd, run_dirfd;
	const char *root; /* POSTERN_ROOT, or NULL */
	bool one_user;	  /* not started by root */
	bool changed;	  /* run/roles is out of date */
	bool stopping;
	enum plan_stage stage; /* of stopping */
	int64_t stage_until_ms;
	int accounts_fd;   /* the newest snapshot, or -1 */
	bool accounts_due; /* userd has not got it yet */
};

/* ---- family.c: life and death ---- */

/* Starts what is down and due, moves a stop on; the longest wait in ms until
 * it must be called again, or -1.  When all have gone after a stop: -2. */
int family_turn(struct family *);
/* Reaps every ended process. */
void family_reap(struct family *);
/* Residents read their configuration again, templates are replaced.  What is
 * wanted no more ends by itself. */
void family_reload(struct family *);
/* Looks which roles the configuration wants. */
void family_want(struct family *);
void family_stop(struct family *);
/* NULL when there is no such role. */
struct child *family_find(struct family *, const char *name);

/* ---- links.c ---- */

/* Makes every link whose two ends are ready; false when one must be tried
 * again soon. */
bool links_make(struct family *);
/* The role died: its links are gone. */
void links_forget(struct family *, const struct child *);

/* ---- spawn.c ---- */

/* Runs the role's program; sets pid and channel.fd.  0, or -1 with errno. */
int spawn(const struct family *, struct child *);

/* ---- rolesfile.c ---- */

/* Writes run/roles: a line per role, "name pid user restarts state since
 * landlock". */
void rolesfile_write(const struct family *);

#endif
