// SPDX-License-Identifier: MIT
/* Stands for libggml-base when the backend is linked, so that it names what it needs; nothing runs it. */
#define IMPORT(name) void name(void); void name(void) { }
#include "../imports.h"
