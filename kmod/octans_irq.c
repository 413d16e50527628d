// SPDX-License-Identifier: GPL-2.0-only
/* Interrupts: vector 0 for events, one for each ring, or fewer and shared. */
#include <linux/interrupt.h>

#include "octans_device.h"
#include "octans_event.h"
#include "octans_irq.h"
#include "octans_job.h"

/* Ring r has vector (1 + r) % n_vectors, and events share theirs with rings if there are few. */
static irqreturn_t irq_handler(int irq, void *arg)
{
	struct octans_vector *vector = arg;
	struct octans_device *dev = vector->dev;
	u32 r = vector->index - 1;
	int cpu = smp_processor_id();

	if (!vector->index) {
		octans_event_kick(dev);
		r = dev->n_vectors - 1;
	}
	for (; r < dev->info.rings; r += dev->n_vectors) {
		if (READ_ONCE(dev->scheds[r].cpu) != cpu)
			WRITE_ONCE(dev->scheds[r].cpu, cpu);
		octans_job_irq(&dev->scheds[r]);
	}
	return IRQ_HANDLED;
}

/* Rings far apart, so that each processor has one near; whoever knows better may change it. */
static void spread(struct octans_device *dev)
{
	struct pci_dev *pdev = octans_pdev(dev);
	u32 i;

	for (i = 0; i < dev->info.rings; i++) {
		int cpu = cpumask_local_spread(i, dev_to_node(&pdev->dev));

		dev->scheds[i].cpu = cpu;
		if (i + 1 < dev->n_vectors)
			irq_set_affinity(pci_irq_vector(pdev, i + 1), cpumask_of(cpu));
	}
}

/**
 * octans_irq_init() - allocate vectors and request them
 * @dev: device
 *
 * Return: 0 or a negative errno.
 */
int octans_irq_init(struct octans_device *dev)
{
	struct pci_dev *pdev = octans_pdev(dev);
	int n, ret;
	u32 i;

	n = pci_alloc_irq_vectors(pdev, 1, OCTANS_VECTORS(dev->info.rings), PCI_IRQ_MSIX);
	if (n < 0)
		return dev_err_probe(&pdev->dev, n, "no MSI-X vectors\n");
	dev->n_vectors = n;
	for (i = 0; i < dev->info.rings; i++)
		dev->scheds[i].ring.vector = (1 + i) % n;
	for (i = 0; i < dev->n_vectors; i++) {
		dev->vectors[i] = (struct octans_vector) { .dev = dev, .index = i };
		ret = devm_request_irq(&pdev->dev, pci_irq_vector(pdev, i), irq_handler, 0,
				       "octans", &dev->vectors[i]);
		if (ret)
			return ret;
	}
	spread(dev);
	return 0;
}
