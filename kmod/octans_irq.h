/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef OCTANS_IRQ_H
#define OCTANS_IRQ_H

struct octans_device;

int octans_irq_init(struct octans_device *dev);

#endif
