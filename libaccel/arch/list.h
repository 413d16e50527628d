/* SPDX-License-Identifier: MIT */
/* The architectures: arch_NAME is in NAME.c. */
ARCH(llama)
ARCH(deepseek2)
