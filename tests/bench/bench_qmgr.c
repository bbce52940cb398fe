/* SPDX-License-Identifier: ISC
 * bench_qmgr: how many messages a second postern-qmgr schedules, with played
 * neighbours that do nothing: note, question, job, report, mark,
 * acknowledgement.
 *
 *	bench_qmgr PATH-OF-postern-qmgr CONTROL-DIRECTORY [MESSAGES [WAITING]]
 *
 * With WAITING, so many messages (one recipient each, all distinct) are first
 * told and deferred, and the memory that each takes is printed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/io.h"
#include "common/packet.h"

enum { QUEUED, USERD, BECOME, DIAL, REMOTE, BOUNCE, LOCAL, LINKS };
enum { AHEAD = 500 };

static const char *const names[] = { "queued", "userd", "become", "dial",
	"remote", "bounce" };
static int links[LINKS];
static char in[PACKET_MAX], space[PACKET_MAX];
static struct buf out;
static uint64_t noted, done, wanted, first_id;
static int body = -1;
static bool remote_only;

static void
check(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	_exit(1);
}

static void
say(int to, int fd)
{
	struct pollfd p = { .fd = links[to], .events = POLLOUT };
	while (packet_send(links[to], buf_str(&out), &fd, fd < 0 ? 0 : 1) < 0) {
		check(errno == EAGAIN, "send");
		poll(&p, 1, -1);
	}
}

static void
note(void)
{
	char text[64];
	struct buf address = BUF_ON(text);
	buf_puts(&address, "some.user.");
	buf_put_u64(&address, noted);
	buf_puts(&address, remote_only ? "@far.example" : "@here.example");
	packet_begin(&out, 'N');
	packet_u64(&out, first_id + noted);
	packet_u64(&out, (uint64_t)clock_now());
	packet_u64(&out, 100);
	packet_u64(&out, 0);
	packet_u8(&out, 0);
	packet_str(&out, STR("alice@crepes.fr"));
	packet_str(&out, STR("session1"));
	packet_u32(&out, 1);
	packet_u32(&out, 0);
	packet_str(&out, buf_str(&address));
	say(QUEUED, remote_only ? -1 : body);
	noted++;
}

static void
on_queued(struct packet *p)
{
	if (p->type == 'O') {
		packet_begin(&out, 'o');
		packet_u64(&out, packet_get_u64(p));
		packet_u8(&out, 'K');
		packet_u64(&out, 0);
		packet_u64(&out, 100);
		packet_str(&out, STR(""));
		say(QUEUED, body);
		return;
	}
	if (p->type != 'M')
		return;
	uint32_t n = packet_get_u32(p);
	packet_begin(&out, 'm');
	packet_u32(&out, n);
	for (uint32_t i = 0; i < n; i++) {
		packet_u64(&out, packet_get_u64(p));
		packet_u32(&out, packet_get_u32(p));
		(void)packet_get_u8(p);
	}
	say(QUEUED, -1);
	done += n;
}

static void
on_become(struct packet *p)
{
	int pair[2];
	uint64_t key = packet_get_u64(p);
	check(io_pair(SOCK_SEQPACKET | SOCK_NONBLOCK, pair) == 0, "pair");
	packet_begin(&out, 'A');
	packet_u64(&out, key);
	packet_u8(&out, 0);
	packet_str(&out, STR(""));
	say(BECOME, pair[1]);
	close(pair[1]);
	links[LOCAL] = pair[0];
}

static void
on_job(struct packet *p)
{
	if (p->type != 'J')
		return;
	packet_begin(&out, 'R');
	packet_u32(&out, 1);
	packet_u64(&out, packet_get_u64(p));
	packet_u32(&out, 0);
	packet_u8(&out, 'K');
	packet_str(&out, STR("2.0.0 delivered"));
	say(LOCAL, -1);
}

static void
on_packet(int from, struct packet *p)
{
	if (from == QUEUED) {
		on_queued(p);
	} else if (from == USERD) {
		packet_begin(&out, 'V');
		packet_str(&out, STR("here.example/bob"));
		packet_str(&out, packet_get_str(p, 512));
		say(USERD, -1);
	} else if (from == BECOME) {
		on_become(p);
	} else if (from == DIAL) {
		packet_begin(&out, 'F');
		packet_u64(&out, packet_get_u64(p));
		packet_u8(&out, 'Z');
		packet_str(&out, STR("4.4.1 connection refused"));
		say(DIAL, -1);
	} else if (from == LOCAL) {
		on_job(p);
	}
}

static void
serve(int wait_ms)
{
	struct pollfd p[LINKS];
	for (int i = 0; i < LINKS; i++)
		p[i] = (struct pollfd){ .fd = links[i], .events = POLLIN };
	check(poll(p, LINKS, wait_ms) >= 0, "poll");
	for (int i = 0; i < LINKS; i++) {
		for (int n = 0; n < 64 && p[i].revents != 0; n++) {
			struct str bytes;
			int fds[PACKET_FDS];
			size_t nfds;
			int r = packet_recv(links[i], in, sizeof(in),
			    MSG_DONTWAIT, &bytes, fds, &nfds);
			if (r == 0) /* it closed an idle agent */
				io_close(&links[i]);
			if (r <= 0)
				break;
			packet_close_fds(fds, nfds);
			struct packet packet = packet_open(bytes);
			on_packet(i, &packet);
		}
	}
}

