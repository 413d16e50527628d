// SPDX-License-Identifier: MIT
#include "json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "output.h"
#include "utf8.h"

json_t *json_bytes(const char *s, size_t n)
{
	char *clean = malloc(3 * n + 1);
	size_t to = 0;
	json_t *j;

	if (!clean)
		return NULL;
	for (size_t at = 0; at < n;) {
		size_t len = utf8_length(s + at, n - at);

		memcpy(clean + to, len ? s + at : "\xef\xbf\xbd", len ? len : 3);
		to += len ? len : 3;
		at += len ? len : 1;
	}
	j = json_stringn(clean, to);
	free(clean);
	return j;
}

json_t *json_text(const char *s)
{
	return json_bytes(s, strlen(s));
}

int print_json(const char *schema, json_t *body)
{
	char name[64], now[32];
	time_t t = time(NULL);
	struct tm tm;
	json_t *doc;
	int bad;

	gmtime_r(&t, &tm);
	strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", &tm);
	snprintf(name, sizeof(name), "accelctl.%s", schema);
	doc = json_pack("{s:s, s:s}", "schema", name, "generated", now);
	bad = !doc || !body || json_object_update(doc, body) ||
	      json_dumpf(doc, stdout, JSON_INDENT(2)) < 0;
	json_decref(doc);
	json_decref(body);
	if (bad && !ferror(stdout))
		return complain(EXIT_FAILED, "no memory for the output");
	putchar('\n');
	return EXIT_OK;
}
