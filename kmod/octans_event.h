/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef OCTANS_EVENT_H
#define OCTANS_EVENT_H

struct octans_device;

int octans_event_init(struct octans_device *dev);
void octans_event_start(struct octans_device *dev);
void octans_event_drain(struct octans_device *dev);
void octans_event_kick(struct octans_device *dev);

#endif
