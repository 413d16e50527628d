// SPDX-License-Identifier: MIT
/*
 * What libaccel and the processor model agree on, as it was when OCTANS_SIM_VERSION got its value.
 * Whatever does not compile here has changed: raise the version, so that libraries of two builds
 * refuse each other, and write down the new one.
 */
#include <octans/sim.h>

#include "tap.h"

_Static_assert(OCTANS_SIM_VERSION == 2, "what follows is version 2: write down the new one");

#define SAME(what, n) _Static_assert((what) == (n), #what " has changed: raise OCTANS_SIM_VERSION")
#define AT(type, member, n) SAME(offsetof(struct type, member), n)
#define CALL(member, ...) \
	SAME(__builtin_types_compatible_p(__typeof__(((struct octans_sim_api *)0)->member), \
					  __VA_ARGS__), 1)

#if UINTPTR_MAX == UINT64_MAX
AT(octans_inproc_info, hw_version, 0);
AT(octans_inproc_info, rings, 4);
AT(octans_inproc_info, va_bits, 8);
AT(octans_inproc_info, page_size, 12);
AT(octans_inproc_info, ops, 16);
AT(octans_inproc_info, types, 24);
AT(octans_inproc_info, clock_hz, 32);
AT(octans_inproc_info, macs_int8, 40);
AT(octans_inproc_info, macs_f16, 44);
AT(octans_inproc_info, macs_f32, 48);
AT(octans_inproc_info, local_bpc, 52);
AT(octans_inproc_info, pcie_bpc, 56);
AT(octans_inproc_info, max_ctx, 60);
AT(octans_inproc_info, max_timeout_ms, 64);
AT(octans_inproc_info, sram_size, 72);
AT(octans_inproc_info, serial, 80);
AT(octans_inproc_info, local_size, 88);
AT(octans_inproc_info, local_used, 96);
AT(octans_inproc_info, profile, 104);
AT(octans_inproc_info, timing_only, 144);
SAME(sizeof(struct octans_inproc_info), 152);

AT(octans_inproc_fault, va, 0);
AT(octans_inproc_fault, tag, 8);
AT(octans_inproc_fault, seqno, 16);
AT(octans_inproc_fault, cmd_offset, 24);
AT(octans_inproc_fault, code, 32);
AT(octans_inproc_fault, write, 36);
SAME(sizeof(struct octans_inproc_fault), 40);

AT(octans_inproc_job, va, 0);
AT(octans_inproc_job, tag, 8);
AT(octans_inproc_job, param_va, 16);
AT(octans_inproc_job, size, 24);
AT(octans_inproc_job, param_count, 28);
SAME(sizeof(struct octans_inproc_job), 32);
SAME(OCTANS_INPROC_MAX_JOBS, 64);

AT(octans_inproc_point, queue, 0);
AT(octans_inproc_point, seq, 8);
SAME(sizeof(struct octans_inproc_point), 16);

AT(octans_sim_api, open, 0);
AT(octans_sim_api, close, 8);
AT(octans_sim_api, info, 16);
AT(octans_sim_api, control, 24);
AT(octans_sim_api, bo_new, 32);
AT(octans_sim_api, bo_free, 40);
AT(octans_sim_api, bo_map, 48);
AT(octans_sim_api, vm_new, 56);
AT(octans_sim_api, vm_free, 64);
AT(octans_sim_api, vm_map, 72);
AT(octans_sim_api, vm_unmap, 80);
AT(octans_sim_api, vm_fault, 88);
AT(octans_sim_api, queue_new, 96);
AT(octans_sim_api, queue_free, 104);
AT(octans_sim_api, submit, 112);
AT(octans_sim_api, wait, 120);
AT(octans_sim_api, bo_export, 128);
AT(octans_sim_api, bo_import, 136);
AT(octans_sim_api, submit_after, 144);
SAME(sizeof(struct octans_sim_api), 152);
#endif

CALL(open, int (*)(const char *, struct octans_inproc **, char *, size_t));
CALL(close, void (*)(struct octans_inproc *));
CALL(info, int (*)(struct octans_inproc *, struct octans_inproc_info *));
CALL(control, int (*)(struct octans_inproc *, const char *, char *, size_t));
CALL(bo_new, int (*)(struct octans_inproc *, uint64_t, bool, struct octans_inproc_bo **));
CALL(bo_free, void (*)(struct octans_inproc_bo *));
CALL(bo_map, void *(*)(struct octans_inproc_bo *));
CALL(vm_new, int (*)(struct octans_inproc *, struct octans_inproc_vm **));
CALL(vm_free, void (*)(struct octans_inproc_vm *));
CALL(vm_map, int (*)(struct octans_inproc_vm *, struct octans_inproc_bo *, uint64_t, uint64_t,
		     uint64_t, bool));
CALL(vm_unmap, int (*)(struct octans_inproc_vm *, uint64_t, uint64_t));
CALL(vm_fault, int (*)(struct octans_inproc_vm *, struct octans_inproc_fault *));
CALL(queue_new, int (*)(struct octans_inproc_vm *, uint32_t, uint32_t,
			struct octans_inproc_queue **));
CALL(queue_free, void (*)(struct octans_inproc_queue *));
CALL(submit, int (*)(struct octans_inproc_queue *, const struct octans_inproc_job *, size_t,
		     uint64_t *));
CALL(wait, int (*)(struct octans_inproc_queue *, uint64_t, int64_t));
CALL(bo_export, int (*)(struct octans_inproc_bo *, int *));
CALL(bo_import, int (*)(struct octans_inproc *, int, struct octans_inproc_bo **, uint64_t *));
CALL(submit_after, int (*)(struct octans_inproc_queue *, const struct octans_inproc_point *, size_t,
			   const struct octans_inproc_job *, size_t, uint64_t *));

int main(void)
{
	const struct octans_sim_api *api = octans_sim_entry(OCTANS_SIM_VERSION);
	void *const *call = (void *const *)api;
	size_t missing = 0;

	for (size_t i = 0; api && i < sizeof(*api) / sizeof(*call); i++)
		missing += !call[i];
	ok(api && !missing, "the model speaks version %d, with each function", OCTANS_SIM_VERSION);
	ok(!octans_sim_entry(0) && !octans_sim_entry(OCTANS_SIM_VERSION + 1) &&
	   !octans_sim_entry(UINT32_MAX), "and no other");
	return done();
}
