// SPDX-License-Identifier: MIT
/*
 * A broken processor for `accelctl doctor`: the model, loaded instead of it (ACCEL_SIM_LIBRARY), but
 * each job ends well without having done anything.  MODEL: the path of the true one.
 */
#include <dlfcn.h>
#include <stddef.h>

#include <octans/sim.h>

static int submit(struct octans_inproc_queue *q, const struct octans_inproc_job *jobs, size_t n,
		  uint64_t *seq)
{
	static uint64_t last;

	(void)q;
	(void)jobs;
	*seq = last += n;
	return 0;
}

static int wait(struct octans_inproc_queue *q, uint64_t seq, int64_t abs_ns)
{
	(void)q;
	(void)seq;
	(void)abs_ns;
	return 0;
}

const struct octans_sim_api *octans_sim_entry(uint32_t version)
{
	static struct octans_sim_api api;
	void *so = dlopen(MODEL, RTLD_NOW | RTLD_LOCAL);
	octans_sim_entry_fn *entry = NULL;

	if (so)
		*(void **)&entry = dlsym(so, OCTANS_SIM_ENTRY);
	if (!entry || !entry(version))
		return NULL;
	api = *entry(version);
	api.submit = submit;
	api.wait = wait;
	return &api;
}
