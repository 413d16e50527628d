// SPDX-License-Identifier: GPL-2.0-only
/* octans.ko: PCI and DRM glue. */
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/uaccess.h>

#include <drm/drm_accel.h>
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>
#include <drm/drm_gem_shmem_helper.h>
#include <drm/drm_ioctl.h>
#include <drm/octans_accel.h>

#include "octans_batch.h"
#include "octans_debugfs.h"
#include "octans_device.h"
#include "octans_drv.h"
#include "octans_gem.h"
#include "octans_queue.h"
#include "octans_reset.h"
#include "octans_submit.h"
#include "octans_user.h"
#include "octans_vm.h"

unsigned int octans_max_timeout_ms = 10000;

static int set_timeout(const char *val, const struct kernel_param *kp)
{
	/* DRM wants fences to end in bounded time; longer work is to be split. */
	return param_set_uint_minmax(val, kp, 100, 60000);
}

static const struct kernel_param_ops timeout_ops = {
	.set = set_timeout,
	.get = param_get_uint,
};
module_param_cb(max_timeout_ms, &timeout_ops, &octans_max_timeout_ms, 0644);
MODULE_PARM_DESC(max_timeout_ms, "largest timeout of a queue, 100 .. 60000 (default 10000)");

static struct octans_file *file_new(struct octans_device *dev)
{
	struct octans_file *ofile = kzalloc_obj(*ofile, GFP_KERNEL_ACCOUNT);

	if (!ofile)
		return NULL;
	ofile->client = octans_client_new(dev->info.rings);
	ofile->user = octans_user_find(dev);
	if (!ofile->client || !ofile->user) {
		if (ofile->client)
			octans_client_put(ofile->client);
		octans_user_put(ofile->user);
		kfree(ofile);
		return NULL;
	}
	xa_init_flags(&ofile->vms, XA_FLAGS_ALLOC1);
	xa_init_flags(&ofile->queues, XA_FLAGS_ALLOC1);
	return ofile;
}

static int octans_open(struct drm_device *drm, struct drm_file *file)
{
	struct octans_device *dev = to_octans(drm);
	int ret = pm_runtime_resume_and_get(drm->dev);

	if (ret)
		return ret;
	file->driver_priv = octans_device_down(dev) ? NULL : file_new(dev);
	if (file->driver_priv)
		return 0;
	octans_power_drop(dev);
	return octans_device_down(dev) ? -ENODEV : -ENOMEM;
}

static void octans_postclose(struct drm_device *drm, struct drm_file *file)
{
	struct octans_file *ofile = file->driver_priv;

	octans_queue_close_all(ofile);
	octans_vm_close_all(ofile);
	octans_client_put(ofile->client);
	octans_user_put(ofile->user);
	kfree(ofile);
	octans_power_drop(to_octans(drm));
}

/*
 * Ioctls of the DRM core that must not reach it from an accel node: the core assumes the
 * master of a primary node there (GET_UNIQUE oopses up to 7.3, found by calling each), or
 * they belong to it.  The library needs none of them.
 */
static bool is_refused(unsigned int nr)
{
	switch (nr) {
	case DRM_IOCTL_NR(DRM_IOCTL_GET_UNIQUE):
	case DRM_IOCTL_NR(DRM_IOCTL_GET_MAGIC):
	case DRM_IOCTL_NR(DRM_IOCTL_GET_CLIENT):
	case DRM_IOCTL_NR(DRM_IOCTL_SET_VERSION):
	case DRM_IOCTL_NR(DRM_IOCTL_SET_UNIQUE):
	case DRM_IOCTL_NR(DRM_IOCTL_AUTH_MAGIC):
	case DRM_IOCTL_NR(DRM_IOCTL_SET_MASTER):
	case DRM_IOCTL_NR(DRM_IOCTL_DROP_MASTER):
	/* names that every client can guess */
	case DRM_IOCTL_NR(DRM_IOCTL_GEM_FLINK):
	case DRM_IOCTL_NR(DRM_IOCTL_GEM_OPEN):
		return true;
	}
	return false;
}

