/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one place for differences between kernels.  Driver code is written as for 7.3; each
 * entry names the kernel from which on it can be deleted.  OCTANS_HAVE_* come from the
 * compile probes in Kbuild.
 */
#ifndef OCTANS_COMPAT_H
#define OCTANS_COMPAT_H

#include <linux/pci.h>

#include <drm/drm_gpuvm.h>

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
#define OCTANS_COMPAT_DRIVER_DATE .date = "20261124",
#else
#define OCTANS_COMPAT_DRIVER_DATE
#endif

/* 6.16: DRIVER_GEM_GPUVA is gone, every object has a list of mappings */
#ifdef OCTANS_HAVE_DRIVER_GEM_GPUVA
#define OCTANS_COMPAT_FEATURES DRIVER_GEM_GPUVA
#else
#define OCTANS_COMPAT_FEATURES 0
#endif

/* 6.13: MODULE_IMPORT_NS() takes a string, no word that it quotes */
#ifdef OCTANS_HAVE_IMPORT_NS_WORD
#define OCTANS_COMPAT_NS_DMA_BUF DMA_BUF
#else
#define OCTANS_COMPAT_NS_DMA_BUF "DMA_BUF"
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
