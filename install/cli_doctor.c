/* SPDX-License-Identifier: ISC
 * `postern doctor`: what must be true before the first mail.  Starts as its
 * caller, root as a rule; looks at files and settings first, and then, as
 * posternc and in a sandbox that opens no file, asks the DNS (through a dnsd of
 * its own) and connects to port 25.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/address.h"
#include "common/die.h"
#include "common/io.h"
#include "common/layout.h"
#include "common/privs.h"
#include "common/sandbox.h"
#include "install/check.h"
#include "install/cli.h"
#include "install/doctor.h"

static const char help[] =
    "usage: postern doctor [--out DOMAIN] [--json]\n"
    "Tests what must be true before the first mail: this machine, its name in\n"
    "the DNS and back, MX, SPF and DMARC of each domain, port 25 in and out.\n"
    "Each finding has its fix: the record to publish or the command to run.\n"
    "  --out DOMAIN  connect to the mail server of DOMAIN, to see whether "
    "port\n"
    "                25 is open outwards (no mail is sent); default: the\n"
    "                smarthost, or where the postmaster's mail goes\n"
    "Exit code: 0 all is well, 1 warnings or tests not made, 2 failures.\n";

enum { EXIT_FAILURES = 2, FILE_MAX = 1 << 30 };

static const struct sandbox_rule rules[] = {
	ALLOW_PACKETS,
	ALLOW_HEAP,
	ALLOW(poll, "waits for answers"),
	ALLOW(ppoll, "waits for answers"),
	ALLOW_IF(socket, 1, AF_INET, "port 25"),
	ALLOW_IF(socket, 1, AF_INET6, "port 25"),
	ALLOW(connect, "port 25"),
	ALLOW(getsockopt, "how a connect ended"),
};

static const struct sandbox sandbox = { .role = "doctor",
	.rules = rules,
	.rule_count = N_ELEMENTS(rules),
	.connects = true,
	.max_file = FILE_MAX }; /* standard output may be a file */

/* ---- what postern check finds ---- */

static void
check_tell(
    const char *test, const struct check *c, const char *good, const char *bad)
{
	if (c->mistakes > 0)
		doctor_say(DOCTOR_FAIL, test, "%s: %u mistake%s, %u warning%s",
		    bad, c->mistakes, c->mistakes == 1 ? "" : "s", c->warnings,
		    c->warnings == 1 ? "" : "s");
	else if (c->warnings > 0)
		doctor_say(DOCTOR_WARN, test, "%s: %u warning%s", bad,
		    c->warnings, c->warnings == 1 ? "" : "s");
	else
		doctor_say(DOCTOR_OK, test, "%s", good);
	if (c->mistakes + c->warnings > 0)
		doctor_type("postern check");
}

static void
checks(int dir)
{
	struct check layout = { .quiet = true };
	struct check settings = { .quiet = true };
	struct check people = { .quiet = true };

	check_places(&layout);
	check_tell("layout", &layout, "owners and modes are right",
	    "owners or modes are wrong");
	check_files(&settings, dir);
	check_settings(&settings, dir);
	check_domains(&settings, dir);
	check_net(&settings, dir);
	check_numbers(&settings, dir);
	check_users(&settings, dir);
	check_tell("settings", &settings, "postern check finds nothing wrong",
	    "in the settings or tables");
	check_addresses(&people, dir);
	check_tell("postmaster", &people,
	    "postmaster and abuse of every domain arrive",
	    "postmaster, abuse or aliases do not all arrive");
}

/* ---- arguments ---- */

struct options {
	bool json;
	const char *out;
};

/* False: it is over with *code. */
static bool
options_parse(int argc, char **argv, struct options *o, int *code)
{
	for (int i = 1; i < argc; i++) {
		bool wants = strcmp(argv[i], "--out") == 0;
		*code = EXITCODE_PERMANENT;
		if (strcmp(argv[i], "--json") == 0) {
			o->json = true;
		} else if (wants && i + 1 < argc &&
			   address_is_domain(str_of(argv[i + 1]))) {
			o->out = argv[++i];
		} else if (wants) {
			fputs("postern doctor: --out wants a domain, as "
			      "example.com\n",
			    stderr);
			return false;
		} else {
			bool asked = strcmp(argv[i], "--help") == 0;
			*code = asked ? EXITCODE_DONE : *code;
			fputs(help, asked ? stdout : stderr);
			return false;
		}
	}
	return true;
}

/* ---- the sandbox ---- */

static void
confine(void)
{
	uid_t uid;
	gid_t gid;

	if (geteuid() == 0) {
		if (privs_lookup("posternc", &uid, &gid) < 0 &&
		    privs_lookup("nobody", &uid, &gid) < 0)
			die(EXITCODE_PERMANENT,
			    "there is neither a user posternc (run "
			    "install/users) nor nobody",
			    errno);
		if (privs_drop(uid, gid) < 0)
			die(EXITCODE_TEMPORARY, "cannot give up root", errno);
	}
	sandbox_enter(&sandbox);
}

int
cli_doctor(int argc, char **argv)
{
	static struct doctor d;
	struct options o = { .json = false };
	const char *path = layout_path(LAYOUT_CONTROL);
	const char *why;
	int code;

	if (!options_parse(argc, argv, &o, &code))
		return code;
	doctor_say_init(o.json);
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		doctor_say(
		    DOCTOR_FAIL, "suite", "%s: %s", path, strerror(errno));
		doctor_type("postern init");
		return doctor_end();
	}
	doctor_facts(&d, dir, o.out);
	checks(dir);
	doctor_service(&d);
	doctor_other_mta(&d);
	doctor_clock();
	doctor_disk();
	doctor_hosts_file(&d);
	bool has_dns = ask_dns_init(&why);
	io_close(&dir);
	confine();
	if (has_dns) {
		doctor_names(&d);
		doctor_port_in(&d);
		doctor_port_out(&d);
	} else {
		doctor_say(DOCTOR_FAIL, "resolver", "%s", why);
	}
	return doctor_end();
}
