// SPDX-License-Identifier: MIT
/* Loading the processor model, which libaccel neither links nor includes. */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "sim_library.h"

/*
 * The file of that name beside the shared object that this code is in; false: it is in a program,
 * whose name anybody can choose who starts it.
 */
static bool beside_us(char *path, size_t len)
{
	struct link_map *map = NULL;
	const char *slash;
	Dl_info info;

	if (!dladdr1((void *)sim_library, &info, (void **)&map, RTLD_DL_LINKMAP) || !map ||
	    map->l_name[0] != '/')
		return false;
	slash = strrchr(map->l_name, '/');
	return (size_t)snprintf(path, len, "%.*s/%s", (int)(slash - map->l_name), map->l_name,
				OCTANS_SIM_LIBRARY) < len;
}

/* First the one that was installed (or built) together with this library, then what the dynamic
 * linker finds: the run path of the program, LD_LIBRARY_PATH, the system's folders. */
static void *load(const char *chosen)
{
	char path[PATH_MAX];

	if (!chosen && beside_us(path, sizeof(path)) && !access(path, F_OK))
		chosen = path;
	return dlopen(chosen ? chosen : OCTANS_SIM_LIBRARY, RTLD_NOW | RTLD_LOCAL);
}

static int not_loaded(const char *chosen)
{
	const char *why = dlerror();

	if (chosen)
		return fail(-ENODEV, "ACCEL_SIM_LIBRARY=\"%s\" cannot be loaded: %s", chosen, why);
	return fail(-ENODEV, "the processor model is missing or broken: %s belongs beside libaccel.so (%s); the CPU computes without it",
		    OCTANS_SIM_LIBRARY, why);
}

int sim_library(const struct octans_sim_api **api)
{
	static const struct octans_sim_api *_Atomic loaded;
	const char *chosen = secure_getenv("ACCEL_SIM_LIBRARY");
	octans_sim_entry_fn *entry;
	void *so;

	*api = atomic_load(&loaded);
	if (*api)
		return 0;
	so = load(chosen && *chosen ? chosen : NULL);
	if (!so)
		return not_loaded(chosen && *chosen ? chosen : NULL);
	*(void **)&entry = dlsym(so, OCTANS_SIM_ENTRY);
	*api = entry ? entry(OCTANS_SIM_VERSION) : NULL;
	if (!*api) {
		struct link_map *map = NULL;

		fail(-EPROTO, "%s is not a processor model that this library speaks with (version %d): install the one that came with it",
		     dlinfo(so, RTLD_DI_LINKMAP, &map) ? OCTANS_SIM_LIBRARY : map->l_name,
		     OCTANS_SIM_VERSION);
		dlclose(so);
		return -EPROTO;
	}
	/* Whoever else loaded it meanwhile got the same. */
	atomic_store(&loaded, *api);
	return 0;
}
