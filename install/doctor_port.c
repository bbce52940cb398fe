/* SPDX-License-Identifier: ISC
 * doctor_port: connections to port 25, inwards and outwards.  Runs in the
 * sandbox of `postern doctor`; a greeting is a stranger's.  Nothing is sent but
 * QUIT.  Contract in doctor.h.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/io.h"
#include "install/doctor.h"
#include "install/ownaddr.h"

enum {
	SMTP_PORT = 25,
	CONNECT_MS = 5 * 1000,
	GREETING_MS = 8 * 1000,
	GREETING = 200,
	TRIES = 3
};

struct visit {
	bool connected, greeted; /* 220 */
	int error;
	char greeting[GREETING];
};

/* A connection, or -1 with errno. */
static int
connect_to(const struct ip *ip, uint16_t port)
{
	struct sockaddr_storage sa;
	socklen_t n = ip_to_sockaddr(ip, port, &sa);
	int error = 0;
	socklen_t size = sizeof(error);
	int fd =
	    socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&sa, n) == 0)
		return fd;
	if (errno == EINPROGRESS) {
		int r = io_wait(fd, true, CONNECT_MS);
		if (r == 1 &&
		    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 &&
		    error == 0)
			return fd;
		errno = r == 0 ? ETIMEDOUT : error != 0 ? error : errno;
	}
	error = errno;
	io_close(&fd);
	errno = error;
	return -1;
}

/* Reads the first line, at most GREETING bytes. */
static void
greeting_read(int fd, struct visit *v)
{
	int64_t end = clock_mono_ms() + GREETING_MS;
	struct buf b = { .p = v->greeting, .cap = sizeof(v->greeting) - 1 };
	struct str line;
	struct str rest;

	for (;;) {
		int64_t left = end - clock_mono_ms();
		if (left <= 0 || io_wait(fd, false, (int)left) != 1)
			break;
		ssize_t n = read(fd, buf_tail(&b), buf_room(&b));
		if (n <= 0)
			break;
		buf_grew(&b, (size_t)n);
		if (buf_room(&b) == 0 || str_find(buf_str(&b), '\n') < b.n)
			break;
	}
	str_cut(buf_str(&b), '\n', &line, &rest);
	line = str_trim(line);
	v->greeted = str_starts(line, STR("220"));
	v->greeting[line.n] = '\0';
}

static struct visit
visit(const struct ip *ip, uint16_t port)
{
	struct visit v = { .error = 0, .greeting = "" };
	int fd = connect_to(ip, port);

	if (fd < 0) {
		v.error = errno;
		return v;
	}
	v.connected = true;
	greeting_read(fd, &v);
	/* whether it hears it makes no difference to us */
	(void)send(fd, "QUIT\r\n", 6, MSG_NOSIGNAL | MSG_DONTWAIT);
	io_close(&fd);
	return v;
}

/* ---- in ---- */

static void
in_from_outside(const struct doctor *d)
{
	doctor_fix("this was tried from this host, so a firewall before it is "
		   "not seen.  From another network, 220 must come:");
	doctor_type("nc -w 10 %s 25 </dev/null", d->me);
}

static void
in_one(const struct doctor *d, const struct ip *ip)
{
	struct visit v = visit(ip, SMTP_PORT);

	if (v.greeted) {
		doctor_say(DOCTOR_OK, "port-in", "%s answers on port 25: %s",
		    doctor_ip(ip), v.greeting);
		in_from_outside(d);
	} else if (v.connected) {
		doctor_say(DOCTOR_FAIL, "port-in",
		    "%s takes connections on port 25, but does not greet: %s",
		    doctor_ip(ip), v.greeting);
		doctor_fix("look at the log, and at what listens there:");
		doctor_type("ss -ltnp sport = :25");
	} else {
		doctor_say(DOCTOR_FAIL, "port-in", "%s, port 25: %s",
		    doctor_ip(ip), strerror(v.error));
		doctor_fix(d->runs
			       ? "see that control/smtplisten names the "
				 "address, and that no firewall here refuses "
				 "it"
			       : "start the suite, then look again:");
		if (!d->runs)
			doctor_type("postern-start");
	}
}

