/* SPDX-License-Identifier: MIT */
/*
 * A fuzz target is a program of two functions.  With driver.c it runs by itself under any
 * compiler; with clang -fsanitize=fuzzer and without driver.c it is a libFuzzer target.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Input number i to begin from, malloc'd; 0 = there are no more. */
size_t fuzz_seed(unsigned int i, uint8_t **data);

#endif
