/* SPDX-License-Identifier: ISC
 * localwork: what postern-local has taken on: jobs as they came from qmgr, and
 * for a system user one task for each recipient, which walks down the lines of
 * a .qmail file.  Knows Maildirs, reports and the runner; sockets to others are
 * local.c's.
 *
 * A recipient's lines are followed in their order, as in qmail.  Deliveries are
 * durable before a program that stands below them starts, and before a forward
 * is reported.  The whole file is checked before anything is done, so that a
 * line that can never work does not repeat those above it.
 */
#ifndef SEND_LOCALWORK_H
#define SEND_LOCALWORK_H

#include <sys/types.h>
#include "common/packet.h"
#include "send/dotqmail.h"
#include "send/maildir.h"
#include "send/reports.h"
#include "send/runner.h"

enum {
	LOCALWORK_JOBS = 1024, /* qmgr keeps at most half of that unreported */
	LOCALWORK_TASKS = 64,
	LOCALWORK_SEEN_BEFORE = 4 /* J's flag: may have been delivered */
};

struct localwork_job {
	unsigned tasks; /* that still need it */
	uint64_t id, birth;
	uint8_t flags;
	struct str sender;
	struct packet recipients; /* cursor before the first one */
	uint32_t count;
	struct maildir_body body;
	char storage[PACKET_MAX]; /* what the views above are views of */
};

enum task_state {
	TASK_FREE,
	TASK_READY,    /* may go on */
	TASK_WRITTEN,  /* waits for the commit of its files */
	TASK_WANTS,    /* waits for a place in the runner */
	TASK_RUNNING,  /* its program runs */
	TASK_FORWARDED /* reported; the addresses are kept until qmgr has them
			*/
};

struct localwork_task {
	enum task_state state;
	struct localwork_job *job; /* NULL once forwarded */
	uint64_t id;
	uint32_t idx;
	struct str address,
	    extension; /* views into the job; not when FORWARDED */
	char domain[LIMIT_DOMAIN + 1]; /* of the address */
	size_t domain_n;
	bool by_default, forwards_only, mixed;
	size_t matched;
	unsigned waiting; /* files in the commit to come */
	bool failed;
	enum verdict verdict; /* when failed */
	const char *text;
	size_t at, content_n;
	char content[DOTQMAIL_SIZE];
};

struct localwork {
	bool system_user;      /* else the owner of the virtual mailboxes */
	struct str user, home; /* of a system user */
	int base_fd;
	uid_t uid;
	int runner_fd;	   /* -1: none */
	bool wants_runner; /* and some task has a program */
	unsigned programs; /* that run now */
	size_t queue_n;	   /* jobs not begun, in order */
	size_t free_n;
	struct localwork_job *free[LOCALWORK_JOBS]; /* the last freed last */
	unsigned committed;			    /* files, ever */
	uint64_t committed_bytes;
	struct localwork_job *queue[LOCALWORK_JOBS];
	struct localwork_job jobs[LOCALWORK_JOBS];
	size_t tasks_n; /* behind these none was ever used: untouched pages */
	struct localwork_task tasks[LOCALWORK_TASKS];
	struct {
		uint64_t id;
		uint32_t idx;
		struct localwork_task *task;
	} aims[MAILDIR_FILES]; /* what the files of the coming commit are for */
	struct maildir maildir;
	struct reports reports;
	char packet[PACKET_MAX]; /* to the runner */
};

/* system_user, user, home, base_fd, uid and runner_fd have been set. */
void localwork_init(struct localwork *, struct str host);
/* A place for the next packet; NULL when all are taken. */
struct localwork_job *localwork_place(struct localwork *);
/* `bytes`, in the storage of a place, is a J with these descriptors, which it
 * takes.  False: it is none (the descriptors are closed, the place is free). */
bool localwork_take(struct localwork *, struct localwork_job *,
    struct str bytes, int *fds, size_t nfds);
/* Goes on with everything that can go on, and commits it. */
void localwork_run(struct localwork *);
/* There is no runner, and there will be none: programs are deferred. */
void localwork_no_runner(struct localwork *);
/* The runner has something to say (or is gone). */
void localwork_on_runner(struct localwork *);
/* Nothing is being done; reports may still be kept. */
bool localwork_is_idle(const struct localwork *);
/* qmgr has this report. */
void localwork_acknowledge(struct localwork *, uint64_t id, uint32_t idx);
/* The `W` for a task that is forwarded. */
void localwork_put_forward(
    const struct localwork *, const struct report *, struct buf *);
/* Calls each(arg, id, idx) for every recipient that is in work. */
void localwork_in_flight(const struct localwork *,
    void (*each)(void *arg, uint64_t id, uint32_t idx), void *arg);

/* ---- of localtask.c, for localwork.c only ---- */

/* Starts a recipient of a system user: it is READY, or a report was added. */
void localtask_begin(struct localwork *, struct localwork_task *,
    struct localwork_job *, uint32_t idx, struct str address,
    struct str extension);
/* Follows the lines as far as it can without waiting. */
void localtask_run(struct localwork *, struct localwork_task *);
/* Starts the program of a task that WANTS one. */
void localtask_start_program(struct localwork *, struct localwork_task *);
void localtask_program_ended(
    struct localwork *, struct localwork_task *, const struct runner_answer *);
/* Adds a file for a recipient (task may be NULL), with a commit before it when
 * there is no room.  0, or -1 with errno. */
int localwork_write(struct localwork *, struct localwork_job *,
    struct localwork_task *, uint32_t idx, struct str path, struct str address,
    bool search);
/* The task needs its job no more. */
void localwork_release(struct localwork *, struct localwork_task *);

#endif
