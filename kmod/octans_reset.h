/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef OCTANS_RESET_H
#define OCTANS_RESET_H

struct octans_device;
struct work_struct;

int octans_reset_hw(struct octans_device *dev);
int octans_reset_start(struct octans_device *dev, bool lost);
void octans_reset_work(struct work_struct *work);
void octans_reset_tell(struct work_struct *work);
void octans_reset_down(struct octans_device *dev);
void octans_reset_prepare(struct octans_device *dev);
void octans_reset_done(struct octans_device *dev);
int octans_reset_suspend(struct octans_device *dev);
void octans_reset_resume(struct octans_device *dev, bool other);
void octans_reset_leave(struct octans_device *dev);

#endif
