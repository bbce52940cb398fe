/* SPDX-License-Identifier: ISC
 * runner: contract in runner.h.  Runs as the user whose .qmail names the
 * programs; outside of the sandbox, because a program is the user's own.
 */
#include "send/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/die.h"
#include "common/io.h"
#include "common/log.h"
#include "common/packet.h"
#include "common/privs.h"

enum {
	ENVIRONMENT_VARS = 40,
	COPY_CHUNK = 64 * 1024,
	OUTPUT_MAX = 700 /* of a program, kept for the report */
};

struct program {
	pid_t pid; /* 0: this place is free */
	int pidfd, out_fd;
	uint32_t slot;
	int64_t deadline; /* monotonic ms */
	bool timed_out;
	size_t n;
	char out[OUTPUT_MAX];
};

static struct program programs[RUNNER_PROGRAMS];
static char packet_space[PACKET_MAX];

/* ---- the caller's side ---- */

int
runner_send(int fd, struct buf *b, const struct runner_request *r)
{
	packet_begin(b, 'P');
	packet_u32(b, r->slot);
	packet_u64(b, r->offset);
	packet_u64(b, r->size);
	packet_str(b, r->command);
	packet_str(b, r->environment);
	if (b->full) {
		errno = EMSGSIZE;
		return -1;
	}
	return packet_send(fd, buf_str(b), &r->body_fd, 1);
}

int
runner_receive(int fd, char *storage, size_t cap, struct runner_answer *a)
{
	struct str bytes;
	int fds[PACKET_FDS];
	size_t nfds;
	int n = packet_recv(fd, storage, cap, MSG_DONTWAIT, &bytes, fds, &nfds);
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0)
		return -1;
	packet_close_fds(fds, nfds);
	struct packet p = packet_open(bytes);
	a->slot = packet_get_u32(&p);
	uint8_t verdict = packet_get_u8(&p);
	a->stop = packet_get_u8(&p) != 0;
	a->text = packet_get_str(&p, RUNNER_TEXT);
	a->verdict = verdict == VERDICT_OK     ? VERDICT_OK
		     : verdict == VERDICT_FAIL ? VERDICT_FAIL
					       : VERDICT_DEFER;
	return p.type == 'X' && packet_end(&p) ? 1 : -1;
}

enum verdict
runner_verdict(int status, bool *stop)
{
	*stop = false;
	if (!WIFEXITED(status))
		return VERDICT_DEFER;
	switch (WEXITSTATUS(status)) {
	case 0:
		return VERDICT_OK;
	case 99:
		*stop = true;
		return VERDICT_OK;
	case 100: /* these are permanent: qmail-command(8), sysexits(3) */
	case 64:
	case 65:
	case 70:
	case 76:
	case 77:
	case 78:
	case 112:
		return VERDICT_FAIL;
	default:
		return VERDICT_DEFER;
	}
}

/* ---- in the program's process, before it is the program ---- */

/* The message as a file of the program's own: it may seek and read as it likes
 * without disturbing the other readers of the queue's descriptor. */
static int
private_copy(int fd, uint64_t offset, uint64_t size)
{
	static char chunk[COPY_CHUNK];
	int copy = memfd_create("message", MFD_CLOEXEC);
	uint64_t done = 0;
	while (copy >= 0 && done < size) {
		uint64_t left = size - done;
		size_t n = left < sizeof(chunk) ? (size_t)left : sizeof(chunk);
		int64_t got = io_pread_all(fd, chunk, n, offset + done);
		if (got <= 0 || io_write_all(copy, (struct str){ .p = chunk,
						       .n = (size_t)got }) < 0)
			return -1;
		done += (uint64_t)got;
	}
	if (copy < 0 || lseek(copy, 0, SEEK_SET) < 0)
		return -1;
	return copy;
}

/* Strings that are ended by NUL in `block`, as execve wants them. */
static bool
split_environment(char *block, size_t n, char **vars, size_t max)
{
	size_t count = 0, at = 0;
	while (at < n && count + 1 < max) {
		vars[count++] = block + at;
		at += strlen(block + at) + 1;
	}
	vars[count] = NULL;
	return at == n;
}