/* More handles than these draw a page allocator warning from the core. */
#define MAX_SYNCOBJS 65536u

/*
 * The number of handles that a syncobj ioctl names, 0 if it is none of these.  The core reads it
 * again, so a second thread can still draw the warning: that is the core's to mend.
 */
static int syncobj_count(unsigned int nr, unsigned int size, void __user *arg, u32 *count)
{
	size_t at;

	*count = 0;
	switch (nr) {
	case DRM_IOCTL_NR(DRM_IOCTL_SYNCOBJ_WAIT):
		at = offsetof(struct drm_syncobj_wait, count_handles);
		break;
	case DRM_IOCTL_NR(DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT):
		at = offsetof(struct drm_syncobj_timeline_wait, count_handles);
		break;
	case DRM_IOCTL_NR(DRM_IOCTL_SYNCOBJ_RESET):
	case DRM_IOCTL_NR(DRM_IOCTL_SYNCOBJ_SIGNAL):
		at = offsetof(struct drm_syncobj_array, count_handles);
		break;
	case DRM_IOCTL_NR(DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL):
	case DRM_IOCTL_NR(DRM_IOCTL_SYNCOBJ_QUERY):
		at = offsetof(struct drm_syncobj_timeline_array, count_handles);
		break;
	default:
		return 0;
	}
	/* the core fills what a short structure lacks with zeros */
	if (size < at + sizeof(*count))
		return 0;
	return copy_from_user(count, arg + at, sizeof(*count)) ? -EFAULT : 0;
}

static long filter(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct drm_file *file = filp->private_data;
	unsigned int nr = DRM_IOCTL_NR(cmd);
	u32 count;
	int ret;

	if (_IOC_TYPE(cmd) != DRM_IOCTL_BASE)
		return 0;
	/* A device that is cut off takes no work, as if unplugged; the core's calls go on. */
	if (nr >= DRM_COMMAND_BASE && nr < DRM_COMMAND_END)
		return octans_device_down(to_octans(file->minor->dev)) ? -ENODEV : 0;
	if (is_refused(nr))
		return -EINVAL;
	ret = syncobj_count(nr, _IOC_SIZE(cmd), (void __user *)arg, &count);
	if (ret)
		return ret;
	return count > MAX_SYNCOBJS ? -EINVAL : 0;
}

static long octans_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	long ret = filter(filp, cmd, arg);

	return ret ?: drm_ioctl(filp, cmd, arg);
}

#ifdef CONFIG_COMPAT
static long octans_compat_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	long ret = filter(filp, cmd, arg);

	return ret ?: drm_compat_ioctl(filp, cmd, arg);
}
#else
#define octans_compat_ioctl NULL
#endif

static const struct file_operations octans_fops = {
	.owner = THIS_MODULE,
	.open = accel_open,
	.release = drm_release,
	.unlocked_ioctl = octans_ioctl,
	.compat_ioctl = octans_compat_ioctl,
	.poll = drm_poll,
	.read = drm_read,
	.llseek = noop_llseek,
	.mmap = drm_gem_mmap,
	.show_fdinfo = drm_show_fdinfo,
	.fop_flags = FOP_UNSIGNED_OFFSET,
};

#define OCTANS_IOCTL(name, func) DRM_IOCTL_DEF_DRV(OCTANS_##name, octans_ioctl_##func, 0)

