// SPDX-License-Identifier: MIT
/*
 * NVMe passthrough of a command that does nothing through io_uring, on a namespace's character device.
 * The command is Dataset Management without an attribute: it succeeds, and QEMU's device answers
 * it at once.  (A Flush goes through its block layer and takes longer; NVMe has no NOP.)
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/nvme_ioctl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "phase.h"
#include "roundtrip.h"

#define DATASET_MANAGEMENT	9

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static int put(struct io_uring *ring, int fd)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct nvme_uring_cmd *cmd;

	if (!sqe)
		return -EBUSY;
	cmd = (struct nvme_uring_cmd *)sqe->cmd;
	memset(sqe, 0, 2 * sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = fd;
	sqe->cmd_op = NVME_URING_CMD_IO;
	cmd->opcode = DATASET_MANAGEMENT;
	cmd->nsid = 1;
	return 0;
}

/* Takes what has ended.  The number, or the error of one. */
static int reap(struct io_uring *ring, unsigned int most)
{
	struct io_uring_cqe *cqe;
	unsigned int head, n = 0;
	int ret = 0;

	io_uring_for_each_cqe(ring, head, cqe) {
		if (n == most)
			break;
		if (cqe->res)
			ret = cqe->res < 0 ? cqe->res : -EIO;
		n++;
	}
	io_uring_cq_advance(ring, n);
	return ret ?: (int)n;
}

/* Until so many have ended, or for SPIN_NS. */
static void spin(struct io_uring *ring, unsigned int n)
{
	double end = 0;

	for (unsigned long k = 0; io_uring_cq_ready(ring) < n; k++) {
		__builtin_ia32_pause();
		if (k % 1024 == 1023 && !end)
			end = now_s() + SPIN_NS * 1e-9;
		else if (k % 1024 == 1023 && now_s() > end)
			return;
	}
}

static int send_and_wait(struct io_uring *ring, const struct way *way)
{
	unsigned int n = way->shape == TOGETHER ? way->depth : 1;
	int ret;

	if (way->waiting != SPIN)
		return io_uring_submit_and_wait(ring, n);
	ret = io_uring_submit(ring);
	if (ret < 0)
		return ret;
	phase(PHASE_WAIT);
	spin(ring, n);
	return io_uring_cq_ready(ring) < n ? io_uring_submit_and_wait(ring, n) : 0;
}

double nvme_rate(const char *node, const struct way *way, double seconds)
{
	struct io_uring_params p = { .flags = IORING_SETUP_SQE128 | IORING_SETUP_CQE32 };
	unsigned int room = way->depth;
	struct io_uring ring;
	double begin = now_s(), end = begin + seconds, now = begin;
	unsigned long ended = 0;
	int fd = open(node, O_RDWR | O_CLOEXEC), ret;

	if (way->waiting == POLL)
		p.flags |= IORING_SETUP_IOPOLL;
	else if (way->waiting == SLEEP)
		p.flags |= IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
	ret = fd < 0 ? -errno : io_uring_queue_init_params(MOST_DEPTH, &ring, &p);
	if (ret)
		goto out;
	while (ret >= 0 && (now = now_s()) < end) {
		phase(PHASE_SEND);
		for (ret = 0; room && !ret; room--)
			ret = put(&ring, fd);
		ret = ret ?: send_and_wait(&ring, way);
		if (ret < 0)
			break;
		ret = reap(&ring, way->shape == ONE ? 1 : way->depth);
		if (ret < 0)
			break;
		ended += ret;
		room = ret;
		phase(PHASE_NONE);
	}
	phase(PHASE_REPORT);
	io_uring_queue_exit(&ring);
out:
	if (fd >= 0)
		close(fd);
	if (ret < 0) {
		fprintf(stderr, "nvme: %s: %s\n", node, strerror(-ret));
		return -1;
	}
	return ended / (now - begin);
}
