// SPDX-License-Identifier: MIT
#include "modfile.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

bool first_line(const char *path, char *line, size_t len)
{
	FILE *f = fopen(path, "re");
	bool read = f && fgets(line, len, f);

	if (read)
		line[strcspn(line, "\n")] = 0;
	if (f)
		fclose(f);
	return read;
}

bool module_file(char *path, size_t len)
{
	/* as depmod prefers them on Debian */
	static const char *const places[] = { "updates/dkms", "updates", "extra", "kernel/drivers/accel/octans" };
	static const char *const ends[] = { "", ".xz", ".zst", ".gz" };
	struct utsname u;

	if (uname(&u))
		return false;
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
		for (size_t k = 0; k < sizeof(ends) / sizeof(*ends); k++) {
			snprintf(path, len, "/lib/modules/%s/%s/octans.ko%s", u.release, places[i], ends[k]);
			if (!access(path, F_OK))
				return true;
		}
	return false;
}

bool module_packed(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot && strcmp(dot, ".ko");
}

bool module_signed(const char *path)
{
	static const char mark[] = "~Module signature appended~\n";
	char end[sizeof(mark)] = "";
	FILE *f = fopen(path, "re");
	bool is = f && !fseek(f, -(long)(sizeof(mark) - 1), SEEK_END) && fread(end, sizeof(mark) - 1, 1, f) == 1 &&
		  !strcmp(end, mark);

	if (f)
		fclose(f);
	return is;
}
