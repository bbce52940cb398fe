/* SPDX-License-Identifier: ISC
 * `postern sandbox`: what the kernel says each running process may do.
 */
#include <stdio.h>
#include "common/exitcode.h"
#include "install/arguments.h"
#include "install/cli.h"
#include "install/json.h"
#include "install/running.h"

static const char help[] =
    "usage: postern sandbox [--json]\n"
    "What each process of the suite may do, as the kernel tells it.\n"
    "A row that begins with + is a child of the role above it.\n"
    "  CAPABILITIES  effective ones; none: an ordinary user's rights at most\n"
    "  SECCOMP       number of filters that each system call must pass\n"
    "  NNP           yes: no program it runs can gain rights\n"
    "  LANDLOCK      version of the kernel's path and network rules that the\n"
    "                role entered, as it told; - none, or a child of a role\n"
    "  FILES         open descriptors; - where only root may count them\n"
    "become has no Landlock: what it starts for users would inherit it.\n";

enum { CHILDREN = 512, CHILDREN_SHOWN = 8 };

/* Numbers: linux/capability.h */
static const char *const capability_names[] = { "chown", "dac_override",
	"dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid",
	"setpcap", "linux_immutable", "net_bind_service", "net_broadcast",
	"net_admin", "net_raw", "ipc_lock", "ipc_owner", "sys_module",
	"sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin",
	"sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config",
	"mknod", "lease", "audit_write", "audit_control", "setfcap",
	"mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend",
	"audit_read", "perfmon", "bpf", "checkpoint_restore" };

static void
put_capabilities(struct buf *b, uint64_t set)
{
	size_t count = 0;

	for (size_t i = 0; i < N_ELEMENTS(capability_names); i++) {
		if ((set >> i & 1) == 0)
			continue;
		if (count++ > 0)
			buf_putc(b, ',');
		buf_puts(b, capability_names[i]);
	}
	if (count == 0)
		buf_puts(b, "none");
	if (count == N_ELEMENTS(capability_names)) {
		buf_reset(b);
		buf_puts(b, "all");
	}
}

static void
row_print(const char *name, pid_t pid, const struct running_process *p,
    unsigned landlock, const struct buf *capabilities)
{
	char files[24] = "-";
	char version[12] = "-";

	if (landlock > 0)
		snprintf(version, sizeof(version), "%u", landlock);

	if (p->files_known)
		snprintf(files, sizeof(files), "%ju", (uintmax_t)p->files);
	printf("%-14s %8d %-10s %7ju %-3s %8s %5s  %.*s\n", name, (int)pid,
	    p->user, (uintmax_t)p->filters, p->no_new_privs ? "yes" : "no",
	    version, files, (int)capabilities->n, capabilities->p);
}

static void
row_json(const char *name, pid_t pid, const struct running_process *p,
    unsigned landlock, const struct buf *capabilities)
{
	printf("{\"role\":");
	json_string(str_of(name));
	printf(",\"pid\":%d,\"user\":", (int)pid);
	json_string(str_of(p->user));
	printf(",\"seccomp\":%ju,\"filters\":%ju,\"no_new_privs\":%s",
	    (uintmax_t)p->seccomp, (uintmax_t)p->filters,
	    p->no_new_privs ? "true" : "false");
	if (p->files_known)
		printf(",\"files\":%ju", (uintmax_t)p->files);
	printf(",\"capabilities\":");
	json_string(buf_str(capabilities));
	if (landlock > 0)
		printf(",\"landlock\":%u}\n", landlock);
	else
		printf(",\"landlock\":null}\n");
}

static void
show(const char *name, pid_t pid, const struct running_process *p,
    unsigned landlock, bool json)
{
	char text[512];
	struct buf capabilities = BUF_ON(text);

	put_capabilities(&capabilities, p->capabilities);
	(json ? row_json : row_print)(name, pid, p, landlock, &capabilities);
}

static void
children_show(pid_t parent, bool json)
{
	static pid_t pids[CHILDREN];
	size_t n = running_children(parent, pids, CHILDREN);

	for (size_t i = 0; i < n; i++) {
		struct running_process p;
		char name[RUNNING_NAME + 2];
		if (!json && i == CHILDREN_SHOWN) {
			printf("+ and %zu more\n", n - i);
			return;
		}
		if (!running_process(pids[i], &p) || p.name[0] == '?')
			continue; /* gone, or ended and not yet reaped */
		snprintf(name, sizeof(name), "+ %s", p.name);
		show(name, pids[i], &p, 0, json);
	}
}

int
cli_sandbox(int argc, char **argv)
{
	static struct running rows[RUNNING_MAX];
	bool json;
	int code;

	if (!arguments_json(argc, argv, help, &json, &code))
		return code;
	int n = running_read(rows);
	if (n <= 0) {
		fprintf(stderr, "postern sandbox: %s\n",
		    n < 0 ? "run/roles cannot be read: look as root"
			  : "the suite does not run: see postern status");
		return EXITCODE_TEMPORARY;
	}
	if (!json)
		printf("%-14s %8s %-10s %7s %-3s %8s %5s  %s\n", "ROLE", "PID",
		    "USER", "SECCOMP", "NNP", "LANDLOCK", "FILES",
		    "CAPABILITIES");
	for (int i = 0; i < n; i++) {
		struct running_process p;
		if (!running_process(rows[i].pid, &p))
			continue;
		show(rows[i].name, rows[i].pid, &p, rows[i].landlock, json);
		if (i > 0)
			children_show(rows[i].pid, json);
	}
	return EXITCODE_DONE;
}
