/* SPDX-License-Identifier: MIT */
/* The architectures: arch_NAME is in NAME.c, or in the file of its nearest kin. */
ARCH(llama)
ARCH(deepseek2)
ARCH(nemotron_h)
ARCH(nemotron_h_moe)
