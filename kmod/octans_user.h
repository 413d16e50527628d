/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef OCTANS_USER_H
#define OCTANS_USER_H

#include <linux/types.h>

struct octans_device;
struct octans_user;

/**
 * enum octans_share - what a user may have only so much of
 * @OCTANS_SPACES: address spaces
 * @OCTANS_QUEUES: queues
 * @OCTANS_JOBS: jobs that have not ended
 * @OCTANS_TABLES: page tables, 4 KiB each for the device and as much for us
 * @OCTANS_HOST: pages of host memory, which cannot be swapped out
 * @OCTANS_CARD: pages of on-card memory
 * @OCTANS_SHARES: how many there are
 */
enum octans_share {
	OCTANS_SPACES,
	OCTANS_QUEUES,
	OCTANS_JOBS,
	OCTANS_TABLES,
	OCTANS_HOST,
	OCTANS_CARD,
	OCTANS_SHARES,
};

int octans_users_init(struct octans_device *dev);
struct octans_user *octans_user_find(struct octans_device *dev);
struct octans_user *octans_user_get(struct octans_user *user);
void octans_user_put(struct octans_user *user);
int octans_user_charge(struct octans_user *user, enum octans_share share, u64 n);
void octans_user_uncharge(struct octans_user *user, enum octans_share share, u64 n);

#endif
