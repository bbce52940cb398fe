/* SPDX-License-Identifier: ISC
 * postern why ADDRESS: is mail for it accepted, by which rule, and where does
 * it go?  The running userd answers (postern-why(1)).  Runs as root or userd's
 * user.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/address.h"
#include "common/exitcode.h"
#include "common/limits.h"
#include "common/packet.h"
#include "common/verdict.h"
#include "install/cli.h"
#include "install/json.h"
#include "users/edit.h"

static const char usage[] =
    "usage: postern why [--json] ADDRESS\n\n"
    "Asks the running userd whether mail for ADDRESS is accepted, by which\n"
    "rule, where it goes and as whom.  Exit status: 0 accepted from anybody,\n"
    "1 not, 100 no address, 111 deferred, or userd does not answer.\n";

enum { ANSWER_MS = 10 * 1000, EXIT_NO = 1 };

/* The lines "rule: what it said", aligned. */
static void
print_lines(struct str text)
{
	struct str line, rule, said;
	while (str_line(&text, &line)) {
		str_cut(line, ':', &rule, &said);
		printf(
		    "%-20.*s%.*s\n", (int)rule.n, rule.p, (int)said.n, said.p);
	}
}

static void
print_json(struct str address, char verdict, struct str text)
{
	struct str line, rule, said;
	const char *comma = "";
	fputs("{\"address\":", stdout);
	json_string(address);
	printf(",\"accepted\":%s,\"rules\":[",
	    verdict == VERDICT_OK ? "true" : "false");
	while (str_line(&text, &line)) {
		str_cut(line, ':', &rule, &said);
		printf("%s{\"rule\":", comma);
		json_string(rule);
		fputs(",\"said\":", stdout);
		json_string(str_trim(said));
		putchar('}');
		comma = ",";
	}
	puts("]}");
}

static int
show(struct str address, struct str answer, bool json)
{
	struct packet p = packet_open(answer);
	char verdict = (char)packet_get_u8(&p);
	struct str text = packet_get_str(&p, PACKET_MAX);
	if (p.type != 'T' || !packet_end(&p))
		return edit_fail(EXITCODE_TEMPORARY,
		    "userd gave no answer that can be understood: restart the "
		    "suite",
		    STR(""));
	if (json)
		print_json(address, verdict, text);
	else
		print_lines(text);
	if (verdict == VERDICT_DEFER)
		return EXITCODE_TEMPORARY;
	return verdict == VERDICT_OK ? EXITCODE_DONE : EXIT_NO;
}

static int
ask(struct str address, bool json)
{
	static char storage[PACKET_MAX];
	char room[LIMIT_ADDRESS + 16];
	struct buf b = BUF_ON(room);
	struct str answer;
	packet_begin(&b, 'Q');
	packet_str(&b, address);
	int fd = edit_userd();
	int r = fd < 0 ? -1
		       : packet_ask(fd, buf_str(&b), NULL, 0, storage,
			     sizeof(storage), ANSWER_MS, &answer);
	int error = errno;
	if (fd >= 0)
		(void)close(fd);
	if (r > 0)
		return show(address, answer, json);
	if (r == 0 || error == EPIPE)
		return edit_fail(EXITCODE_TEMPORARY,
		    "userd refuses to tell: run it as root", STR(""));
	return edit_fail(EXITCODE_TEMPORARY,
	    "cannot ask userd (see postern status)", str_of(strerror(error)));
}

int
cli_why(int argc, char **argv)
{
	const char *address = NULL;
	bool json = false;
	char room[LIMIT_ADDRESS + 2];
	struct buf canonical = BUF_ON(room);
	struct address a;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			fputs(usage, stdout);
			return EXITCODE_DONE;
		}
		if (strcmp(argv[i], "--json") == 0)
			json = true;
		else if (argv[i][0] == '-' || address)
			address = "";
		else
			address = argv[i];
	}
	if (!address || !*address) {
		fputs(usage, stderr);
		return EXITCODE_PERMANENT;
	}
	if (address_parse(str_of(address), true, &a) != ADDRESS_OK)
		return edit_fail(EXITCODE_PERMANENT,
		    "not an address (write it as bob@example.org)",
		    str_of(address));
	address_put(&canonical, a);
	return ask(buf_str(&canonical), json);
}
