// SPDX-License-Identifier: MIT
/* Two processors: fences of one are waited for on the other, and one of them goes. */
#include "octans_admin.h"

FIXTURE(two) {
	struct client c[2];
	char bdf[2][32];
};

static int open_node(struct client *c, const char *path)
{
	setenv("OCTANS_NODE", path, 1);
	return client_open(c, 5000);
}

FIXTURE_SETUP(two)
{
	glob_t g;

	if (glob("/dev/accel/accel*", 0, NULL, &g) || g.gl_pathc != 2)
		SKIP("there are not two processors");
	for (int i = 0; i < 2; i++) {
		char path[128], link[256];
		ssize_t n;

		ASSERT_EQ(open_node(&self->c[i], g.gl_pathv[i]), 0);
		snprintf(path, sizeof(path), "/sys/class/accel/%s/device", strrchr(g.gl_pathv[i], '/') + 1);
		n = readlink(path, link, sizeof(link) - 1);
		ASSERT_GE(n, 1);
		link[n] = 0;
		snprintf(self->bdf[i], sizeof(self->bdf[i]), "%.31s", strrchr(link, '/') + 1);
		put_nop(self->c[i].map);
	}
	unsetenv("OCTANS_NODE");
}

FIXTURE_TEARDOWN(two)
{
	(void)_metadata;
	client_close(&self->c[0]);
	client_close(&self->c[1]);
}

/* A's job waits for B's, B's next for A's, and so on. */
static int chain(struct client *c, int n, int first, int *file)
{
	struct drm_octans_sync s[2] = { { 0 }, { .flags = DRM_OCTANS_SYNC_SIGNAL } };
	int ret = 0;

	for (int i = 0; i < n && !ret; i++) {
		struct client *d = &c[(i + first) % 2];

		if (syncobj_create(d->fd, &s[0].handle) || syncobj_create(d->fd, &s[1].handle))
			return -ENOMEM;
		if (*file >= 0) {
			ret = import_sync_file(d->fd, s[0].handle, *file);
			close(*file);
		}
		if (!ret)
			ret = submit(d->fd, d->queue, VA, 16, 0, *file >= 0 ? s : s + 1, *file >= 0 ? 2 : 1);
		*file = sync_file(d->fd, s[1].handle);
	}
	return ret;
}

TEST_F(two, wait_for_each_other)
{
	struct sync_fence_info fence;
	int file = -1;

	ASSERT_EQ(chain(self->c, 100, 0, &file), 0);
	EXPECT_TRUE(signalled(file, 20000));
	EXPECT_EQ(file_info(file, &fence), 1);
	close(file);
}

/* Processor 0 (whose control port the tests have) hangs and goes; what waited for it ends. */
TEST_F(two, one_goes)
{
	struct sync_fence_info fence;
	int file = -1;

	if (!control_rings("hang ring", ""))
		SKIP("no control port");
	ASSERT_EQ(chain(self->c, 20, 0, &file), 0);
	usleep(200000);
	EXPECT_TRUE(!signalled(file, 0));
	for (int i = 0; i < 2; i++)	/* whichever is number 0 */
		ASSERT_TRUE(write_file("/sys/bus/pci/drivers/octans/unbind", self->bdf[i]));
	EXPECT_TRUE(signalled(file, 3000));
	EXPECT_NE(file_info(file, &fence), 0);
	close(file);
	file = -1;
	faults_end();
	for (int i = 0; i < 2; i++) {
		client_close(&self->c[i]);
		ASSERT_TRUE(write_file("/sys/bus/pci/drivers/octans/bind", self->bdf[i]));
	}
	usleep(500000);
	two_setup(_metadata, self);
	ASSERT_EQ(chain(self->c, 20, 0, &file), 0);
	EXPECT_TRUE(signalled(file, 20000));
	close(file);
}

/* Only one of them goes: the other's clients notice nothing. */
TEST_F(two, the_other_stays)
{
	for (int gone = 0; gone < 2; gone++) {
		struct client *stays = &self->c[!gone];

		ASSERT_TRUE(write_file("/sys/bus/pci/drivers/octans/unbind", self->bdf[gone]));
		EXPECT_EQ(run(stays->fd, stays->queue, VA, 16, 0), 0);
		EXPECT_EQ(submit(self->c[gone].fd, self->c[gone].queue, VA, 16, 0, NULL, 0), -ENODEV);
		client_close(&self->c[gone]);
		ASSERT_TRUE(write_file("/sys/bus/pci/drivers/octans/bind", self->bdf[gone]));
		usleep(500000);
		client_close(stays);
		two_setup(_metadata, self);
	}
}
