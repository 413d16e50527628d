// SPDX-License-Identifier: MIT
/* What liboctans-sim.so exports. */
#include "octans_inproc.h"

static const struct octans_sim_api api = {
	.open = octans_inproc_open,
	.close = octans_inproc_close,
	.info = octans_inproc_info,
	.control = octans_inproc_control,
	.bo_new = octans_inproc_bo_new,
	.bo_free = octans_inproc_bo_free,
	.bo_map = octans_inproc_bo_map,
	.vm_new = octans_inproc_vm_new,
	.vm_free = octans_inproc_vm_free,
	.vm_map = octans_inproc_vm_map,
	.vm_unmap = octans_inproc_vm_unmap,
	.vm_fault = octans_inproc_vm_fault,
	.queue_new = octans_inproc_queue_new,
	.queue_free = octans_inproc_queue_free,
	.submit = octans_inproc_submit,
	.wait = octans_inproc_wait,
	.bo_export = octans_inproc_bo_export,
	.bo_import = octans_inproc_bo_import,
	.submit_after = octans_inproc_submit_after,
};

const struct octans_sim_api *octans_sim_entry(uint32_t version)
{
	return version == OCTANS_SIM_VERSION ? &api : NULL;
}
