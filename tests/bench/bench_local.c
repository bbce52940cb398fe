/* SPDX-License-Identifier: ISC
 * bench_local: deliveries a second of a real postern-become and postern-local.
 * Plays postern-start and postern-qmgr; the message is one sealed memfd.
 *
 *	bench_local BIN MAILDIR [COUNT [BYTES]]
 *
 * BIN holds the programs; MAILDIR is an empty directory on the disk to measure
 * (as root it is given to posternm).  For 1, 8 and 64 jobs outstanding, to one
 * and to a hundred mailboxes; reports are acknowledged as qmgr does.
 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/die.h"
#include "common/io.h"
#include "common/packet.h"

static char space[PACKET_MAX];
static struct buf packet = { .p = space, .cap = sizeof(space) };
static char storage[PACKET_MAX];

static void
must(bool ok, const char *what)
{
	if (!ok)
		die(EXITCODE_TEMPORARY, what, errno);
}

static struct packet
receive(int fd, int *got_fd)
{
	struct str bytes;
	int fds[PACKET_FDS];
	size_t nfds;
	must(packet_recv(fd, storage, sizeof(storage), 0, &bytes, fds, &nfds) ==
		 1,
	    "an answer");
	if (got_fd != NULL && nfds == 1)
		*got_fd = fds[0];
	else
		packet_close_fds(fds, nfds);
	return packet_open(bytes);
}

static pid_t
start(const char *bin, const char *mail, int *channel, int *qmgr)
{
	int ends[2], link[2];
	char path[4096];
	(void)snprintf(path, sizeof(path), "%s/postern-become", bin);
	int dir = open(mail, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(dir >= 0 && io_pair(SOCK_SEQPACKET, ends) == 0 &&
		 io_pair(SOCK_SEQPACKET, link) == 0,
	    mail);
	pid_t pid = fork();
	if (pid == 0) {
		int from[] = { fcntl(ends[1], F_DUPFD, 20),
			fcntl(dir, F_DUPFD, 20), fcntl(dir, F_DUPFD, 20) };
		for (int i = 0; i < 3; i++)
			must(dup2(from[i], 3 + i) >= 0, "dup2");
		execl(path, path, (char *)NULL);
		die(EXITCODE_TEMPORARY, path, errno);
	}
	close(ends[1]);
	close(dir);
	must(receive(ends[0], NULL).type == 'R', "become's start");
	packet_begin(&packet, 'L');
	packet_str(&packet, STR("qmgr"));
	must(packet_send(ends[0], buf_str(&packet), &link[1], 1) == 0, "link");
	close(link[1]);
	must(receive(link[0], NULL).type == 'E', "E");
	*channel = ends[0];
	*qmgr = link[0];
	return pid;
}

static int
job_socket(int qmgr)
{
	int fd = -1;
	packet_begin(&packet, 'L');
	packet_u64(&packet, 1);
	packet_str(&packet, STR(""));
	must(packet_send(qmgr, buf_str(&packet), NULL, 0) == 0, "L");
	must(receive(qmgr, &fd).type == 'A' && fd >= 0, "A");
	must(io_nonblock(fd, false) == 0, "fcntl");
	must(receive(fd, NULL).type == 'E', "E of local");
	return fd;
}

static void
send_job(int jobs, uint64_t id, unsigned box, int body, uint64_t size)
{
	char address[64], target[64];
	(void)snprintf(address, sizeof(address), "u%u@x.org", box);
	(void)snprintf(target, sizeof(target), "x.org/u%u", box);
	packet_begin(&packet, 'J');
	packet_u64(&packet, id);
	packet_u64(&packet, id / 1000000);
	packet_u64(&packet, 0);
	packet_u64(&packet, size);
	packet_u8(&packet, 0);
	packet_str(&packet, STR("alice@crepes.fr"));
	packet_u32(&packet, 1);
	packet_u32(&packet, 0);
	packet_str(&packet, str_of(address));
	packet_str(&packet, str_of(target));
	must(packet_send(jobs, buf_str(&packet), &body, 1) == 0, "J");
}

/* Reads a packet of reports and acknowledges them; how many. */
static unsigned
take_reports(int jobs)
{
	struct packet p = receive(jobs, NULL);
	uint32_t n = packet_get_u32(&p);
	must(p.type == 'R' && n > 0, "a report");
	packet_begin(&packet, 'K');
	packet_u32(&packet, n);
	for (uint32_t i = 0; i < n; i++) {
		packet_u64(&packet, packet_get_u64(&p));
		packet_u32(&packet, packet_get_u32(&p));
		must(packet_get_u8(&p) == 'K', "a delivery");
		(void)packet_get_str(&p, PACKET_MAX);
	}
	must(packet_send(jobs, buf_str(&packet), NULL, 0) == 0, "K");
	return n;
}