static const struct drm_ioctl_desc octans_ioctls[] = {
	OCTANS_IOCTL(DEV_QUERY, dev_query),
	OCTANS_IOCTL(BO_CREATE, bo_create),
	OCTANS_IOCTL(BO_MMAP_OFFSET, bo_mmap_offset),
	OCTANS_IOCTL(BO_QUERY, bo_query),
	OCTANS_IOCTL(BO_SET_LABEL, bo_set_label),
	OCTANS_IOCTL(VM_CREATE, vm_create),
	OCTANS_IOCTL(VM_DESTROY, vm_destroy),
	OCTANS_IOCTL(VM_BIND, vm_bind),
	OCTANS_IOCTL(VM_GET_FAULTS, vm_get_faults),
	OCTANS_IOCTL(QUEUE_CREATE, queue_create),
	OCTANS_IOCTL(QUEUE_DESTROY, queue_destroy),
	OCTANS_IOCTL(QUEUE_QUERY, queue_query),
	OCTANS_IOCTL(SUBMIT, submit),
};

static void octans_show_fdinfo(struct drm_printer *p, struct drm_file *file)
{
	drm_show_memory_stats(p, file);
}

/*
 * Changelog of the interface:
 * 1.0: first version
 * 2.0: parameters of a job (struct drm_octans_job grew, its old size is refused); MACS_F16 and
 *	SRAM_SIZE of the device; commands of the second edition of the processor
 * 2.1: what a card has lost in a sleep is told: DRM_OCTANS_BO_LOST, ENODATA
 */
static const struct drm_driver octans_driver = {
	.driver_features = DRIVER_COMPUTE_ACCEL | DRIVER_GEM | DRIVER_SYNCOBJ |
			   DRIVER_SYNCOBJ_TIMELINE,
	.open = octans_open,
	.postclose = octans_postclose,
	.gem_create_object = octans_gem_create_object,
	.gem_prime_import = octans_gem_prime_import,
	.gem_prime_import_sg_table = octans_gem_import_sg_table,
	.show_fdinfo = octans_show_fdinfo,
	.ioctls = octans_ioctls,
	.num_ioctls = ARRAY_SIZE(octans_ioctls),
	.fops = &octans_fops,
	.name = "octans",
	.desc = "Octans AI processor",
	.major = OCTANS_UAPI_MAJOR,
	.minor = OCTANS_UAPI_MINOR,
};

#define IDLE_MS		1000	/* until it sleeps that nobody has open */

/* The PCI core has kept it awake for the probe, and by a setting that user space may change. */
static void let_sleep(struct device *dev)
{
	pm_runtime_set_autosuspend_delay(dev, IDLE_MS);
	pm_runtime_use_autosuspend(dev);
	pm_runtime_allow(dev);
	pm_runtime_mark_last_busy(dev);
	pm_runtime_put_autosuspend(dev);
}

static void keep_awake(struct device *dev)
{
	pm_runtime_get_noresume(dev);
	pm_runtime_forbid(dev);
	pm_runtime_dont_use_autosuspend(dev);
}

static int octans_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct octans_device *dev;
	int ret;

	dev = devm_drm_dev_alloc(&pdev->dev, &octans_driver, struct octans_device, drm);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	pci_set_drvdata(pdev, dev);
	ret = octans_device_init(dev);
	if (ret)
		return ret;
	pci_save_state(pdev);
	octans_debugfs_init(dev);
	ret = drm_dev_register(&dev->drm, 0);
	if (ret) {
		octans_device_unplug(dev);
		return ret;
	}
	let_sleep(&pdev->dev);
	return 0;
}

static void octans_remove(struct pci_dev *pdev)
{
	keep_awake(&pdev->dev);
	octans_device_unplug(pci_get_drvdata(pdev));
}

/* A function that keeps its power but must not write memory any more, as before kexec. */
static void octans_shutdown(struct pci_dev *pdev)
{
	octans_reset_down(pci_get_drvdata(pdev));
}

static void octans_pci_reset_prepare(struct pci_dev *pdev)
{
	octans_reset_prepare(pci_get_drvdata(pdev));
}

static void octans_pci_reset_done(struct pci_dev *pdev)
{
	octans_reset_done(pci_get_drvdata(pdev));
}

static int octans_suspend(struct device *dev)
{
	return octans_reset_suspend(dev_get_drvdata(dev));
}

