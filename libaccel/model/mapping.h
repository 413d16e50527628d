/* SPDX-License-Identifier: MIT */
/*
 * A file that is read in place, and whether it stayed what it was: a file that others cut, or
 * write to, or a disk that fails, must end in a sentence.
 */
#ifndef ACCEL_MAPPING_H
#define ACCEL_MAPPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mapping;

/* Maps a regular file that is not empty, for reading.  err gets one sentence. (MT) */
int mapping_open(const char *path, struct mapping **out, char *err, size_t errlen);
/* The same of an open file, whose descriptor stays the caller's; name: for the sentence. (MT) */
int mapping_open_fd(int fd, const char *name, struct mapping **out, char *err, size_t errlen);
/* Nobody may read it any more. (MT) */
void mapping_close(struct mapping *m);

const uint8_t *mapping_base(const struct mapping *m);
uint64_t mapping_size(const struct mapping *m);

/*
 * 0: the file is what it was when it was opened.  -EIO: it was cut or written to since, or a part
 * of it could not be read; *why says how, in words that follow the file's name.  Once -EIO, always.
 * One fstat().  What was read from a file counts if this is 0 afterwards. (MT)
 *
 * What nobody sees here: a file that is replaced by another of its name, which does no harm, as
 * this one lives on; and a reader that faults before it asks, unless accel_guard_files() was
 * called.
 */
int mapping_intact(struct mapping *m, const char **why);
/* True the first time: for who tells of it once. (MT) */
bool mapping_news(struct mapping *m);

#endif