static void
measure(int jobs, unsigned window, unsigned boxes, unsigned count, int body,
    uint64_t size)
{
	uint64_t id = (uint64_t)clock_now_us();
	for (unsigned i = 0; i < boxes; i++) { /* makes the mailboxes */
		send_job(jobs, id + i, i, body, size);
		(void)take_reports(jobs);
	}
	id += boxes;
	int64_t began = clock_now_us();
	for (unsigned sent = 0, done = 0; done < count;) {
		while (sent < count && sent - done < window) {
			send_job(jobs, id + sent, sent % boxes, body, size);
			sent++;
		}
		done += take_reports(jobs);
	}
	double s = (double)(clock_now_us() - began) / 1e6;
	printf("%10u %10u %10.0f %10.2f\n", window, boxes, count / s,
	    s * 1e3 * window / count);
	fflush(stdout);
}

static int
make_body(size_t size)
{
	int fd = memfd_create("body", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	must(fd >= 0, "memfd_create");
	const struct str line = STR("Lorem ipsum dolor sit amet, consectetur "
				    "adipiscing elit, sed do.\n");
	for (size_t n = 0; n < size; n += line.n)
		must(io_write_all(fd, str_head(line, size - n)) == 0, "memfd");
	must(fcntl(fd, F_ADD_SEALS,
		 F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0,
	    "seals");
	return fd;
}

int
main(int argc, char **argv)
{
	static const unsigned windows[] = { 1, 8, 64, 256 },
			      boxes[] = { 1, 100, 10000 };
	uint64_t count = 20000, size = 4096;
	if (argc < 3 || argc > 5 ||
	    (argc > 3 && !str_u64(str_of(argv[3]), 10000000, &count)) ||
	    (argc > 4 && !str_u64(str_of(argv[4]), 1U << 30, &size))) {
		fputs(
		    "usage: bench_local BIN MAILDIR [COUNT [BYTES]]\n", stderr);
		return EXITCODE_PERMANENT;
	}
	if (geteuid() == 0) {
		const struct passwd *pw = getpwnam("posternm");
		must(pw != NULL && chown(argv[2], pw->pw_uid, pw->pw_gid) == 0,
		    "posternm");
	}
	int channel, qmgr, body = make_body((size_t)size);
	pid_t pid = start(argv[1], argv[2], &channel, &qmgr);
	int jobs = job_socket(qmgr);
	printf("%10s %10s %10s %10s\n", "waiting", "mailboxes", "mails/s",
	    "ms/group");
	for (size_t b = 0; b < N_ELEMENTS(boxes); b++)
		for (size_t w = 0; w < N_ELEMENTS(windows); w++)
			measure(jobs, windows[w], boxes[b],
			    (unsigned)(windows[w] == 1 ? count / 10 : count),
			    body, size);
	close(jobs);
	close(channel);
	must(waitpid(pid, NULL, 0) == pid, "waitpid");
	return EXITCODE_DONE;
}
