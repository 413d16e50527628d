// SPDX-License-Identifier: MIT
/* A device that no reset brings back is cut off: wholly, for everybody, until it is bound anew. */
#include "octans_admin.h"

FIXTURE(wedged) {
	struct client c, d;
	uint32_t card;
	uint8_t *map, *again;
};

/* D's job hangs, and no reset of any kind helps. */
FIXTURE_SETUP(wedged)
{
	ASSERT_TRUE(device_fresh());
	ASSERT_EQ(client_open(&self->c, 500), 0);
	ASSERT_EQ(client_open(&self->d, 500), 0);
	ASSERT_EQ(bo_create(self->c.fd, PAGE, DRM_OCTANS_BO_DEVICE, &self->card), 0);
	self->map = bo_map(self->c.fd, self->card, PAGE);
	self->again = bo_map(self->c.fd, self->card, PAGE);
	ASSERT_NE(self->map, MAP_FAILED);
	ASSERT_NE(self->again, MAP_FAILED);
	self->map[0] = 1;
	put_nop(self->c.map);
	if (!control_rings("hang ring", "") || !control_rings("fail-reset ring", "") ||
	    !control("fail-reset device 9"))
		SKIP("no control port");
	ASSERT_TRUE(run(self->d.fd, self->d.queue, VA, put_nop(self->d.map), 0) < 0);
	usleep(500000);
	faults_end();
}

FIXTURE_TEARDOWN(wedged)
{
	client_close(&self->c);
	client_close(&self->d);
	ASSERT_TRUE(unbind());
	ASSERT_TRUE(bind_again());
	EXPECT_EQ(device_works(), 0);
}

TEST_F(wedged, takes_nothing)
{
	struct client *c = &self->c;
	uint32_t id;
	int fd;

	EXPECT_EQ(submit(c->fd, c->queue, VA, 16, 0, NULL, 0), -ENODEV);
	EXPECT_EQ(bo_create(c->fd, PAGE, 0, &id), -ENODEV);
	EXPECT_EQ(bo_create(c->fd, PAGE, DRM_OCTANS_BO_DEVICE, &id), -ENODEV);
	EXPECT_EQ(vm_create(c->fd, &id), -ENODEV);
	EXPECT_EQ(queue_create(c->fd, c->vm, 500, &id), -ENODEV);
	EXPECT_EQ(vm_map(c->fd, c->vm, c->bo, 0, VA + (1ull << 30), PAGE, 0), -ENODEV);
	EXPECT_EQ(vm_unmap(c->fd, c->vm, VA, PAGE), -ENODEV);
	fd = node_open();
	EXPECT_LE(fd, -1);
	if (fd >= 0)
		close(fd);
}

/* Memory can still be touched, but it is nobody's. */
TEST_F(wedged, card_is_out_of_reach)
{
	/* zeros of its own in the place of the card, wherever it was mapped */
	EXPECT_EQ(self->map[0], 0);
	EXPECT_EQ(self->again[0], 0);
	self->map[0] = 0x5a;
	self->c.map[0] = 1;
}

/* What waited has ended, nothing hangs, and closing does not wait. */
TEST_F(wedged, closes_at_once)
{
	struct client c;
	int64_t begin = now_ns();

	client_close(&self->c);
	EXPECT_SOON(seconds_since(begin), 1);
	for (int i = 0; i < 20 && objects("jobs"); i++)
		usleep(100000);
	EXPECT_EQ(objects("jobs"), 0);
	ASSERT_TRUE(unbind());
	ASSERT_TRUE(bind_again());
	ASSERT_EQ(client_open(&c, 1000), 0);
	EXPECT_EQ(run(c.fd, c.queue, VA, put_nop(c.map), 0), 0);
	self->c = c;
}