static _Noreturn void
become_program(int body_fd, uint64_t offset, uint64_t size, int out_fd,
    struct str command, struct str environment)
{
	static char command_text[PACKET_MAX], environment_text[PACKET_MAX];
	static char *vars[ENVIRONMENT_VARS];
	struct buf c = BUF_ON(command_text);
	buf_put(&c, command);
	memcpy(environment_text, environment.p, environment.n);
	int in = private_copy(body_fd, offset, size);
	if (in < 0 || buf_cstr(&c) == NULL || environment.n == 0 ||
	    environment.p[environment.n - 1] != '\0' ||
	    !split_environment(
		environment_text, environment.n, vars, N_ELEMENTS(vars)) ||
	    setsid() < 0 || dup2(in, STDIN_FILENO) < 0 ||
	    dup2(out_fd, STDOUT_FILENO) < 0 || dup2(out_fd, STDERR_FILENO) < 0)
		_exit(EXITCODE_TEMPORARY);
	char shell[] = "/bin/sh", option[] = "-c";
	char *argv[] = { shell, option, command_text, NULL };
	execve(shell, argv, vars);
	_exit(EXITCODE_TEMPORARY);
}

/* ---- the runner ---- */

static struct program *
free_program(void)
{
	for (size_t i = 0; i < RUNNER_PROGRAMS; i++)
		if (programs[i].pid == 0)
			return &programs[i];
	return NULL;
}

static void
answer(int fd, uint32_t slot, enum verdict verdict, bool stop, struct str text)
{
	char space[RUNNER_TEXT + 64];
	struct buf b = BUF_ON(space);
	packet_begin(&b, 'X');
	packet_u32(&b, slot);
	packet_u8(&b, (uint8_t)verdict);
	packet_u8(&b, stop ? 1 : 0);
	packet_str(&b, text);
	/* few and small: this fits, or local is gone and nobody asks */
	if (packet_send(fd, buf_str(&b), NULL, 0) < 0)
		_exit(EXITCODE_TEMPORARY);
}

static int
launch(struct program *g, int body_fd, uint64_t offset, uint64_t size,
    struct str command, struct str environment)
{
	int out[2];
	if (pipe2(out, O_CLOEXEC) < 0)
		return -1;
	pid_t pid = fork();
	if (pid == 0)
		become_program(
		    body_fd, offset, size, out[1], command, environment);
	close(out[1]);
	int pidfd = pid < 0 ? -1 : pidfd_open(pid, 0);
	if (pidfd < 0 || io_nonblock(out[0], true) < 0 ||
	    io_cloexec(pidfd, true) < 0) {
		close(out[0]);
		if (pid > 0) {
			(void)kill(pid, SIGKILL);
			(void)waitpid(pid, NULL, 0);
		}
		return -1;
	}
	g->pid = pid;
	g->pidfd = pidfd;
	g->out_fd = out[0];
	g->n = 0;
	g->timed_out = false;
	return 0;
}

static void
take_request(int fd, int timeout_ms)
{
	struct str bytes;
	int fds[PACKET_FDS];
	size_t nfds;
	int n = packet_recv(fd, packet_space, sizeof(packet_space),
	    MSG_DONTWAIT, &bytes, fds, &nfds);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) { /* local is gone: so is whoever wants to know */
		for (size_t i = 0; i < RUNNER_PROGRAMS; i++)
			if (programs[i].pid > 0)
				(void)kill(-programs[i].pid, SIGKILL);
		_exit(EXITCODE_DONE);
	}
	struct packet p = packet_open(bytes);
	uint32_t slot = packet_get_u32(&p);
	uint64_t offset = packet_get_u64(&p);
	uint64_t size = packet_get_u64(&p);
	struct str command = packet_get_str(&p, PACKET_MAX - 1);
	struct str environment = packet_get_str(&p, PACKET_MAX);
	if (p.type != 'P' || !packet_end(&p) || nfds != 1)
		_exit(EXITCODE_TEMPORARY);
	struct program *g = free_program();
	if (g == NULL ||
	    launch(g, fds[0], offset, size, command, environment) < 0) {
		answer(fd, slot, VERDICT_DEFER, false,
		    STR("4.3.0 the program could not be started"));
	} else {
		g->slot = slot;
		g->deadline = clock_mono_ms() + timeout_ms;
	}
	packet_close_fds(fds, nfds);
}

/* Takes what the program says; what is too much is thrown away.  False at the
 * end of its output. */
static bool
take_output(struct program *g)
{
	char rest[512];
	for (;;) {
		bool keeps = g->n < sizeof(g->out);
		ssize_t n = keeps ? read(g->out_fd, g->out + g->n,
					sizeof(g->out) - g->n)
				  : read(g->out_fd, rest, sizeof(rest));
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		if (n == 0)
			return false;
		if (keeps)
			g->n += (size_t)n;
	}
}

