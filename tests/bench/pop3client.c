/* SPDX-License-Identifier: ISC
 * pop3client: load for a POP3 server.
 *   pop3client HOST PORT USER PASS login          the steps of one session, ms
 *   pop3client HOST PORT USER PASS retr WINDOW    all messages, that many RETR
 *                                                 under way at a time
 *   pop3client HOST PORT USER PASS logins N PROCS sessions of login, STAT, QUIT
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct client {
	int fd;
	size_t at, n;
	unsigned long octets;
	char input[256 * 1024];
};

static struct client client;

static double
now(void)
{
	struct timespec t;
	if (clock_gettime(CLOCK_MONOTONIC, &t) != 0)
		err(1, "clock_gettime");
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
fill(void)
{
	ssize_t n = read(client.fd, client.input, sizeof(client.input));
	if (n <= 0)
		errx(1, "the server closed the connection");
	client.at = 0;
	client.n = (size_t)n;
	client.octets += (unsigned long)n;
}

/* The next line, cut to cap; its whole length with the line end. */
static size_t
line(char *out, size_t cap)
{
	size_t n = 0, kept = 0;
	for (;;) {
		if (client.at == client.n)
			fill();
		const char *from = client.input + client.at;
		size_t left = client.n - client.at;
		const char *lf = memchr(from, '\n', left);
		size_t take = lf != NULL ? (size_t)(lf - from) + 1 : left;
		size_t copy = take < cap - 1 - kept ? take : cap - 1 - kept;
		memcpy(out + kept, from, copy);
		kept += copy;
		n += take;
		client.at += take;
		if (lf != NULL)
			break;
	}
	out[kept] = '\0';
	return n;
}

static void
ok(char *out, size_t cap)
{
	(void)line(out, cap);
	if (out[0] != '+')
		errx(1, "reply: %s", out);
}

static unsigned long
multi(void)
{
	char text[256];
	unsigned long lines = 0;
	ok(text, sizeof(text));
	while (line(text, sizeof(text)) != 3 || text[0] != '.')
		lines++;
	return lines;
}

static void
put(const char *text)
{
	size_t n = strlen(text);
	if (write(client.fd, text, n) != (ssize_t)n)
		err(1, "write");
}

/* Connects and logs in; the number of messages. */
static unsigned long
login(char **v)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
		.sin_port = htons((unsigned short)strtoul(v[2], NULL, 10)) };
	char text[600];
	int on = 1;
	if (inet_pton(AF_INET, v[1], &sa.sin_addr) != 1)
		errx(1, "not an address: %s", v[1]);
	client.at = client.n = 0;
	client.fd = socket(AF_INET, SOCK_STREAM, 0);
	if (client.fd < 0 ||
	    setsockopt(client.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) !=
		0 ||
	    connect(client.fd, (const struct sockaddr *)&sa, sizeof(sa)) != 0)
		err(1, "connect");
	ok(text, sizeof(text));
	snprintf(text, sizeof(text), "USER %s\r\n", v[3]);
	put(text);
	ok(text, sizeof(text));
	snprintf(text, sizeof(text), "PASS %s\r\n", v[4]);
	put(text);
	ok(text, sizeof(text));
	put("STAT\r\n");
	ok(text, sizeof(text));
	return strtoul(text + 4, NULL, 10);
}

static void
quit(void)
{
	char text[256];
	put("QUIT\r\n");
	ok(text, sizeof(text));
	close(client.fd);
}

static void
bench_login(char **v)
{
	double t0 = now();
	unsigned long n = login(v);
	double t1 = now();
	put("UIDL\r\n");
	unsigned long uids = multi();
	double t2 = now();
	put("LIST\r\n");
	unsigned long sizes = multi();
	double t3 = now();
	quit();
	double t4 = now();
	printf("messages %lu/%lu/%lu  login+stat %.1f  uidl %.1f  list %.1f  "
	       "quit %.1f ms\n",
	    n, uids, sizes, (t1 - t0) * 1e3, (t2 - t1) * 1e3, (t3 - t2) * 1e3,
	    (t4 - t3) * 1e3);
}

static void
bench_retr(char **v, unsigned long window)
{
	unsigned long n = login(v), sent = 0;
	char text[64];
	client.octets = 0;
	double t0 = now();
	for (unsigned long got = 0; got < n; got++) {
		while (sent < n && sent < got + window) {
			snprintf(text, sizeof(text), "RETR %lu\r\n", ++sent);
			put(text);
		}
		(void)multi();
	}
	double t = now() - t0;
	printf("retr window %lu  %lu messages  %.0f/s  %.1f MB/s\n", window, n,
	    (double)n / t, (double)client.octets / t / 1e6);
	quit();
}

static void
bench_logins(char **v, unsigned long n, unsigned long procs)
{
	int status, failed = 0;
	double t0 = now();
	for (unsigned long p = 0; p < procs; p++) {
		pid_t pid = fork();
		if (pid < 0)
			err(1, "fork");
		if (pid > 0)
			continue;
		for (unsigned long i = 0; i < n / procs; i++) {
			(void)login(v);
			quit();
		}
		_exit(0);
	}
	while (wait(&status) > 0)
		failed += status != 0;
	double t = now() - t0;
	printf("logins %lu by %lu  %.0f/s  failed processes %d\n",
	    n / procs * procs, procs, (double)(n / procs * procs) / t, failed);
}

int
main(int argc, char **argv)
{
	if (argc == 6 && strcmp(argv[5], "login") == 0)
		bench_login(argv);
	else if (argc == 7 && strcmp(argv[5], "retr") == 0)
		bench_retr(argv, strtoul(argv[6], NULL, 10));
	else if (argc == 8 && strcmp(argv[5], "logins") == 0)
		bench_logins(argv, strtoul(argv[6], NULL, 10),
		    strtoul(argv[7], NULL, 10));
	else
		errx(2, "usage: see the head of pop3client.c");
	return 0;
}