void
doctor_port_in(const struct doctor *d)
{
	struct ip list[DOCTOR_ADDRESSES];

	if (d->leaves_25 && !d->held_25) {
		doctor_say(DOCTOR_SKIP, "port-in",
		    "control/smtplisten says none, and nobody else listens on "
		    "port 25: no mail comes in from other hosts");
		return;
	}
	if (!d->listens_25 && !d->leaves_25) {
		doctor_say(DOCTOR_WARN, "port-in",
		    "control/smtplisten has no port 25, the only one that "
		    "other hosts use");
		doctor_fix("right behind something that hands connections on; "
			   "else:");
		doctor_remove("smtplisten");
		return;
	}
	int n = d->no_dns
		    ? 0
		    : ask_dns_addresses(str_of(d->me), list, N_ELEMENTS(list));
	for (int i = 0; i < n && i < TRIES; i++)
		in_one(d, &list[i]);
	if (d->no_dns)
		doctor_say(DOCTOR_SKIP, "port-in", "not without the DNS");
	else if (n <= 0)
		doctor_say(DOCTOR_SKIP, "port-in",
		    "not before %s has an address", d->me);
}

/* ---- out ---- */

static void
out_failed(const struct doctor *d, const char *host, const struct visit *v)
{
	doctor_say(DOCTOR_FAIL, "port-out", "%s: %s", host,
	    v->connected
		? (v->greeting[0] != '\0' ? v->greeting : "it does not greet")
		: strerror(v->error));
	if (v->connected || d->is_smarthost)
		doctor_fix("ask that host's postmaster, or try another");
	else
		doctor_fix("many providers keep port 25 closed until asked: "
			   "ask yours, or send all mail through a smarthost "
			   "(control/smtproutes, a line :HOST)");
}

/* The first of its addresses that answers. */
static bool
out_host(const struct doctor *d, const char *host, uint16_t port)
{
	struct ip list[DOCTOR_ADDRESSES];
	struct visit v = { .error = EHOSTUNREACH };
	struct ip ip;
	int n = 1;

	if (ip_parse(str_of(host), &ip))
		list[0] = ip;
	else
		n = ask_dns_addresses(str_of(host), list, N_ELEMENTS(list));
	for (int i = 0; i < n && i < TRIES; i++) {
		v = visit(&list[i], port);
		if (v.greeted) {
			doctor_say(DOCTOR_OK, "port-out",
			    "%s (%s) greets on port %u: mail can leave", host,
			    doctor_ip(&list[i]), port);
			return true;
		}
	}
	if (n <= 0) {
		doctor_say(DOCTOR_FAIL, "port-out", "%s has no address", host);
		doctor_fix("name another domain, with --out");
	} else
		out_failed(d, host, &v);
	return false;
}

void
doctor_port_out(const struct doctor *d)
{
	char names[1][DOCTOR_NAME];
	struct ip ip;

	if (d->out[0] == '\0') {
		doctor_say(DOCTOR_SKIP, "port-out",
		    "no connection to another host was tried");
		doctor_fix("name a domain whose mail server may be connected "
			   "to (no mail is sent):");
		doctor_type("postern doctor --out example.com");
		return;
	}
	if (d->no_dns && !ip_parse(str_of(d->out), &ip)) {
		doctor_say(DOCTOR_SKIP, "port-out", "not without the DNS");
		return;
	}
	if (d->is_smarthost) {
		(void)out_host(d, d->out, d->out_port);
		return;
	}
	int n = ask_dns_mx(str_of(d->out), names, 1);
	if (n < 0) {
		doctor_say(DOCTOR_FAIL, "port-out",
		    "the DNS does not answer for the MX of %s", d->out);
		doctor_fix("name another domain, with --out");
		return;
	}
	(void)out_host(d, n > 0 ? names[0] : d->out, SMTP_PORT);
}
