/* SPDX-License-Identifier: MIT */
/* Coherent memory, at bus addresses of the test's choice. */
#ifndef TESTS_KMOD_DMA_MAPPING_H
#define TESTS_KMOD_DMA_MAPPING_H

#include <linux/types.h>

struct device;

static void *dma_alloc_coherent(struct device *dev, size_t size, dma_addr_t *dma, gfp_t gfp);
static void dma_free_coherent(struct device *dev, size_t size, void *p, dma_addr_t dma);

#endif
