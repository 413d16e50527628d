// SPDX-License-Identifier: GPL-2.0-only
/*
 * Users: what all clients of one uid may have of a processor together, so that it does not help to
 * open it again, or to start another process.
 *
 * Not RLIMIT_MEMLOCK: it is 8 MiB on most systems, counts per process, and a model is gigabytes.
 * The shares leave one user nearly everything, since one is what most machines have; who has
 * several sets them.  They bind root, too: an inference server that runs as root has limits.
 */
#include <linux/cred.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include <drm/drm_managed.h>
#include <drm/drm_print.h>

#include "octans_device.h"
#include "octans_user.h"

static unsigned int user_spaces;
module_param(user_spaces, uint, 0644);
MODULE_PARM_DESC(user_spaces,
		 "most address spaces of one user on one processor (default 0: a quarter of all)");

static unsigned int user_queues = 16384;
module_param(user_queues, uint, 0644);
MODULE_PARM_DESC(user_queues, "most queues of one user on one processor (default 16384)");

static unsigned int user_jobs = 131072;
module_param(user_jobs, uint, 0644);
MODULE_PARM_DESC(user_jobs,
		 "most jobs of one user on one processor that have not ended (default 131072)");

static unsigned int user_tables_mb;
module_param(user_tables_mb, uint, 0644);
MODULE_PARM_DESC(user_tables_mb,
		 "most MiB of page tables of one user (default 0: 1/64 of the system's memory)");

static unsigned int user_host_mb;
module_param(user_host_mb, uint, 0644);
MODULE_PARM_DESC(user_host_mb,
		 "most MiB in host buffers of one user (default 0: 3/4 of the system's memory)");

static unsigned int user_card_mb;
module_param(user_card_mb, uint, 0644);
MODULE_PARM_DESC(user_card_mb,
		 "most MiB in on-card buffers of one user (default 0: all that there is)");

/*
 * struct octans_user - a uid that has, or had, the processor open
 *
 * @node: in octans_device.users; protected by users_lock
 * @used: of each share
 */
struct octans_user {
	struct kref ref;
	struct octans_device *dev;
	kuid_t uid;
	struct list_head node;
	atomic64_t used[OCTANS_SHARES];
};

static u64 pages(unsigned int mb, u64 otherwise)
{
	return mb ? (u64)mb * (SZ_1M / PAGE_SIZE) : otherwise;
}

static u64 share_limit(struct octans_device *dev, enum octans_share share)
{
	switch (share) {
	case OCTANS_SPACES:
		return READ_ONCE(user_spaces) ?: dev->info.asids / 4;
	case OCTANS_QUEUES:
		return READ_ONCE(user_queues);
	case OCTANS_JOBS:
		return READ_ONCE(user_jobs);
	case OCTANS_TABLES:
		return pages(READ_ONCE(user_tables_mb), totalram_pages() / 64);
	case OCTANS_HOST:
		return pages(READ_ONCE(user_host_mb), totalram_pages() / 4 * 3);
	case OCTANS_CARD:
		return pages(READ_ONCE(user_card_mb), U64_MAX);
	default:
		return 0;
	}
}

/**
 * octans_users_init() - nobody yet
 * @dev: device
 *
 * Return: 0 or -ENOMEM.
 */
int octans_users_init(struct octans_device *dev)
{
	INIT_LIST_HEAD(&dev->users);
	return drmm_mutex_init(&dev->drm, &dev->users_lock);
}

/**
 * octans_user_find() - the user of the current process
 * @dev: device
 *
 * Return: the user with a reference, or NULL: no memory.
 */
struct octans_user *octans_user_find(struct octans_device *dev)
{
	struct octans_user *user;

	mutex_lock(&dev->users_lock);
	list_for_each_entry(user, &dev->users, node) {
		if (uid_eq(user->uid, current_euid())) {
			kref_get(&user->ref);
			goto out;
		}
	}
	user = kzalloc_obj(*user, GFP_KERNEL_ACCOUNT);
	if (user) {
		kref_init(&user->ref);
		user->dev = dev;
		user->uid = current_euid();
		list_add(&user->node, &dev->users);
	}
out:
	mutex_unlock(&dev->users_lock);
	return user;
}

/**
 * octans_user_get() - take a reference
 * @user: user
 *
 * Return: @user.
 */
struct octans_user *octans_user_get(struct octans_user *user)
{
	kref_get(&user->ref);
	return user;
}

static void user_free(struct kref *ref)
{
	struct octans_user *user = container_of(ref, struct octans_user, ref);

	list_del(&user->node);
	mutex_unlock(&user->dev->users_lock);
	kfree(user);
}

/**
 * octans_user_put() - drop a reference; may sleep
 * @user: user, or NULL
 */
void octans_user_put(struct octans_user *user)
{
	if (user)
		kref_put_mutex(&user->ref, user_free, &user->dev->users_lock);
}

/**
 * octans_user_charge() - take something from a user's share
 * @user: user
 * @share: what
 * @n: how many
 *
 * Return: 0 or -EDQUOT.
 */
int octans_user_charge(struct octans_user *user, enum octans_share share, u64 n)
{
	u64 limit = share_limit(user->dev, share);

	if (atomic64_add_return(n, &user->used[share]) <= limit)
		return 0;
	atomic64_sub(n, &user->used[share]);
	drm_dbg(&user->dev->drm, "user %u has all of share %u: %llu of %llu, and wants %llu more\n",
		from_kuid(&init_user_ns, user->uid), share, atomic64_read(&user->used[share]),
		limit, n);
	return -EDQUOT;
}

/**
 * octans_user_uncharge() - give it back
 * @user: user
 * @share: what
 * @n: how many
 */
void octans_user_uncharge(struct octans_user *user, enum octans_share share, u64 n)
{
	WARN_ON_ONCE(atomic64_sub_return(n, &user->used[share]) < 0);
}