static pid_t
start(const char *program, const char *control, int *channel)
{
	int pair[2];
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int door = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	check(door >= 0 && bind(door, (struct sockaddr *)&at, 2) == 0 &&
		  listen(door, 1) == 0,
	    "door");
	check(io_pair(SOCK_SEQPACKET, pair) == 0, "pair");
	int dir = open(control, O_RDONLY | O_DIRECTORY);
	check(dir >= 0, control);
	pid_t pid = fork();
	check(pid >= 0, "fork");
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);
		dup2(pair[1], 30);
		dup2(dir, 31);
		dup2(door, 32);
		dup2(30, 3);
		dup2(31, 4);
		dup2(32, 6);
		dup2(null, 2);
		execl(program, program, (char *)NULL);
		_exit(127);
	}
	close(pair[1]);
	*channel = pair[0];
	return pid;
}

static long
resident_kib(pid_t pid)
{
	char path[64];
	long size = 0, resident = 0;
	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	FILE *f = fopen(path, "r");
	check(f != NULL && fscanf(f, "%ld %ld", &size, &resident) == 2, path);
	fclose(f);
	return resident * 4;
}

static void
fill(pid_t pid, uint64_t waiting)
{
	long before = resident_kib(pid);
	int64_t began = clock_mono_ms();
	remote_only = true;
	while (noted < waiting) {
		note();
		if (noted % 256 == 0)
			serve(0);
	}
	for (int quiet = 0; quiet < 20; quiet++)
		serve(100);
	long grown = resident_kib(pid) - before;
	printf("waiting    %ju messages in %.1f s: %ld KiB, %ld bytes each\n",
	    (uintmax_t)waiting, (double)(clock_mono_ms() - began) / 1000, grown,
	    (long)((uint64_t)grown * 1024 / waiting));
	remote_only = false;
}

int
main(int argc, char **argv)
{
	int channel;
	out = BUF_ON(space);
	if (argc < 3)
		return 100;
	wanted = argc > 3 ? strtoull(argv[3], NULL, 10) : 100000;
	uint64_t waiting = argc > 4 ? strtoull(argv[4], NULL, 10) : 0;
	first_id = (uint64_t)clock_now_us();
	body = memfd_create("body", MFD_CLOEXEC);
	check(body >= 0 && ftruncate(body, 100) == 0, "memfd");
	pid_t pid = start(argv[1], argv[2], &channel);
	check(packet_recv(channel, in, sizeof(in), 0, &(struct str){ 0 },
		  (int[PACKET_FDS]){ 0 }, &(size_t){ 0 }) == 1,
	    "qmgr did not start");
	links[LOCAL] = -1;
	for (int i = 0; i < LOCAL; i++) {
		int pair[2];
		check(
		    io_pair(SOCK_SEQPACKET | SOCK_NONBLOCK, pair) == 0, "pair");
		packet_begin(&out, 'L');
		packet_str(&out, str_of(names[i]));
		check(packet_send(channel, buf_str(&out), &pair[1], 1) == 0,
		    "channel");
		close(pair[1]);
		links[i] = pair[0];
	}
	packet_begin(&out, 'E');
	say(QUEUED, -1);
	say(BECOME, -1);
	say(REMOTE, -1);
	if (waiting > 0)
		fill(pid, waiting);
	uint64_t target = noted + wanted;
	uint64_t base = noted;
	int64_t began = clock_mono_ms();
	done = 0;
	while (done < wanted) {
		while (noted < target && noted - base - done < AHEAD)
			note();
		serve(100);
	}
	double seconds = (double)(clock_mono_ms() - began) / 1000;
	close(channel);
	struct rusage used;
	check(wait4(pid, NULL, 0, &used) == pid, "wait4");
	double cpu =
	    (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
	    (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
	printf("delivered  %ju messages in %.2f s: %.0f a second; qmgr's own "
	       "processor time %.1f us each\n",
	    (uintmax_t)wanted, seconds, (double)wanted / seconds,
	    cpu * 1e6 / (double)(wanted + waiting));
	return 0;
}
