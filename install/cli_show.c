/* SPDX-License-Identifier: ISC
 * `postern show`: every setting, its value and where it comes from.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/advice.h"
#include "common/control.h"
#include "common/exitcode.h"
#include "common/layout.h"
#include "install/cli.h"
#include "install/json.h"
#include "install/plain.h"

static const char help[] =
    "usage: postern show [--json] [SETTING ...]\n"
    "Every setting, or those named: where its value comes from (its file in\n"
    "the control directory, or the default), and the value.\n"
    "  --help-settings  what each setting means\n";

struct shown {
	const struct control_setting *setting;
	bool json, from_file;
	unsigned lines;
};

static void
value_show(struct shown *s, struct str value)
{
	const char *origin = s->from_file ? "file" : "default";

	if (s->json) {
		if (s->lines > 0)
			putchar(',');
		json_string(value);
	} else {
		bool first = s->lines == 0;

		printf("%-20s %-8s ", first ? s->setting->name : "",
		    first ? origin : "");
		plain_print(value.n > 0 ? value : STR("(none)"));
		putchar('\n');
	}
	s->lines++;
}

static const char *
on_line(void *arg, struct str line, unsigned number)
{
	(void)number;
	value_show(arg, line);
	return NULL;
}

static int
one_value(int dir, struct shown *s)
{
	char text[CONTROL_LINE_MAX];
	struct buf b = BUF_ON(text);
	uint64_t number;

	switch (s->setting->kind) {
	case CONTROL_LIST:
		return control_list(dir, s->setting->name, on_line, s);
	case CONTROL_LINE:
		if (control_line(dir, s->setting->name, &b) < 0)
			return -1;
		break;
	case CONTROL_NUMBER:
		if (control_number(dir, s->setting->name, &number) < 0)
			return -1;
		buf_put_u64(&b, number);
		break;
	}
	value_show(s, buf_str(&b));
	return 0;
}

static int
setting_show(int dir, const struct control_setting *setting, bool json)
{
	struct shown s = { .setting = setting, .json = json };
	bool list = setting->kind == CONTROL_LIST;

	s.from_file = faccessat(dir, setting->name, F_OK, 0) == 0;
	if (json)
		printf("{\"setting\":\"%s\",\"origin\":\"%s\",\"value\":%s",
		    setting->name, s.from_file ? "file" : "default",
		    list ? "[" : "");
	int r = one_value(dir, &s);
	if (json)
		printf("%s}\n", list ? "]" : s.lines == 0 ? "null" : "");
	else if (s.lines == 0)
		printf("%-20s %-8s %s\n", setting->name,
		    s.from_file ? "file" : "default",
		    r == 0 ? "(none)" : "(wrong, see postern check)");
	return r;
}

static void
meanings_show(void)
{
	for (size_t i = 0; i < control_setting_count; i++)
		printf("%-20s %s\n", control_settings[i].name,
		    control_settings[i].help);
}

static void
ignore_mistake(const char *file, unsigned line, const char *what)
{
	(void)file;
	(void)line;
	(void)what; /* shown as "(wrong, see postern check)" */
}

/* All settings, or the named ones. */
static int
settings_show(int dir, int argc, char **argv, bool json)
{
	int r = EXITCODE_DONE;

	for (size_t i = 0; argc == 0 && i < control_setting_count; i++)
		if (setting_show(dir, &control_settings[i], json) < 0)
			r = EXITCODE_PERMANENT;
	for (int i = 0; i < argc; i++) {
		const struct control_setting *s = control_find(argv[i]);
		if (s == NULL)
			fprintf(stderr,
			    "postern show: there is no setting %s; postern "
			    "show lists all\n",
			    argv[i]);
		if (s == NULL || setting_show(dir, s, json) < 0)
			r = EXITCODE_PERMANENT;
	}
	return r;
}

int
cli_show(int argc, char **argv)
{
	bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
	int skip = json ? 2 : 1;

	if (argc > skip && strcmp(argv[skip], "--help") == 0) {
		fputs(help, stdout);
		return EXITCODE_DONE;
	}
	if (argc > skip && strcmp(argv[skip], "--help-settings") == 0) {
		meanings_show();
		return EXITCODE_DONE;
	}
	if (argc > skip && argv[skip][0] == '-') {
		fputs(help, stderr);
		return EXITCODE_PERMANENT;
	}
	int dir = open(
	    layout_path(LAYOUT_CONTROL), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		fprintf(stderr, "postern show: %s: %s: %s\n",
		    layout_path(LAYOUT_CONTROL), strerror(errno),
		    advice_file(errno));
		return EXITCODE_PERMANENT;
	}
	control_on_mistake(ignore_mistake);
	int r = settings_show(dir, argc - skip, argv + skip, json);
	close(dir);
	return r;
}
