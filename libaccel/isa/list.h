/* SPDX-License-Identifier: MIT */
/* The instruction sets: isa_NAME is in NAME.c, which says itself what it needs. */
ISA(scalar)
ISA(avx2)
ISA(avx512)
