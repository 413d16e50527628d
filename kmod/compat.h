/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one place for differences between kernels.  Kbuild has it included before every file, so the
 * driver is written as for 7.3 and knows nothing of it: who takes the driver into a kernel's tree
 * leaves this file behind (packaging/kernel).  Each entry names the kernel from which on it can be
 * deleted.  OCTANS_HAVE_* come from the compile probes in Kbuild.
 */
#ifndef OCTANS_COMPAT_H
#define OCTANS_COMPAT_H

#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_gpuvm.h>

/* 7.0: kzalloc_obj(), kzalloc_flex() */
#ifndef kzalloc_obj
#define kzalloc_obj(P, gfp) kzalloc(sizeof(P), gfp)
#define kzalloc_flex(P, fam, n, gfp) kzalloc(struct_size_t(typeof(P), fam, n), gfp)
#endif

/* 6.18: struct drm_gpuvm_map_req */
#ifndef OCTANS_HAVE_GPUVM_MAP_REQ
struct drm_gpuvm_map_req {
	struct drm_gpuva_op_map map;
};

static inline int octans_compat_sm_map(struct drm_gpuvm *gpuvm, void *priv,
				       const struct drm_gpuvm_map_req *req)
{
	return drm_gpuvm_sm_map(gpuvm, priv, req->map.va.addr, req->map.va.range,
				req->map.gem.obj, req->map.gem.offset);
}

#define drm_gpuvm_sm_map octans_compat_sm_map
#endif

/* 7.0: drm_gpuvm_bo_obtain() became drm_gpuvm_bo_obtain_locked() */
#ifndef OCTANS_HAVE_GPUVM_OBTAIN_LOCKED
#define drm_gpuvm_bo_obtain_locked drm_gpuvm_bo_obtain
#endif

/* 6.14: drm_driver.date is gone; until then drm_version() warns if it is NULL */
#ifdef OCTANS_HAVE_DRIVER_DATE
static inline const struct drm_driver *octans_compat_dated(const struct drm_driver *driver)
{
	static struct drm_driver dated;

	if (!dated.date) {
		dated = *driver;
		dated.date = "20261124";
	}
	return &dated;
}

#undef devm_drm_dev_alloc
#define devm_drm_dev_alloc(parent, driver, type, member) \
	((type *)__devm_drm_dev_alloc(parent, octans_compat_dated(driver), sizeof(type), \
				      offsetof(type, member)))
#endif

/* 6.16: DRIVER_GEM_GPUVA is gone, every object has a list of mappings */
#ifdef OCTANS_HAVE_DRIVER_GEM_GPUVA
#define DRIVER_GEM (DRIVER_GEM | DRIVER_GEM_GPUVA)
#endif

/* 6.13: MODULE_IMPORT_NS() takes a string, no word that it quotes */
#ifdef OCTANS_HAVE_IMPORT_NS_WORD
#undef MODULE_IMPORT_NS
#define MODULE_IMPORT_NS(ns) MODULE_INFO(import_ns, ns)
#endif

/* 6.12.107: pci_resize_resource() takes a mask of BARs to leave alone */
#ifndef OCTANS_HAVE_RESIZE_BAR_EXCLUDE
static inline int octans_compat_resize(struct pci_dev *pdev, int bar, int size, int exclude)
{
	return pci_resize_resource(pdev, bar, size);
}

#define pci_resize_resource octans_compat_resize
#endif

#endif
