/* SPDX-License-Identifier: ISC
 * replay: feeds the files given as arguments (or those of the folders given) to
 * a fuzz harness, without a fuzzer.  A crash is the harness's own.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/io.h"

enum { INPUT_MAX = 8 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
file_replay(int dir, const char *name)
{
	static char input[INPUT_MAX];
	int64_t n = io_read_file(dir, name, input, sizeof(input));

	if (n < 0) {
		perror(name);
		return -1;
	}
	/* an exact copy, so that a sanitizer sees the end */
	uint8_t *copy = malloc(n > 0 ? (size_t)n : 1);
	if (copy == NULL)
		return -1;
	memcpy(copy, input, (size_t)n);
	LLVMFuzzerTestOneInput(copy, (size_t)n);
	free(copy);
	return 0;
}

static int
folder_replay(const char *path)
{
	DIR *d = opendir(path);
	int count = 0;

	if (d == NULL) {
		perror(path);
		return -1;
	}
	for (const struct dirent *e; (e = readdir(d)) != NULL;)
		if (e->d_name[0] != '.') {
			if (file_replay(dirfd(d), e->d_name) < 0)
				count = -1;
			if (count >= 0)
				count++;
		}
	closedir(d);
	return count;
}

int
main(int argc, char **argv)
{
	int total = 0;

	for (int i = 1; i < argc; i++) {
		int n = folder_replay(argv[i]);
		if (n < 0)
			return 1;
		total += n;
	}
	printf("%d inputs\n", total);
	return total > 0 ? 0 : 1;
}
