#!/bin/bash
# Functions that are not used here: unbounded, locale-bound, or a shell.
# A line with "ban-ok: REASON" is let pass.
cd "$(dirname "$0")/../.." || exit 1
bad=0
files() { find common start smtpd queue inject filter send pop3d users dns install -name '*.[ch]'; }

# minded PATTERN WHY FILE...
minded() {
	local pattern=$1 why=$2
	shift 2
	if grep -nE "$pattern" "$@" /dev/null | grep -v 'ban-ok:' |
		grep -vE '^[^:]*:[0-9]+:[[:space:]]*(/\*|\*|//)'; then
		echo "^ $why"
		bad=1
	fi
}

# shellcheck disable=SC2046 # file names of our own, without spaces
{
	minded '\b(strcpy|strcat|sprintf|vsprintf|strtok|gets|atoi|atol|strtol|strtoul|alloca|system|popen|rand|random|select|tmpnam|mktemp)\(' \
		'banned (STYLE: str, buf, poll)' $(files)
	minded '\b(setjmp|longjmp|pthread_create|dlopen)\(' 'no threads, no plug-ins' $(files)
	# getenv belongs to argument parsing and to what stands in its place
	minded '\bgetenv\(' 'getenv outside argument parsing' \
		$(files | grep -vE 'common/layout.c|start/start.c|smtpd/|pop3d/|inject/|install/|users/cli_|send/spawn.c')
	# a stranger's process has no stdio
	minded '\b(printf|fprintf|fopen|fgets|puts|fputs|fwrite|fread)\(' \
		'stdio in a network program' \
		$(files | grep -vE 'install/|users/(cli_|edit|password)|queue/fsck|/tool')
}
exit $bad