static void
put_end(struct buf *b, const struct program *g, int status)
{
	if (g->timed_out) {
		buf_puts(b, "program was stopped: it took too long");
	} else if (WIFSIGNALED(status)) {
		buf_puts(b, "program was killed by signal ");
		buf_put_u64(b, (uint64_t)WTERMSIG(status));
	} else {
		buf_puts(b, "program exited with ");
		buf_put_u64(b, (uint64_t)WEXITSTATUS(status));
	}
}

static void
report(int fd, struct program *g, int status)
{
	bool stop;
	enum verdict verdict = runner_verdict(status, &stop);
	char space[RUNNER_TEXT], clean[OUTPUT_MAX];
	struct buf b = BUF_ON(space);
	buf_puts(&b, verdict == VERDICT_OK     ? "2.0.0 "
		     : verdict == VERDICT_FAIL ? "5.3.0 "
					       : "4.3.0 ");
	put_end(&b, g, status);
	for (size_t i = 0; i < g->n; i++)
		clean[i] = g->out[i] == '\n' ? '/' : g->out[i];
	while (g->n > 0 && clean[g->n - 1] == '/')
		g->n--;
	if (g->n > 0) {
		buf_puts(&b, ": ");
		log_safe(
		    &b, (struct str){ .p = clean, .n = g->n }, buf_room(&b));
	}
	answer(fd, g->slot, verdict, stop, buf_str(&b));
}

static void
reap(int fd, struct program *g)
{
	int status = 0;
	if (waitpid(g->pid, &status, WNOHANG) != g->pid)
		return;
	if (g->out_fd >= 0)
		(void)take_output(g);
	report(fd, g, status);
	io_close(&g->out_fd);
	io_close(&g->pidfd);
	g->pid = 0;
}

static int
expire(int64_t now)
{
	int64_t wait = -1;
	for (size_t i = 0; i < RUNNER_PROGRAMS; i++) {
		struct program *g = &programs[i];
		if (g->pid == 0 || g->timed_out)
			continue;
		if (g->deadline <= now) {
			g->timed_out = true;
			(void)kill(-g->pid, SIGKILL);
			(void)kill(g->pid, SIGKILL); /* before its setsid */
			continue;
		}
		if (wait < 0 || g->deadline - now < wait)
			wait = g->deadline - now;
	}
	return (int)wait;
}

static _Noreturn void
serve(int fd, int timeout_ms)
{
	for (;;) {
		struct pollfd p[1 + 2 * RUNNER_PROGRAMS];
		p[0] = (struct pollfd){ .fd = fd, .events = POLLIN };
		for (size_t i = 0; i < RUNNER_PROGRAMS; i++) {
			struct program *g = &programs[i];
			p[1 + 2 * i] =
			    (struct pollfd){ .fd = g->pid > 0 ? g->out_fd : -1,
				    .events = POLLIN };
			p[2 + 2 * i] =
			    (struct pollfd){ .fd = g->pid > 0 ? g->pidfd : -1,
				    .events = POLLIN };
		}
		int n = poll(p, N_ELEMENTS(p), expire(clock_mono_ms()));
		if (n < 0 && errno != EINTR)
			die(EXITCODE_TEMPORARY, "poll", errno);
		for (size_t i = 0; n > 0 && i < RUNNER_PROGRAMS; i++) {
			struct program *g = &programs[i];
			if (p[1 + 2 * i].revents != 0 && !take_output(g))
				io_close(&g->out_fd);
			if (p[2 + 2 * i].revents != 0)
				reap(fd, g);
		}
		if (n > 0 && p[0].revents != 0)
			take_request(fd, timeout_ms);
	}
}

void
runner_serve(int fd, int home_fd, int timeout_ms)
{
	privs_lock();
	for (size_t i = 0; i < RUNNER_PROGRAMS; i++)
		programs[i].out_fd = programs[i].pidfd = -1;
	/* keeps its socket and the log, nothing else */
	if (fchdir(home_fd) < 0 || dup2(fd, STDIN_FILENO) < 0 ||
	    io_cloexec(STDIN_FILENO, true) < 0 ||
	    io_nonblock(STDIN_FILENO, true) < 0 || close_range(3, ~0U, 0) < 0)
		die(EXITCODE_TEMPORARY, "the program runner", errno);
	serve(STDIN_FILENO, timeout_ms);
}