static int octans_resume(struct device *dev)
{
	octans_reset_resume(dev_get_drvdata(dev), false);
	return 0;
}

/* From an image, which another kernel has read; this device may have been its. */
static int octans_restore(struct device *dev)
{
	octans_reset_resume(dev_get_drvdata(dev), true);
	return 0;
}

/*
 * Nobody has it open, and no address space and nothing on the card is left: nothing can be lost,
 * whatever the platform does with its power.
 */
static int octans_runtime_suspend(struct device *dev)
{
	return octans_reset_suspend(dev_get_drvdata(dev));
}

static int octans_runtime_resume(struct device *dev)
{
	octans_reset_resume(dev_get_drvdata(dev), false);
	return 0;
}

static const struct dev_pm_ops octans_pm = {
	.suspend = pm_sleep_ptr(octans_suspend),
	.resume = pm_sleep_ptr(octans_resume),
	.freeze = pm_sleep_ptr(octans_suspend),
	.thaw = pm_sleep_ptr(octans_resume),
	.poweroff = pm_sleep_ptr(octans_suspend),
	.restore = pm_sleep_ptr(octans_restore),
	RUNTIME_PM_OPS(octans_runtime_suspend, octans_runtime_resume, NULL)
};

/* The link to the device failed.  The device lock keeps a removal, and other resets, away. */
static pci_ers_result_t octans_error_detected(struct pci_dev *pdev, pci_channel_state_t state)
{
	struct octans_device *dev = pci_get_drvdata(pdev);

	if (state == pci_channel_io_normal)
		return PCI_ERS_RESULT_CAN_RECOVER;	/* nothing but a message was lost */
	if (state == pci_channel_io_frozen) {
		/* nobody says so if a recovery has failed, and then comes the next */
		if (!dev->frozen)
			octans_reset_prepare(dev);
		dev->frozen = true;
		return PCI_ERS_RESULT_NEED_RESET;
	}
	octans_reset_down(dev);
	if (dev->frozen)
		octans_reset_done(dev);		/* what waits ends */
	dev->frozen = false;
	return PCI_ERS_RESULT_DISCONNECT;
}

static pci_ers_result_t octans_slot_reset(struct pci_dev *pdev)
{
	pci_restore_state(pdev);
	pci_save_state(pdev);		/* for the next time */
	return PCI_ERS_RESULT_RECOVERED;
}

static void octans_error_resume(struct pci_dev *pdev)
{
	struct octans_device *dev = pci_get_drvdata(pdev);

	if (dev->frozen)
		octans_reset_done(dev);
	dev->frozen = false;
}

static const struct pci_error_handlers octans_err_handlers = {
	.error_detected = octans_error_detected,
	.slot_reset = octans_slot_reset,
	.resume = octans_error_resume,
	.reset_prepare = octans_pci_reset_prepare,
	.reset_done = octans_pci_reset_done,
};

static const struct pci_device_id octans_ids[] = {
	{ PCI_DEVICE(OCTANS_PCI_VENDOR, OCTANS_PCI_DEVICE) },
	{ }
};
MODULE_DEVICE_TABLE(pci, octans_ids);

static struct pci_driver octans_pci_driver = {
	.name = "octans",
	.id_table = octans_ids,
	.probe = octans_probe,
	.remove = octans_remove,
	.shutdown = octans_shutdown,
	.err_handler = &octans_err_handlers,
	.driver.pm = pm_ptr(&octans_pm),
};

static int __init octans_init(void)
{
	int ret = octans_batch_init();

	if (ret)
		return ret;
	ret = pci_register_driver(&octans_pci_driver);
	if (ret)
		octans_batch_exit();
	return ret;
}
module_init(octans_init);

static void __exit octans_exit(void)
{
	pci_unregister_driver(&octans_pci_driver);
	octans_batch_exit();
}
module_exit(octans_exit);

MODULE_DESCRIPTION("Octans AI processor");
MODULE_AUTHOR("The Octans authors");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("DMA_BUF");
