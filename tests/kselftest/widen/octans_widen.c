// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests alone: holds a window of a race open.  Whoever calls the function that is named sleeps
 * for some milliseconds first: the first who do, as many as COUNT says, or everybody.  The driver
 * knows nothing of it.
 *
 *	echo "FUNCTION MILLISECONDS [COUNT]" >/sys/module/octans_widen/parameters/at
 *	echo off >/sys/module/octans_widen/parameters/at
 *
 * "met" counts those that were held up since.  The function takes at most six words, and is not an
 * inline one.  There is no way to unload this: somebody may be asleep in it.
 */
#include <linux/delay.h>
#include <linux/kprobes.h>
#include <linux/module.h>

static char name[64];
static unsigned int delay_ms, count;
static atomic_t met;
static bool armed;
static unsigned long (*held)(unsigned long, unsigned long, unsigned long, unsigned long,
			     unsigned long, unsigned long);

/* In place of the function.  A probe's handler must not sleep, this may if its caller may. */
static unsigned long sleep_first(unsigned long a, unsigned long b, unsigned long c, unsigned long d,
				 unsigned long e, unsigned long f)
{
	unsigned long ret;

	if (preemptible())
		msleep(delay_ms);
	else
		mdelay(delay_ms);
	ret = held(a, b, c, d, e, f);
	barrier();	/* a call, not a jump: divert() knows it by where it returns to */
	return ret;
}

static int divert(struct kprobe *probe, struct pt_regs *regs)
{
	if (within_module(regs_get_kernel_stack_nth(regs, 0), THIS_MODULE))
		return 0;	/* sleep_first() goes on */
	if (atomic_inc_return(&met) > count && count)
		return 0;
	instruction_pointer_set(regs, (unsigned long)sleep_first);
	return 1;
}

/* One that has this is not made a jump, which would not go where divert() says. */
static void stay(struct kprobe *probe, struct pt_regs *regs, unsigned long flags)
{
}

static struct kprobe probe = { .pre_handler = divert, .post_handler = stay, .symbol_name = name };

static void disarm(void)
{
	if (armed)
		unregister_kprobe(&probe);
	armed = false;
	/* what registering filled in must not be there at the next */
	probe.addr = NULL;
	probe.flags = 0;
}

static int arm(void)
{
	int ret = register_kprobe(&probe);

	if (ret)
		return ret;
	armed = true;
	held = (void *)probe.addr;
	return 0;
}

/* Writes to parameters come one at a time. */
static int at_set(const char *value, const struct kernel_param *param)
{
	disarm();
	if (sysfs_streq(value, "off"))
		return 0;
	count = 0;
	if (sscanf(value, "%63s %u %u", name, &delay_ms, &count) < 2 || delay_ms > 5000)
		return -EINVAL;
	atomic_set(&met, 0);
	return arm();
}

static int at_get(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%s %u %u\n", armed ? name : "off", delay_ms, count);
}

static const struct kernel_param_ops at_ops = { .set = at_set, .get = at_get };
module_param_cb(at, &at_ops, NULL, 0644);
MODULE_PARM_DESC(at, "\"FUNCTION MILLISECONDS [COUNT]\" or \"off\"");

static int met_get(char *buffer, const struct kernel_param *param)
{
	unsigned int n = atomic_read(&met);

	return sysfs_emit(buffer, "%u\n", count ? min(n, count) : n);
}

static const struct kernel_param_ops met_ops = { .get = met_get };
module_param_cb(met, &met_ops, NULL, 0444);
MODULE_PARM_DESC(met, "how often somebody was held up");

static int __init widen_init(void)
{
	return 0;
}
module_init(widen_init);

MODULE_DESCRIPTION("Holds windows of races open, for the tests of octans");
MODULE_LICENSE("GPL");
