// SPDX-License-Identifier: MIT
/*
 * Messages of the vfio-user protocol.  Who does not send what he began, or does not read what he is
 * sent, is waited for a few seconds at most.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "vfio_conn.h"

#define MAX_BODY	(VFIO_CONN_XFER + 64)

#define GREETING_MS	2000	/* until the greeting has been answered */
#define MESSAGE_MS	10000	/* from the first byte of a message to its last, and for the reply */
#define FOR_EVER	INT64_MAX

void vfio_conn_close_fds(struct vfio_conn *c)
{
	while (c->nfds)
		close(c->fds[--c->nfds]);
}

int vfio_conn_take_fd(struct vfio_conn *c)
{
	int fd = c->fds[0];

	memmove(c->fds, c->fds + 1, --c->nfds * sizeof(c->fds[0]));
	return fd;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* The client has @ms from now on, but for its greeting no more than it has. */
static void set_deadline(struct vfio_conn *c, int64_t ms)
{
	if (c->greeted)
		c->deadline_ms = ms == FOR_EVER ? FOR_EVER : now_ms() + ms;
}

/* Until the connection is ready for @events.  1, 0 = we are to stop, -ETIMEDOUT. */
static int wait_for(struct vfio_conn *c, short events)
{
	struct pollfd pfd[2] = {
		{ .fd = c->sock, .events = events }, { .fd = c->stop_fd, .events = POLLIN },
	};

	for (;;) {
		int64_t left = c->deadline_ms == FOR_EVER ? -1 : c->deadline_ms - now_ms();
		int n;

		if (c->deadline_ms != FOR_EVER && left <= 0)
			return -ETIMEDOUT;
		n = poll(pfd, 2, left);
		if (n < 0 && errno != EINTR)
			return 0;
		if (n > 0)
			return !pfd[1].revents;
	}
}

static void take_fds(struct vfio_conn *c, struct msghdr *msg)
{
	for (struct cmsghdr *m = CMSG_FIRSTHDR(msg); m; m = CMSG_NXTHDR(msg, m)) {
		size_t count = (m->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		int fd;

		if (m->cmsg_level != SOL_SOCKET || m->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++) {
			memcpy(&fd, CMSG_DATA(m) + i * sizeof(fd), sizeof(fd));
			if (c->nfds < VFIO_CONN_FDS)
				c->fds[c->nfds++] = fd;
			else
				close(fd);
		}
	}
}

/* Reads @len bytes; if they are @due, they will be there already.  1, 0 = the client left or we are
 * to stop, -EPROTO, -ETIMEDOUT. */
static int receive(struct vfio_conn *c, void *data, size_t len, bool due)
{
	uint8_t *p = data;

	while (len) {
		char control[CMSG_SPACE(VFIO_CONN_FDS * sizeof(int))];
		struct iovec iov = { p, len };
		struct msghdr msg = {
			.msg_iov = &iov, .msg_iovlen = 1,
			.msg_control = control, .msg_controllen = sizeof(control),
		};
		int ret = due ? 1 : wait_for(c, POLLIN);
		ssize_t n;

		if (ret != 1)
			return ret;
		n = recvmsg(c->sock, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
		due = false;
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return 0;
		take_fds(c, &msg);
		if (msg.msg_flags & MSG_CTRUNC)
			return -EPROTO;
		if (c->deadline_ms == FOR_EVER)
			set_deadline(c, MESSAGE_MS);
		p += n;
		len -= n;
	}
	return 1;
}

/* 1, 0 = the client left or we are to stop, -ETIMEDOUT. */
static int send_all(struct vfio_conn *c, const struct vu_header *h, const void *data, size_t len)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov[2] = { { (void *)h, sizeof(*h) }, { (void *)data, len } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = len ? 2 : 1 };
	size_t left = sizeof(*h) + len;

	if (c->reply_fd >= 0) {
		struct cmsghdr *m = (struct cmsghdr *)control;

		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		m->cmsg_level = SOL_SOCKET;
		m->cmsg_type = SCM_RIGHTS;
		m->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(m), &c->reply_fd, sizeof(int));
	}
	while (left) {
		ssize_t n = sendmsg(c->sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
			int ret = wait_for(c, POLLOUT);

			if (ret != 1)
				return ret;
			continue;
		}
		if (n < 0)
			return 0;
		left -= n;
		msg.msg_control = NULL;
		msg.msg_controllen = 0;
		while (n && (size_t)n >= msg.msg_iov->iov_len) {
			n -= msg.msg_iov->iov_len;
			msg.msg_iov++;
			msg.msg_iovlen--;
		}
		if (n) {
			msg.msg_iov->iov_base = (uint8_t *)msg.msg_iov->iov_base + n;
			msg.msg_iov->iov_len -= n;
		}
	}
	return 1;
}

int vfio_conn_receive(struct vfio_conn *c)
{
	struct vu_header *h = &c->head;
	int ret;

	set_deadline(c, FOR_EVER);
	ret = receive(c, h, sizeof(*h), false);
	if (ret != 1)
		return ret;
	if (h->size < sizeof(*h) || h->size - sizeof(*h) > MAX_BODY)
		return -EPROTO;
	c->len = h->size - sizeof(*h);
	c->reply_fd = -1;
	ret = receive(c, c->body, c->len, true);
	/* Nothing was asked, so nobody can reply. */
	return ret == 1 && (h->flags & VU_TYPE) ? -EPROTO : ret;
}

bool vfio_conn_pending(const struct vfio_conn *c)
{
	struct pollfd pfd[2] = {
		{ .fd = c->sock, .events = POLLIN }, { .fd = c->stop_fd, .events = POLLIN },
	};

	return poll(pfd, 2, 0);
}

int vfio_conn_reply(struct vfio_conn *c, int error, size_t len)
{
	struct vu_header *h = &c->head;

	if (h->flags & VU_NO_REPLY)
		return 1;
	h->flags = error ? VU_REPLY | VU_ERROR : VU_REPLY;
	h->error = error;
	if (error) {
		len = 0;
		c->reply_fd = -1;
	}
	h->size = sizeof(*h) + len;
	set_deadline(c, MESSAGE_MS);
	return send_all(c, h, c->body, len);
}

void vfio_conn_begin(struct vfio_conn *c, int sock, int stop_fd)
{
	c->sock = sock;
	c->stop_fd = stop_fd;
	c->greeted = false;
	c->deadline_ms = now_ms() + GREETING_MS;
	c->nfds = 0;
}

void vfio_conn_end(struct vfio_conn *c)
{
	vfio_conn_close_fds(c);
	close(c->sock);
}

int vfio_conn_init(struct vfio_conn *c)
{
	c->body = malloc(MAX_BODY);
	return c->body ? 0 : -ENOMEM;
}

void vfio_conn_destroy(struct vfio_conn *c)
{
	free(c->body);
}
