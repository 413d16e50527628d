/* SPDX-License-Identifier: MIT */
/*
 * CPU kernels: the operations of Documentation/hardware/numerics.rst on host
 * memory, bit for bit what the processor computes, for every ISA and any number
 * of threads.
 */
#ifndef ACCEL_CPU_H
#define ACCEL_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cpu_isa { CPU_ISA_AUTO = 0, CPU_ISA_SCALAR, CPU_ISA_AVX2 };

/* rows x cols elements of GGML type @type; row r starts at data + r * stride. */
struct cpu_tensor {
	void *data;
	uint64_t stride;
	uint32_t rows;
	uint32_t cols;
	uint32_t type;
};

struct cpu;	/* kernels of one ISA, a pool of threads and their scratch memory */

/* @threads: 0 = one per online CPU.  -ENOTSUP: this machine lacks @isa.
 * One caller at a time per struct cpu. */
int cpu_new(enum cpu_isa isa, unsigned int threads, struct cpu **out);
void cpu_free(struct cpu *cpu);
const char *cpu_isa_name(const struct cpu *cpu);
unsigned int cpu_threads(const struct cpu *cpu);
bool cpu_type_supported(uint32_t type);

/* All return 0, -ENOMEM, or -EINVAL for shapes or types that do not fit together.
 * F32 tensors except weights (w, table: any supported type). */
int cpu_embed(struct cpu *cpu, const struct cpu_tensor *dst, const struct cpu_tensor *table,
	      const int32_t *ids);
int cpu_matmul(struct cpu *cpu, const struct cpu_tensor *dst, const struct cpu_tensor *x,
	       const struct cpu_tensor *w, const float *bias, bool add);
int cpu_rmsnorm(struct cpu *cpu, const struct cpu_tensor *dst, const struct cpu_tensor *x,
		const float *w, float eps);
int cpu_rope(struct cpu *cpu, const struct cpu_tensor *dst, const struct cpu_tensor *x,
	     const struct cpu_tensor *cs, uint32_t heads, uint32_t head_dim, uint32_t rot, bool half);
int cpu_attn(struct cpu *cpu, const struct cpu_tensor *dst, const struct cpu_tensor *q,
	     const struct cpu_tensor *k, const struct cpu_tensor *v,
	     const struct cpu_tensor *k_cache, const struct cpu_tensor *v_cache,
	     uint32_t heads, uint32_t kv_heads, uint32_t head_dim, uint32_t pos, float scale);
int cpu_swiglu(struct cpu *cpu, const struct cpu_tensor *dst, const struct cpu_tensor *gate,
	       const struct cpu_tensor *up);
int cpu_add(struct cpu *cpu, const struct cpu_tensor *dst, const struct cpu_tensor *a,
	    const struct cpu_tensor *b);

#endif
